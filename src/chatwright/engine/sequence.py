"""One sequence of tokens on its way through the model, as the scheduler and the block manager see it."""

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Sequence:
    """Tokens, how many of them are computed, and the blocks that hold their keys and values.

    Attributes:
        id: unique within an engine.
        request_id: the request it belongs to.
        owner: whose it is: blocks are shared between sequences of one owner only, and owners take turns.
        tokens: the prompt, then what was generated.
        prompt_length: how many of ``tokens`` are prompt.
        use_cache: whether the prompt may be taken from the prefix cache (not where every prompt logit is wanted).
        max_chunk: most tokens to run in one step, or None; bounds the logits of a step where all are wanted.
        num_computed: how many leading tokens have keys and values in ``blocks``.
        num_cached: how many tokens the last admission took from the prefix cache.
        blocks: block table; ``blocks[p // block_size]`` holds position ``p``.
        digests: chain of content digests of the leading full blocks, as far as computed.
        slots: places of the running batch that it holds, more than one where forks are to come.
        turn: when it was admitted or last read a piece of its prompt; who waited longest is next.
        group: sequences that advance in lockstep and are preempted together (beams); else only itself.
    """

    id: str
    request_id: str
    owner: str
    tokens: list[int]
    prompt_length: int
    use_cache: bool = True
    max_chunk: int | None = None
    num_computed: int = 0
    num_cached: int = 0
    blocks: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    slots: int = 1
    turn: int = 0
    group: list["Sequence"] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.group:
            self.group.append(self)

    @property
    def remaining(self) -> int:
        """Tokens that have to be run before the next one can be chosen; 0 while one is being chosen."""
        return len(self.tokens) - self.num_computed
