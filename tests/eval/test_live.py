"""Weights in training are asked and scored as they are, without a copy, and trained on afterwards."""

import json
import threading
from pathlib import Path

import pytest
import torch

from chatwright import LoadedModel, SamplingParams, load_model, load_tokenizer
from chatwright.errors import InvalidParameterError
from chatwright.eval import evaluate

GREEDY = SamplingParams(temperature=0.0, max_tokens=8)


def test_live_weights_answer_as_a_loaded_model_does(tiny_model_dir: Path, tiny_loaded: LoadedModel) -> None:
    model, tokenizer = load_model(tiny_model_dir, dtype="float32").eval(), load_tokenizer(tiny_model_dir)
    threads = threading.active_count()
    live = LoadedModel.of(model, tokenizer, max_model_len=128, max_num_seqs=4)
    prompt = live.template.render([{"role": "user", "content": "hello"}], add_generation_prompt=True).ids
    before = live.engine.submit(prompt, GREEDY).result()[0]
    assert before.token_ids == tiny_loaded.engine.submit(prompt, GREEDY).result()[0].token_ids
    assert live.engine.eos_ids == tiny_loaded.engine.eos_ids
    assert live.engine.model is model
    assert live.engine.stats().blocks_total == 4 * 128 // 64
    live.close()
    assert threading.active_count() == threads

    with torch.no_grad():  # a step of training
        model.embed.weight.copy_(model.embed.weight.roll(1, dims=0))
    changed = LoadedModel.of(model, tokenizer, max_model_len=128)
    assert changed.engine.submit(prompt, GREEDY).result()[0].token_ids != before.token_ids
    changed.close()


def test_a_model_is_trained_on_after_it_was_evaluated(tiny_model_dir: Path, tmp_path: Path) -> None:
    model, tokenizer = load_model(tiny_model_dir, dtype="float32").eval(), load_tokenizer(tiny_model_dir)
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"prompt": "hello", "answer": "sky"}) + "\n")
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"text": "hello the sky is blue"}) + "\n")
    live = LoadedModel.of(model, tokenizer, max_model_len=128)
    evaluate(live, [f"exact:{rows}", f"perplexity:{texts}"])
    live.close()
    model.train().requires_grad_(True)
    ids = torch.tensor([tokenizer.encode("hello the sky is blue")])
    loss = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:])
    loss.backward()  # tensors made in inference mode would be refused here
    assert model.embed.weight.grad is not None
    with pytest.raises(InvalidParameterError, match=r"call model\.eval\(\)"):
        LoadedModel.of(model, tokenizer)
