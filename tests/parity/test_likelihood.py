"""Likelihoods of branching continuations against transformers, which scores each of them as a text of its own."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from chatwright.eval.likelihood import Branches, score
from chatwright.model import load_model

SHAPE: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
CONFIGS = {
    "llama": transformers.LlamaConfig(**SHAPE),
    "gpt2": transformers.GPT2Config(vocab_size=61, n_embd=32, n_layer=2, n_head=4, n_positions=64, eos_token_id=None),
    "gemma3": transformers.Gemma3TextConfig(
        **SHAPE,
        head_dim=8,
        sliding_window=5,
        query_pre_attn_scalar=8,
        layer_types=["sliding_attention", "full_attention"],
    ),
}


@pytest.mark.parametrize("family", CONFIGS)
def test_scores_of_branches_equal_those_of_whole_texts(family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = transformers.AutoModelForCausalLM.from_config(CONFIGS[family]).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(0.0, 0.3)
    theirs.save_pretrained(tmp_path)
    ours = load_model(tmp_path, dtype="float32")

    def ids(count: int) -> list[int]:
        return torch.randint(1, 61, (count,)).tolist()

    branches = [
        Branches(ids(9), [ids(1), ids(4), ids(7)]),
        Branches(ids(2), [ids(1), ids(1)]),
        Branches(ids(1), [ids(20)]),
        Branches(ids(30), [ids(3), ids(12), ids(2), ids(1)]),
        Branches(ids(12), [ids(5)]),
    ]
    # One that greedy decoding writes, so that both answers to "is it greedy" occur.
    context = ids(8)
    greedy = theirs.generate(torch.tensor([context]), do_sample=False, max_new_tokens=3, pad_token_id=0)
    branches.append(Branches(context, [greedy[0, 8:].tolist()]))
    for batch_tokens in (1, 40, 4096):
        scored = score(ours, branches, batch_tokens=batch_tokens)
        for branch, likelihoods in zip(branches, scored, strict=True):
            assert len(likelihoods) == len(branch.continuations)
            for continuation, likelihood in zip(branch.continuations, likelihoods, strict=True):
                log_prob, is_greedy = _expected(theirs, branch.context, continuation)
                assert likelihood.log_prob == pytest.approx(log_prob, abs=2e-4)
                assert likelihood.is_greedy is is_greedy
                assert likelihood.num_tokens == len(continuation)
        assert scored[-1][0].is_greedy


@torch.no_grad()
def _expected(model: Any, context: Any, continuation: Any) -> tuple[float, bool]:
    whole = torch.tensor([[*context, *continuation]])
    rows = model(whole).logits[0, len(context) - 1 : -1].log_softmax(-1)
    targets = whole[0, len(context) :]
    return float(rows.gather(1, targets[:, None]).sum()), bool((rows.argmax(-1) == targets).all())
