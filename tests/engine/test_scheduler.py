import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatwright.engine.blocks import BlockManager
from chatwright.engine.scheduler import Plan, Scheduler
from chatwright.engine.sequence import Sequence


def make(*, blocks: int = 100, seqs: int = 8, budget: int = 64) -> Scheduler:
    return Scheduler(BlockManager(blocks, 4), max_num_seqs=seqs, max_batch_tokens=budget)


def sequence(name: str, length: int, owner: str = "ann") -> Sequence:
    salt = sum(name.encode())
    return Sequence(name, name, owner, [salt * 1000 + i for i in range(length)], length)


def step(scheduler: Scheduler) -> dict[str, int]:
    """One step in which every sequence that is through gets one more token."""
    plan = scheduler.schedule()
    for name, count in plan.num_tokens.items():
        one = scheduler.running[name]
        scheduler.blocks.commit(one, count)
        if not one.remaining:
            one.tokens.append(0)
    return plan.num_tokens


def test_prompts_take_turns_and_a_short_one_is_soon_through() -> None:
    scheduler = make()
    scheduler.add(sequence("long", 200))
    assert step(scheduler) == {"long": 64}
    scheduler.add(sequence("other", 150))
    scheduler.add(sequence("short", 5))
    assert step(scheduler) == {"long": 64}
    assert step(scheduler) == {"other": 64}
    assert step(scheduler) == {"short": 5, "long": 64}
    assert step(scheduler) == {"short": 1, "other": 64}
    assert step(scheduler) == {"short": 1, "long": 8, "other": 22}


def test_pieces_end_at_the_same_places_whoever_else_is_there() -> None:
    """Also after a beginning that was in the cache: the first piece ends where pieces always end."""
    scheduler = make(budget=16)
    first = sequence("first", 30)
    scheduler.add(first)
    ends = []
    while "first" in scheduler.running or not ends:
        step(scheduler)
        ends.append(first.num_computed)
        if first.num_computed == 30:
            scheduler.remove(first)
    assert ends == [16, 30]
    again = Sequence("again", "again", "ann", first.tokens[:9] + [7] * 20, 29)
    scheduler.add(again)
    assert step(scheduler) == {"again": 8}
    assert again.num_cached == 8


def test_decoding_goes_on_in_every_step() -> None:
    scheduler = make(seqs=4, budget=4)
    for name in "abc":
        scheduler.add(sequence(name, 1))
    step(scheduler)
    scheduler.add(sequence("long", 50))
    for _ in range(12):
        assert step(scheduler) == {"a": 1, "b": 1, "c": 1, "long": 4}


def test_owners_take_turns_and_one_owners_requests_keep_their_order() -> None:
    scheduler = make(seqs=4)
    for i in range(6):
        scheduler.add(sequence(f"ann{i}", 3, "ann"))
    for i in range(2):
        scheduler.add(sequence(f"bob{i}", 3, "bob"))
    assert list(step(scheduler)) == ["ann0", "bob0", "ann1", "bob1"]
    scheduler.remove(scheduler.running["bob0"])
    scheduler.add(sequence("carl", 3, "carl"))
    assert "ann2" in step(scheduler)
    scheduler.remove(scheduler.running["ann0"])
    assert "carl" in step(scheduler)
    assert scheduler.num_waiting == 3


def test_who_came_last_is_preempted_and_comes_back_first() -> None:
    scheduler = make(blocks=5)
    first, last = sequence("first", 8), sequence("last", 7)
    scheduler.add(first)
    scheduler.add(last)
    step(scheduler)
    scheduler.add(sequence("next", 3))
    assert step(scheduler) == {"first": 1, "last": 1}  # the fifth block goes to first; last fills its second
    assert step(scheduler) == {"first": 1}
    assert (last.blocks, last.num_computed) == ([], 0)
    assert scheduler.num_preemptions == 1
    scheduler.remove(first)
    step(scheduler)
    assert list(scheduler.running) == ["last", "next"]


def test_a_large_request_is_not_passed_for_ever() -> None:
    scheduler = make(blocks=6)
    running = sequence("running", 10)
    scheduler.add(running)
    step(scheduler)
    scheduler.add(sequence("large", 20, "ann"))
    scheduler.add(sequence("small", 2, "bob"))
    assert list(step(scheduler)) == ["running"]
    scheduler.remove(running)
    assert "large" in step(scheduler)


def test_a_group_is_admitted_and_preempted_as_one() -> None:
    scheduler = make(blocks=8, seqs=4)
    leader = sequence("b0", 6)
    leader.slots = 2
    scheduler.add(leader)
    step(scheduler)
    leader.tokens.pop()
    twin = Sequence("b1", "b0", "ann", leader.tokens.copy(), 6, group=leader.group)
    scheduler.fork(leader, twin)
    leader.group.append(twin)
    leader.tokens.append(1)
    twin.tokens.append(2)
    assert scheduler.schedule().copies != []
    plan = Plan()
    scheduler._preempt(twin, plan)
    assert not scheduler.running
    assert scheduler.num_waiting == 2
    assert set(scheduler.schedule().num_tokens) == {"b0", "b1"}


@pytest.mark.parametrize("where", ["running", "waiting"])
def test_removing_leaves_no_trace(where: str) -> None:
    scheduler = make(seqs=1)
    first, second = sequence("first", 9), sequence("second", 9)
    scheduler.add(first)
    scheduler.add(second)
    step(scheduler)
    for one in (first, second) if where == "running" else (second, first):
        scheduler.remove(one)
    assert scheduler.num_waiting == 0
    assert not scheduler.running
    assert scheduler.blocks.num_free == 100
    assert not scheduler.schedule().num_tokens


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12), st.sampled_from(["ann", "bob", "carl"])), max_size=12),
    st.integers(14, 60),
    st.integers(1, 5),
    st.integers(1, 40),
)
def test_everybody_is_served_within_the_limits(
    requests: list[tuple[int, int, str]], blocks: int, seqs: int, budget: int
) -> None:
    """Whatever the load, limits hold in every step, and everybody gets all tokens in a bounded number of steps."""
    scheduler = make(blocks=blocks, seqs=seqs, budget=budget)
    wanted = {}
    for i, (length, answer, owner) in enumerate(requests):
        one = sequence(f"s{i}", length, owner)
        one.tokens = [i * 1000 + j for j in range(length)]
        wanted[one.id] = length + answer
        scheduler.add(one)
    steps = 0
    while wanted:
        steps += 1
        assert steps < 3000
        planned = step(scheduler)
        assert planned
        assert sum(planned.values()) < 2 * budget + seqs
        assert len(scheduler.running) <= seqs
        assert scheduler.blocks.num_free >= 0
        for one in list(scheduler.running.values()):
            if len(one.tokens) >= wanted[one.id]:
                scheduler.remove(one)
                del wanted[one.id]
    assert scheduler.blocks.num_free == blocks
