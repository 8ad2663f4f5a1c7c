"""What the tests of the training side share."""

import pytest


@pytest.fixture(autouse=True)
def known_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a cache of its own, and would measure the machine's matrix products anew, a second each."""
    monkeypatch.setattr("chatwright.train.setup.matmul_peak", lambda device, dtype: 1e11)
