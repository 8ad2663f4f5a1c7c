"""The team of threads: everybody works, everybody waits, nobody is left behind."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from numba import njit

from chatwright.engine.cpu.team import ARRIVALS, Team, arrivals_before, barrier, called_again, stay


@njit(nogil=True)
def relay(thread: int, threads: int, sync: np.ndarray, board: np.ndarray) -> None:
    """In each round everybody reads what everybody wrote in the round before."""
    arrivals = arrivals_before(sync)
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
    team.run(relay, (team.sync, board))
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

    def function(thread: int, threads: int) -> None:
        seen.append((thread, threads, threading.current_thread().name))
        together.wait(60)

    team = Team(3)
    together = threading.Barrier(1)
    team.run(function, ())
    assert [(thread, threads) for thread, threads, _ in seen] == [(0, 1)]
    together = threading.Barrier(3)
    team.run(function, ())
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

    def function(thread: int, threads: int) -> None:
        if thread == 1:
            failed.set()
            raise ValueError("only here")

    team = Team(2)
    team.run(function, ())
    team.run(function, ())
    assert failed.wait(60)
    team.close()
    with pytest.raises(RuntimeError, match="failed earlier") as caught:
        team.run(function, ())
    assert isinstance(caught.value.__cause__, ValueError)


@njit(nogil=True)
def tally(thread: int, threads: int, sync: np.ndarray, given: np.ndarray, taken: np.ndarray) -> None:
    """Adds what lies in ``given`` to each thread's sum, and stays for more."""
    while True:
        stay(sync, thread)
        before = arrivals_before(sync)
        taken[thread] += given[0]
        barrier(sync, before + threads)
        if not called_again(sync, thread):
            return


def test_threads_that_stay_see_what_is_new(team: Team) -> None:
    """At once, after they have fallen asleep, and after another function came between."""
    given, taken = np.zeros(1, np.int64), np.zeros(8, np.int64)
    args = (team.sync, given, taken)
    team.run(tally, args)  # compiles, in the first thread alone
    for turn in range(1, 200):
        given[0] = turn
        team.run(tally, args)
        assert taken[: team.threads].tolist() == [turn * (turn + 1) // 2] * team.threads
        if turn % 50 == 0:
            time.sleep(0.01)
        if turn % 30 == 0:
            rounds(team, 4)
        if turn % 70 == 0:
            args = (team.sync, given, taken)  # the same, but not known to be


def test_closing_while_they_stay() -> None:
    team = Team(3)
    args = (team.sync, np.ones(1, np.int64), np.zeros(8, np.int64))
    team.run(tally, args)
    team.run(tally, args)
    team.close()
    assert args[2][:3].tolist() == [2, 1, 1]
