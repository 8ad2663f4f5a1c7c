"""Vectors of texts: the mean of a model's last hidden states, scaled to length 1.

Shape legend: B texts, T tokens, C hidden width.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch

from chatwright.errors import ContextLengthError, InputError, InvalidParameterError
from chatwright.model.gpt import GPT
from chatwright.tokenizer import Tokenizer

_BATCH_TOKENS: Final = 1024  # padded; nobody who is being answered waits longer than one batch


def token_rows(tokenizer: Tokenizer, inputs: Sequence[str | Sequence[int]], *, limit: int) -> list[list[int]]:
    """The token ids of texts, and of token ids themselves.

    Raises:
        InputError: one is empty.
        ContextLengthError: one is longer than ``limit`` tokens.
        InvalidParameterError: a token id that the model does not have.
    """
    rows: list[list[int]] = []
    for index, given in enumerate(inputs):
        row = tokenizer.encode(given, add_bos=tokenizer.adds_bos) if isinstance(given, str) else list(given)
        if not given:
            raise InputError(f"input {index} is empty; give a text")
        if len(row) > limit:
            raise ContextLengthError(
                f"input {index} has {len(row):,} tokens, but the model holds {limit:,}; shorten it",
                prompt_tokens=len(row),
                limit=limit,
            )
        if min(row) < 0 or max(row) >= tokenizer.vocab_size:
            raise InvalidParameterError(
                "input", f"input {index} has a token id outside 0 to {tokenizer.vocab_size - 1}, the model's own"
            )
        rows.append(row)
    return rows


def batches(rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices of rows that run together: of like length, so that little is padding."""
    batch: list[int] = []
    for index in sorted(range(len(rows)), key=lambda i: len(rows[i])):
        if batch and (len(batch) + 1) * len(rows[index]) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def mean_vectors(model: GPT, rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Float32 [B, C], each of length 1."""
    device = model.embed.weight.device
    longest = max(map(len, rows))
    ids_BT = torch.zeros(len(rows), longest, dtype=torch.int64)
    mask_BT = torch.zeros(len(rows), longest, dtype=torch.int64)
    for index, row in enumerate(rows):
        ids_BT[index, : len(row)] = torch.tensor(row)
        mask_BT[index, : len(row)] = 1
    ids_BT, mask_BT = ids_BT.to(device), mask_BT.to(device)
    with torch.inference_mode():
        padded = None if bool(mask_BT.all()) else mask_BT
        hidden_BTC = model(ids_BT, padded, num_logits=0).last_hidden_state.float()
        mean_BC = (hidden_BTC * mask_BT[..., None]).sum(1) / mask_BT.sum(1, keepdim=True)
        vectors_BC: np.ndarray = torch.nn.functional.normalize(mean_BC, dim=-1).cpu().numpy()
    return vectors_BC
