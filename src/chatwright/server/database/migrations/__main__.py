"""For developers: ``python -m chatwright.server.database.migrations "what changes"`` writes the next step.

With ``--first`` the only step, 0001, is written anew: allowed until a release has carried it to people's databases.
"""

import argparse
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine

from chatwright.server.database.migrations import alembic_config

_SEARCH = "from chatwright.server.database.search_index import create_search_index\n"


def main() -> None:
    """Compare the tables with the newest step and write the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("message")
    parser.add_argument("--first", action="store_true")
    arguments = parser.parse_args()
    versions = Path(__file__).parent / "versions"
    steps = sorted(versions.glob("[0-9]*.py"))
    if arguments.first:
        for old in steps:
            old.unlink()
        steps = []
    number = f"{len(steps) + 1:04d}"
    config = alembic_config()
    with create_engine("sqlite://").connect() as connection:
        config.attributes["connection"] = connection
        if steps:
            command.upgrade(config, "head")
        command.revision(config, arguments.message, autogenerate=True, rev_id=number)
    path = next(versions.glob(f"{number}*.py"))
    step = path.read_text().replace("JSONB(astext_type=Text())", "JSONB()")  # Alembic forgets to import Text
    if arguments.first:
        step = step.replace("revision: str", f"{_SEARCH}\nrevision: str", 1)
        step = step.rstrip() + "\n    create_search_index(op.get_bind())\n"
    path.write_text(step)


if __name__ == "__main__":
    main()
