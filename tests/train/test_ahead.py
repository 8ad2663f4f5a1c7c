"""Batches that were made in advance are those that would have been made."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch

from chatwright.train.ahead import Ahead
from chatwright.train.batch import Batch
from tests.train.doubles import MadeUpFeed


@dataclass
class Watched(MadeUpFeed):
    threads: set[str] = field(default_factory=set)

    def micro_batches(self, step: int) -> Sequence[Batch]:
        if step == 5:
            raise OSError("the disk is gone")
        self.threads.add(threading.current_thread().name)
        return super().micro_batches(step)


def ids(batches: Sequence[Batch]) -> list[torch.Tensor]:
    return [batch.input_ids_N for batch in batches]


def test_the_next_step_is_made_meanwhile() -> None:
    feed = Watched()
    with Ahead(enabled=True) as ahead:
        for step in (0, 1, 2):
            expected = ids(MadeUpFeed().micro_batches(step))
            assert all(map(torch.equal, ids(ahead.micro_batches(feed, step)), expected))
        smaller = feed.with_micro_batch(1)  # what was made for the larger ones is not used
        assert len(ahead.micro_batches(smaller, 2)) == 4
        ahead.micro_batches(smaller, 4)
        with pytest.raises(OSError, match="the disk is gone"):
            ahead.micro_batches(smaller, 5)
    assert feed.threads == smaller.threads == {"batches_0"}


def test_nothing_is_made_in_advance_where_it_would_be_in_the_way() -> None:
    feed = Watched()
    with Ahead(enabled=False) as ahead:
        ahead.micro_batches(feed, 0)
    assert feed.threads == {"MainThread"}
