"""What the GPT does beyond what transformers can check: options of our own, the attention hook, fresh weights."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from chatwright.errors import ContextLengthError, InvalidParameterError
from chatwright.model import GPT, ModelConfig, MoEConfig, build_model
from chatwright.model.attention import DenseAttend, visible
from chatwright.model.positions import sinusoidal_positions

SMALL = ModelConfig(61, 24, 3, 4, num_kv_heads=2, head_dim=8, initializer_range=0.3)
IDS = torch.randint(0, 61, (2, 11), generator=torch.Generator().manual_seed(0))


def small(**changes: Any) -> GPT:
    return build_model(SMALL.replace(**changes), device="cpu").eval()


class Cache:
    """The smallest key/value cache: what an engine passes as ``attend``."""

    def __init__(self) -> None:
        self.k: dict[int, Tensor] = {}
        self.v: dict[int, Tensor] = {}

    def __call__(
        self, layer: int, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        if layer in self.k:
            k_BHTD = torch.cat((self.k[layer], k_BHTD), dim=2)
            v_BHTD = torch.cat((self.v[layer], v_BHTD), dim=2)
        self.k[layer], self.v[layer] = k_BHTD, v_BHTD
        time, total = q_BHTD.shape[2], k_BHTD.shape[2]
        mask = visible(total, causal=True, window=window, padding_BT=None, device=q_BHTD.device)[:, :, total - time :]
        return torch.nn.functional.scaled_dot_product_attention(
            q_BHTD, k_BHTD, v_BHTD, attn_mask=mask, scale=scale, enable_gqa=True
        )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"position": "learned"},
        {"position": "sinusoidal"},
        {"sliding_window": 3, "layer_types": ("sliding", "full", "sliding")},
        {"norm_placement": "post", "norm": "layer"},
        {"moe": MoEConfig(4, 2, 16)},
    ],
)
@torch.no_grad()
def test_a_cache_in_the_hook_gives_the_logits_of_the_whole(changes: dict[str, Any]) -> None:
    model = small(**changes)
    whole = model(IDS).logits
    cache = Cache()
    pieces = []
    for start, end in ((0, 5), (5, 6), (6, 11)):
        positions = torch.arange(start, end)[None]
        pieces.append(model(IDS[:, start:end], positions=positions, attend=cache).logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_causal_models_do_not_see_the_future_and_bidirectional_ones_do() -> None:
    changed = IDS.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 61
    for causal in (True, False):
        model = small(causal=causal)
        same = torch.isclose(model(IDS).logits, model(changed).logits, atol=1e-6).all(-1)
        assert same[:, :7].all() == causal
        assert not same[:, 7:].any()


@torch.no_grad()
def test_a_bidirectional_window_looks_both_ways() -> None:
    mask = visible(5, causal=False, window=2, padding_BT=None, device=torch.device("cpu"))[0, 0]
    near = (torch.arange(5)[:, None] - torch.arange(5)[None]).abs() < 2
    assert torch.equal(mask, near)


@pytest.mark.parametrize("position", ["rotary", "sinusoidal", "learned"])
@torch.no_grad()
def test_padding_changes_nothing_for_the_real_tokens(position: str) -> None:
    model = small(position=position)
    alone = model(IDS[:1, :6]).logits
    ids = torch.cat((torch.full((1, 3), 9), IDS[:1, :6], torch.full((1, 2), 9)), dim=1)
    mask = torch.tensor([[0] * 3 + [1] * 6 + [0] * 2])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    padded = model(ids, attention_mask=mask, positions=positions).logits
    torch.testing.assert_close(padded[:, 3:9], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_without_positions_a_model_cannot_tell_the_order() -> None:
    shuffled = IDS[:, [2, 0, 1, *range(3, 11)]]
    for position, blind in (("none", True), ("sinusoidal", False), ("rotary", False), ("learned", False)):
        model = small(position=position, num_layers=1, layer_types=())
        last, other = (model(ids, num_logits=1).logits for ids in (IDS, shuffled))
        assert torch.allclose(last, other, atol=1e-5) == blind


def test_sinusoidal_positions_are_those_of_the_paper() -> None:
    table = sinusoidal_positions(torch.arange(4)[None], 5, torch.float32)[0]
    for position in range(4):
        for feature in range(5):
            angle = position / 10_000 ** ((feature - feature % 2) / 5)
            expected = math.cos(angle) if feature % 2 else math.sin(angle)
            assert table[position, feature].item() == pytest.approx(expected, abs=1e-6)


@torch.no_grad()
def test_num_logits_gives_rows_of_the_whole() -> None:
    model = small(tie_embeddings=False)
    whole = model(IDS).logits
    for num, rows in ((0, whole[:, 11:]), (1, whole[:, -1:]), (4, whole[:, -4:]), (99, whole)):
        torch.testing.assert_close(model(IDS, num_logits=num).logits, rows)
    index = torch.tensor([0, 5, 10])
    torch.testing.assert_close(model(IDS, num_logits=index).logits, whole[:, index])
    output = model(IDS, num_logits=0)
    torch.testing.assert_close(model.logits(output.last_hidden_state), whole)


@torch.no_grad()
def test_attentions_are_those_of_the_fused_kernel() -> None:
    model = small(sliding_window=3, layer_types=("sliding", "full", "sliding"))
    mask = torch.ones_like(IDS)
    mask[0, :2] = 0
    recorded = model(IDS, mask, output_attentions=True)
    assert recorded.attentions is not None
    assert [tuple(attention.shape) for attention in recorded.attentions] == [(2, 4, 11, 11)] * 3
    torch.testing.assert_close(torch.stack(recorded.attentions).sum(-1), torch.ones(3, 2, 4, 11))
    torch.testing.assert_close(model(IDS, mask).logits, recorded.logits, atol=1e-5, rtol=1e-5)


def test_fresh_weights_follow_the_seed_and_their_purpose() -> None:
    config = SMALL.replace(hidden_size=256, head_dim=64, num_kv_heads=4, qkv_bias=True, norm_offset=1.0)
    one, same, other = (build_model(config, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["embed.weight"], other["embed.weight"])
    assert one["layers.0.attn.q_proj.bias"].abs().max() == 0
    assert one["norm.weight"].abs().max() == 0  # with an offset of 1 a norm that multiplies by 1 stores 0
    assert one["layers.0.attn.q_proj.weight"].std().item() == pytest.approx(0.3, rel=0.05)
    assert one["layers.0.attn.o_proj.weight"].std().item() == pytest.approx(0.3 / math.sqrt(6), rel=0.05)
    assert all(torch.equal(one[name], tensor) for name, tensor in seeded(config).items())


def seeded(config: ModelConfig) -> dict[str, Tensor]:
    model = GPT(config)
    model.init_weights(1)
    return model.state_dict()


def test_a_fresh_model_starts_as_uniform_and_learns() -> None:
    torch.manual_seed(0)
    model = build_model(SMALL.replace(dropout=0.1, initializer_range=0.02, moe=MoEConfig(4, 2, 16)))
    assert model.training
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        logits = model(IDS[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), IDS[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert all(parameter.grad is not None for name, parameter in model.named_parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(61), abs=0.1)
    assert losses[-1] < 0.5


def test_dropout_works_in_training_only() -> None:
    model = small(dropout=0.5)
    with torch.no_grad():
        assert torch.equal(model(IDS).logits, model(IDS).logits)
        model.train()
        assert not torch.equal(model(IDS).logits, model(IDS).logits)


def test_learned_positions_end_with_a_clear_error() -> None:
    model = small(position="learned", max_position_embeddings=8)
    with pytest.raises(ContextLengthError, match=r"11 tokens.*positions for 8") as caught:
        model(IDS)
    assert (caught.value.prompt_tokens, caught.value.limit) == (11, 8)


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"attention_mask": torch.ones(2, 10)}, "attention_mask"),
        ({"num_logits": -1}, "num_logits"),
        ({"attend": DenseAttend(causal=True), "output_attentions": True}, "attend"),
        ({"attend": DenseAttend(causal=True), "attention_mask": torch.ones(2, 11)}, "attend"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        small()(IDS, **arguments)
    assert caught.value.parameter == parameter


def test_one_row_of_ids_is_not_a_batch() -> None:
    with pytest.raises(InvalidParameterError, match=r"shape \[11\]"):
        small()(IDS[0])


@torch.no_grad()
def test_experts_are_the_weighted_sum_that_the_paper_writes() -> None:
    moe = MoEConfig(5, 2, 16, normalize_weights=True)
    layer: Any = small(moe=moe).layers[0].mlp
    x_NC = torch.randn(7, 24, generator=torch.Generator().manual_seed(2))
    probabilities = layer.router(x_NC).softmax(-1)
    expected = torch.zeros_like(x_NC)
    for token in range(7):
        chosen = probabilities[token].topk(2)
        for weight, expert in zip(chosen.values / chosen.values.sum(), chosen.indices, strict=True):
            gate, up = (layer.gate_up_proj[expert] @ x_NC[token]).chunk(2)
            expected[token] += weight * (layer.down_proj[expert] @ (torch.nn.functional.silu(gate) * up))
    torch.testing.assert_close(layer(x_NC), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "ids", [torch.zeros(1, 0, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), torch.zeros(1, 3)], ids=str
)
def test_what_is_no_batch_of_token_ids_is_refused(ids: torch.Tensor) -> None:
    model = GPT(ModelConfig(vocab_size=8, hidden_size=8, num_layers=1, num_heads=2))
    with pytest.raises(InvalidParameterError, match="input_ids"):
        model(ids)
