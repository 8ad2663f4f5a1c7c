"""The team of threads: everybody works, everybody waits, nobody is left behind."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numba import njit

from chatwright.engine.cpu.team import ARRIVALS, Team, announce, barrier


@njit(nogil=True)
def relay(thread: int, threads: int, arrivals: int, sync: np.ndarray, board: np.ndarray) -> None:
    """In each round everybody reads what everybody wrote in the round before."""
    announce(sync, thread)
    for turn in range(1, board.shape[0]):
        board[turn, thread] = board[turn - 1, :threads].sum() + 1
        arrivals += threads
        barrier(sync, arrivals)


@pytest.fixture(params=[1, 2, 3, 8])
def team(request: pytest.FixtureRequest) -> Iterator[Team]:
    team = Team(request.param)
    yield team
    team.close()


def rounds(team: Team, turns: int) -> np.ndarray:
    board = np.zeros((turns, 8), np.int64)
    team.run(relay, team.sync, board)
    return board


def test_a_barrier_holds_everybody_until_all_have_come(team: Team) -> None:
    """A thread that ran ahead would read zeros. More threads than processors must pass too."""
    rounds(team, 2)  # the first run is for compiling
    for turns in (2, 10, 3):
        expected = [0]
        for _ in range(turns - 1):
            expected.append(expected[-1] * team.threads + 1)
        board = rounds(team, turns)
        assert board[:, : team.threads].tolist() == [[value] * team.threads for value in expected]
        assert not board[:, team.threads :].any()


def test_arrivals_are_whole_rounds_after_every_run(team: Team) -> None:
    rounds(team, 5)
    assert team.sync[ARRIVALS] == 4
    for count in range(1, 20):
        rounds(team, 5)
        assert team.sync[ARRIVALS] == 4 + 4 * team.threads * count


def test_the_first_run_of_a_function_is_one_threads_alone() -> None:
    """Two threads that compile the same function may make code that rounds differently."""
    seen: list[tuple[int, int, str]] = []

    def function(thread: int, threads: int, arrivals: int, *args: Any) -> None:
        seen.append((thread, threads, threading.current_thread().name))
        together.wait(60)

    team = Team(3)
    together = threading.Barrier(1)
    team.run(function)
    assert [(thread, threads) for thread, threads, _ in seen] == [(0, 1)]
    together = threading.Barrier(3)
    team.run(function)
    team.close()
    assert sorted((thread, threads) for thread, threads, _ in seen[1:]) == [(0, 3), (1, 3), (2, 3)]
    assert len({name for _, _, name in seen[1:]}) == 3


def test_closing_ends_the_threads() -> None:
    before = threading.active_count()
    team = Team(4)
    rounds(team, 3)
    rounds(team, 3)
    assert threading.active_count() == before + 3
    team.close()
    assert threading.active_count() == before
    team.close()  # a second time is no error


def test_a_failure_in_another_thread_is_reported_to_the_next_caller() -> None:
    failed = threading.Event()

    def function(thread: int, threads: int, arrivals: int) -> None:
        if thread == 1:
            failed.set()
            raise ValueError("only here")

    team = Team(2)
    team.run(function)
    team.run(function)
    assert failed.wait(60)
    team.close()
    with pytest.raises(RuntimeError, match="failed earlier") as caught:
        team.run(function)
    assert isinstance(caught.value.__cause__, ValueError)
