"""A release of Chatwright that comes after this one."""

import shutil
from pathlib import Path

import pytest
from alembic.config import Config

from chatwright.server.database import migrations

STEP = """
import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = {before!r}
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("motto", sa.String(255), nullable=True))
    {more}
"""


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release with one more step; the test writes the step with :func:`add_step`."""
    folder = tmp_path / "migrations"
    shutil.copytree(Path(migrations.__file__).parent, folder)
    config = migrations.alembic_config

    def moved() -> Config:
        changed = config()
        changed.set_main_option("script_location", str(folder))
        return changed

    monkeypatch.setattr(migrations, "alembic_config", moved)
    return folder


def add_step(release: Path, more: str = "pass") -> None:
    (release / "versions" / "9000_a_motto.py").write_text(
        STEP.format(before=migrations.script_directory().get_current_head(), more=more)
    )
