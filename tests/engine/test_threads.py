"""How many threads are taken where nobody says: never more than a container may use."""

from pathlib import Path

import pytest
import torch

from chatwright.engine import threads


@pytest.fixture
def quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "cpu.max"
    monkeypatch.setattr(threads, "_QUOTA", file)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(64)), raising=False)
    return file


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200000 100000\n", 2), ("150000 100000\n", 2), ("5000 100000\n", 1), ("max 100000\n", 16), ("nonsense", 16)],
)
def test_a_containers_quota_bounds_the_threads(quota: Path, text: str, expected: int) -> None:
    quota.write_text(text)
    assert threads.default_threads() == expected


def test_without_a_container_the_processors_allowed_to_us_bound_them(
    quota: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert threads.default_threads() == threads.MOST_USEFUL
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {3}, raising=False)
    assert threads.default_threads() == 1
