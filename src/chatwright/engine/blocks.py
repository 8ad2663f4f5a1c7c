"""Paged key/value memory: who holds which block, what is shared, and what may be forgotten.

A full block is known by a digest of (owner, everything before it, its tokens). Two sequences of one owner that begin
alike therefore share blocks; sequences of different owners never do, so the time that a prompt takes tells nobody what
somebody else has written. A block that nobody holds keeps its contents until memory is needed: least recently used
first, and the tail of a text before its beginning, since a tail without its beginning cannot be found again.
"""

from array import array
from collections import OrderedDict
from hashlib import blake2b

from chatwright.engine.sequence import Sequence


class BlockManager:
    """Reference counts, copy on write, and the prefix cache.

    Args:
        num_blocks: blocks that exist.
        block_size: positions in a block.
        remembered: full blocks that nobody holds and that are yet found again by their contents, at most; 0 turns
            the prefix cache off; None: all.
    """

    def __init__(self, num_blocks: int, block_size: int, *, remembered: int | None = None) -> None:
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.prefix_cache = remembered != 0
        self._remembered = num_blocks if remembered is None else remembered
        self._references = [0] * num_blocks
        self._empty = list(range(num_blocks - 1, -1, -1))  # free, nothing worth keeping; taken from the end
        self._kept: OrderedDict[int, None] = OrderedDict()  # free, but with known contents; oldest first
        self._block_of: dict[bytes, int] = {}
        self._digest_of: dict[int, bytes] = {}

    @property
    def num_free(self) -> int:
        """Blocks that can be taken now, those with remembered contents included."""
        return len(self._empty) + len(self._kept)

    @property
    def num_remembered(self) -> int:
        """Blocks whose contents can be found again."""
        return len(self._block_of)

    def blocks_for(self, num_tokens: int) -> int:
        """How many blocks hold ``num_tokens`` positions."""
        return -(-num_tokens // self.block_size)

    def allocate(self, sequence: Sequence, *, spare: int = 0) -> bool:
        """Give a sequence blocks for all its tokens, known ones first; False, and no change, if too few are free.

        Sets ``num_computed`` to what the prefix cache had. At least one token is left to run, since only running a
        token gives logits.

        Args:
            sequence: holds no blocks yet.
            spare: free blocks that must be left over.
        """
        assert not sequence.blocks
        known = self._known_blocks(sequence)
        fresh = self.blocks_for(len(sequence.tokens)) - len(known)
        revived = sum(1 for block in known if self._references[block] == 0)
        if self.num_free - revived - fresh < spare:
            return False
        for block in known:
            self._hold(block)
        sequence.blocks = known + [self._take() for _ in range(fresh)]
        sequence.num_computed = sequence.num_cached = len(known) * self.block_size
        return True

    def extend(self, sequence: Sequence, copies: list[tuple[int, int]]) -> bool:
        """Make the next position writable; False, and no change, if that needs a block and none is free.

        Args:
            sequence: has one token to run.
            copies: (source, target) is added where a shared block has to be copied before it is written.
        """
        index = sequence.num_computed // self.block_size
        if index == len(sequence.blocks):
            if not self.num_free:
                return False
            sequence.blocks.append(self._take())
            return True
        shared = sequence.blocks[index]
        if self._references[shared] > 1:
            if not self.num_free:
                return False
            sequence.blocks[index] = self._take()
            self._references[shared] -= 1
            copies.append((shared, sequence.blocks[index]))
        return True

    def commit(self, sequence: Sequence, num_tokens: int) -> None:
        """Record that ``num_tokens`` more are computed, and remember the blocks that became full."""
        before = sequence.num_computed // self.block_size
        sequence.num_computed += num_tokens
        if not self.prefix_cache:
            return
        for index in range(before, sequence.num_computed // self.block_size):
            digest = self._digest(sequence, index)
            if digest not in self._block_of:  # the same text computed twice at once: the first stays known
                self._block_of[digest] = sequence.blocks[index]
                self._digest_of[sequence.blocks[index]] = digest

    def fork(self, parent: Sequence, child: Sequence) -> None:
        """Let ``child``, which has the parent's computed tokens, share the parent's blocks until it writes."""
        child.blocks = self.share(parent.blocks)
        child.digests = parent.digests.copy()
        child.num_computed = parent.num_computed

    def share(self, blocks: list[int]) -> list[int]:
        """A second table of the same blocks, which are held once more."""
        for block in blocks:
            self._references[block] += 1
        return blocks.copy()

    def release(self, sequence: Sequence) -> None:
        """Take a sequence's blocks back; it would have to be computed again."""
        self.release_blocks(sequence.blocks)
        sequence.blocks = []
        sequence.num_computed = 0

    def release_blocks(self, blocks: list[int]) -> None:
        """Drop one reference to each block of a table."""
        for block in reversed(blocks):
            self._references[block] -= 1
            if self._references[block] == 0:
                if block in self._digest_of:
                    self._kept[block] = None
                else:
                    self._empty.append(block)
        while len(self._kept) > self._remembered:
            self._empty.append(self._forget_oldest())

    def forget(self) -> None:
        """Forget all remembered contents (after a failure that may have left them wrong)."""
        self._empty.extend(self._kept)
        self._kept.clear()
        self._block_of.clear()
        self._digest_of.clear()

    def _known_blocks(self, sequence: Sequence) -> list[int]:
        if not (self.prefix_cache and sequence.use_cache):
            return []
        known: list[int] = []
        for index in range((len(sequence.tokens) - 1) // self.block_size):
            block = self._block_of.get(self._digest(sequence, index))
            if block is None:
                break
            known.append(block)
        return known

    def _digest(self, sequence: Sequence, index: int) -> bytes:
        digests = sequence.digests
        while len(digests) <= index:
            start = len(digests) * self.block_size
            tokens = array("q", sequence.tokens[start : start + self.block_size]).tobytes()
            parent = digests[-1] if digests else blake2b(sequence.owner.encode("utf-8", "surrogatepass")).digest()
            digests.append(blake2b(tokens, key=parent[:32], digest_size=32).digest())
        return digests[index]

    def _hold(self, block: int) -> None:
        self._references[block] += 1
        self._kept.pop(block, None)

    def _take(self) -> int:
        if self._empty:
            block = self._empty.pop()
        else:
            block = self._forget_oldest()
        self._references[block] = 1
        return block

    def _forget_oldest(self) -> int:
        block, _ = self._kept.popitem(last=False)
        del self._block_of[self._digest_of.pop(block)]
        return block
