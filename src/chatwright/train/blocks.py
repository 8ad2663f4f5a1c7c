"""How a model's blocks are run while it is trained: compiled, or with activations that are computed again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from chatwright.model import GPT
from chatwright.train.packed import PackedAttend


@contextmanager
def running_blocks(model: GPT, *, recompute: bool, compiled: bool) -> Iterator[None]:
    """Within the block of this statement the model's layers run otherwise; their weights and names stay as they are.

    Args:
        model: its ``layers`` are changed, and changed back.
        recompute: keep only what enters a layer, and run it a second time in the backward pass (Chen et al. 2016,
            arXiv 1604.06174): a third more work for a small part of the memory. Dropout draws the same numbers again.
        compiled: compile each layer with TorchInductor.
    """
    attend = PackedAttend.__call__
    try:
        if compiled:
            # Documents of ever new lengths would have every layer compiled anew for each batch.
            PackedAttend.__call__ = torch.compiler.disable(attend)  # type: ignore[method-assign,no-untyped-call]
        for block in model.layers:
            forward: Callable[..., Any] = block.forward
            if compiled:
                forward = torch.compile(forward)
            if recompute:
                forward = Recomputed(forward)
            if compiled or recompute:
                block.forward = forward
        yield
    finally:
        PackedAttend.__call__ = attend  # type: ignore[method-assign]
        for block in model.layers:
            block.__dict__.pop("forward", None)


class Recomputed:
    """A function whose inner values are not kept for the backward pass, but computed again."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward = forward

    def __call__(self, *arguments: Any) -> Any:
        """Run it."""
        if not torch.is_grad_enabled():
            return self.forward(*arguments)
        return checkpoint(self.forward, *arguments, use_reentrant=False)
