import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatwright.engine.blocks import BlockManager
from chatwright.engine.sequence import Sequence


def sequence(tokens: list[int], owner: str = "ann", name: str = "s") -> Sequence:
    return Sequence(name, name, owner, tokens, len(tokens))


def run(manager: BlockManager, *sequences: Sequence) -> None:
    """Allocate and compute everything."""
    for one in sequences:
        assert manager.allocate(one)
        manager.commit(one, one.remaining)


def test_a_beginning_is_shared_between_sequences_of_one_owner() -> None:
    manager = BlockManager(8, 4)
    first, second = sequence(list(range(10))), sequence([*range(8), 99, 98])
    run(manager, first)
    assert manager.allocate(second)
    assert second.num_computed == 8
    assert second.blocks[:2] == first.blocks[:2]
    assert second.blocks[2] != first.blocks[2]


def test_nothing_is_ever_shared_between_owners() -> None:
    manager = BlockManager(8, 4)
    mine, theirs = sequence(list(range(10)), "ann"), sequence(list(range(10)), "bob")
    run(manager, mine)
    manager.release(mine)
    assert manager.allocate(theirs)
    assert theirs.num_computed == 0


def test_the_same_tokens_after_another_beginning_are_another_block() -> None:
    manager = BlockManager(8, 4)
    run(manager, sequence([1, 1, 1, 1, 5, 5, 5, 5]))
    other = sequence([2, 2, 2, 2, 5, 5, 5, 5, 6])
    assert manager.allocate(other)
    assert other.num_computed == 0


def test_one_token_is_always_left_to_run() -> None:
    manager = BlockManager(8, 4)
    first, again = sequence(list(range(8))), sequence(list(range(8)))
    run(manager, first)
    assert manager.allocate(again)
    assert again.num_computed == 4


def test_what_was_used_last_is_forgotten_last_and_tails_before_beginnings() -> None:
    manager = BlockManager(4, 4)
    old, new = sequence([1] * 8), sequence([2] * 8)
    run(manager, old)
    manager.release(old)
    run(manager, new)
    manager.release(new)
    run(manager, other := sequence([3] * 4))  # takes one block: the tail of the oldest
    manager.release(other)
    probe = sequence([1] * 9)
    assert manager.allocate(probe)
    assert probe.num_computed == 4
    manager.release(probe)


def test_a_fork_copies_a_block_only_when_it_writes_it() -> None:
    manager = BlockManager(8, 4)
    parent = sequence(list(range(6)))
    run(manager, parent)
    child = sequence(list(range(6)))
    manager.fork(parent, child)
    parent.tokens.append(7)
    child.tokens.append(8)
    copies: list[tuple[int, int]] = []
    shared = parent.blocks.copy()
    assert manager.extend(parent, copies)
    assert copies == [(shared[1], parent.blocks[1])]
    assert manager.extend(child, copies)  # the last holder keeps the original
    assert len(copies) == 1
    assert child.blocks == shared


def test_too_little_memory_changes_nothing() -> None:
    manager = BlockManager(4, 4)
    run(manager, first := sequence(list(range(8))))
    manager.release(first)
    big = sequence([*range(8), *range(50, 62)])
    assert not manager.allocate(big)
    assert manager.num_free == 4
    assert not big.blocks
    assert not manager.allocate(sequence(list(range(12))), spare=2)
    assert manager.num_free == 4


def test_without_the_prefix_cache_nothing_is_remembered() -> None:
    manager = BlockManager(8, 4, remembered=0)
    run(manager, first := sequence(list(range(8))))
    manager.release(first)
    run(manager, again := sequence(list(range(8))))
    assert again.num_cached == 0
    assert manager.num_remembered == 0


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("afrw"), st.integers(0, 5), st.integers(1, 20)), max_size=60))
def test_no_block_is_lost_or_held_twice(operations: list[tuple[str, int, int]]) -> None:
    """Random allocating, forking, writing and releasing: a writable block has one holder, and all come back."""
    manager = BlockManager(12, 4)
    live: dict[int, Sequence] = {}
    for kind, slot, size in operations:
        if kind == "a" and slot not in live:
            new = sequence([i % 3 for i in range(size)], owner="ab"[slot % 2])
            if manager.allocate(new):
                manager.commit(new, new.remaining)
                live[slot] = new
        elif kind == "f" and slot in live and size % 6 not in live:
            child = sequence(live[slot].tokens.copy(), live[slot].owner)
            manager.fork(live[slot], child)
            live[size % 6] = child
        elif kind == "w" and slot in live:
            live[slot].tokens.append(size % 3)
            if manager.extend(live[slot], []):
                last = live[slot].blocks[live[slot].num_computed // 4]
                assert [last in other.blocks for other in live.values()].count(True) == 1
                manager.commit(live[slot], 1)
            else:
                live[slot].tokens.pop()
        elif kind == "r" and slot in live:
            manager.release(live.pop(slot))
        held = {block for one in live.values() for block in one.blocks}
        assert manager.num_free == 12 - len(held)
    for one in live.values():
        manager.release(one)
    assert manager.num_free == 12


def test_forgetting_keeps_free_blocks_free() -> None:
    manager = BlockManager(4, 4)
    run(manager, first := sequence(list(range(8))))
    manager.release(first)
    manager.forget()
    assert manager.num_free == 4
    again = sequence(list(range(8)))
    assert manager.allocate(again)
    assert again.num_cached == 0


@pytest.mark.parametrize("owner", ["", "käthe", "\ud800"])
def test_any_text_names_an_owner(owner: str) -> None:
    run(BlockManager(4, 4), sequence(list(range(8)), owner))


def test_many_requests_touch_little_memory_where_little_is_remembered() -> None:
    manager = BlockManager(100, 4, remembered=2)
    touched: set[int] = set()
    for token in range(20):
        one = sequence([token] * 8)
        run(manager, one)
        touched |= set(one.blocks)
        manager.release(one)
    assert len(touched) == 4
    assert manager.num_remembered == 2
    last = sequence([19] * 9)
    assert manager.allocate(last)
    assert last.num_computed == 8
