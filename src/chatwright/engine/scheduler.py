"""Which tokens of which sequences run in the next step.

The contract is a mapping from sequence id to a number of tokens; that one form covers decoding, whole prompts and
pieces of prompts, mixed freely in one step. The rules, in their order:

1. Every sequence that is decoding gets its one token. If blocks run out, whoever was admitted last is preempted: it
   gives its blocks back, waits at the head of its queue, and is computed again later (often from the prefix cache).
2. Waiting sequences are admitted while there are places and blocks, one owner after the other, so that a person with
   one request does not wait behind another's hundred. Within an owner, first come, first served.
3. Prompts in progress take turns, piece by piece, until the step's token budget is reached: a short one is through at
   once, a long one goes on in later steps, and nobody's decoding waits longer than for one such step.

Pieces of a prompt end at fixed positions (multiples of the budget), not where the step happened to be full. What a
runner computes may depend, in its rounding, on how a prompt was cut; so it does not depend on who else was there.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from chatwright.engine.blocks import BlockManager
from chatwright.engine.sequence import Sequence


@dataclass(slots=True)
class Plan:
    """The work of one step.

    Attributes:
        num_tokens: sequence id → how many of its tokens to run.
        copies: (source, target) blocks to copy before running, in this order.
    """

    num_tokens: dict[str, int] = field(default_factory=dict)
    copies: list[tuple[int, int]] = field(default_factory=list)


class Scheduler:
    """Keeps the queues and the running batch.

    Args:
        blocks: the memory to hand out.
        max_num_seqs: most sequences that run together.
        max_batch_tokens: length of the pieces in which prompts are read; a step takes pieces until it has this many
            tokens of prompts, so it has fewer than twice as many, beside one token of each sequence that decodes.
    """

    def __init__(self, blocks: BlockManager, *, max_num_seqs: int, max_batch_tokens: int) -> None:
        assert max_num_seqs >= 1
        assert max_batch_tokens >= 1
        self.blocks = blocks
        self.max_num_seqs = max_num_seqs
        self.max_batch_tokens = max_batch_tokens
        self.running: dict[str, Sequence] = {}  # in the order of admission
        self.num_preemptions = 0
        self.num_cached_tokens = 0
        self.num_waiting = 0  # sequences in the queues; counted, since other threads read it while queues change
        self._waiting: OrderedDict[str, deque[list[Sequence]]] = OrderedDict()  # the owner whose turn it is comes first
        self._used_slots = 0
        self._turn = 0  # counts admissions and pieces, to see whose turn it is

    def add(self, sequence: Sequence) -> None:
        """Put a sequence at the end of its owner's queue."""
        self._waiting.setdefault(sequence.owner, deque()).append(sequence.group)
        self.num_waiting += len(sequence.group)

    def fork(self, parent: Sequence, child: Sequence) -> None:
        """Let ``child``, a copy of the running ``parent``, run beside it, or wait if every place is taken.

        A parent that holds more than one slot gives one to the child.
        """
        if parent.slots > 1:
            parent.slots -= 1
            self._used_slots -= 1
        elif self._used_slots >= self.max_num_seqs:
            self.add(child)
            return
        self.blocks.fork(parent, child)
        self._start(child)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence, running or waiting, and take its blocks back."""
        if sequence.id in self.running:
            self._stop(sequence)
            return
        queue = self._waiting.get(sequence.owner, deque())
        for group in queue:
            if sequence in group:
                group.remove(sequence)
                self.num_waiting -= 1
                if not group:
                    queue.remove(group)
                break
        if not queue:
            self._waiting.pop(sequence.owner, None)

    def schedule(self) -> Plan:
        """Decide the next step; the plan is empty when there is nothing to run."""
        plan = Plan()
        preempted = self._decode(plan)
        if self._waiting and not preempted:  # what was just preempted would only be admitted to be preempted again
            self._admit()
        if len(plan.num_tokens) < len(self.running):
            self._read_prompts(plan)
        return plan

    def _decode(self, plan: Plan) -> bool:
        preempted = False
        for sequence in list(self.running.values()):
            if len(sequence.tokens) - sequence.num_computed != 1 or sequence.id not in self.running:
                continue
            while not self.blocks.extend(sequence, plan.copies):
                preempted = True
                victim = next(reversed(self.running.values()))
                self._preempt(victim, plan)
                if sequence.id not in self.running:
                    break
            else:
                plan.num_tokens[sequence.id] = 1
        return preempted

    def _preempt(self, victim: Sequence, plan: Plan) -> None:
        self.num_preemptions += 1
        for sequence in victim.group:
            plan.num_tokens.pop(sequence.id, None)
            self._stop(sequence)
        self._waiting.setdefault(victim.owner, deque()).appendleft(victim.group)
        self.num_waiting += len(victim.group)

    def _admit(self) -> None:
        while self._waiting:
            owner, queue = next(iter(self._waiting.items()))
            group = queue[0]
            # The head of the line waits until it fits, and everybody behind it: else small requests could pass a
            # large one for ever.
            if not self._allocate(group):
                return
            queue.popleft()
            self.num_waiting -= len(group)
            self._waiting.move_to_end(owner)
            if not queue:
                del self._waiting[owner]
            for sequence in group:
                self._start(sequence)
                self.num_cached_tokens += sequence.num_cached

    def _allocate(self, group: list[Sequence]) -> bool:
        if self._used_slots + sum(sequence.slots for sequence in group) > self.max_num_seqs:
            return False
        for i, sequence in enumerate(group):
            # One block for each sequence that runs already, or the newcomer would be preempted in its first steps.
            if not self.blocks.allocate(sequence, spare=len(self.running)):
                for earlier in group[:i]:
                    self.blocks.release(earlier)
                return False
        return True

    def _read_prompts(self, plan: Plan) -> None:
        """Add pieces of prompts, whoever waited longest first, until the budget is reached."""
        budget = self.max_batch_tokens
        prompts = [s for s in self.running.values() if s.remaining and s.id not in plan.num_tokens]
        for sequence in sorted(prompts, key=lambda sequence: sequence.turn):
            piece = min(self.max_batch_tokens, sequence.max_chunk or self.max_batch_tokens)
            num_tokens = min(sequence.remaining, piece - sequence.num_computed % piece)
            plan.num_tokens[sequence.id] = num_tokens
            sequence.turn = self._next_turn()
            budget -= num_tokens
            if budget <= 0:
                return

    def _next_turn(self) -> int:
        self._turn += 1
        return self._turn

    def _start(self, sequence: Sequence) -> None:
        self.running[sequence.id] = sequence
        sequence.turn = self._next_turn()
        self._used_slots += sequence.slots

    def _stop(self, sequence: Sequence) -> None:
        del self.running[sequence.id]
        self._used_slots -= sequence.slots
        self.blocks.release(sequence)
