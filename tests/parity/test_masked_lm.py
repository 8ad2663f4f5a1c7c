"""The loss of filling in against transformers: its model without a causal mask, its loss of masked language models."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers.loss.loss_utils import ForMaskedLMLoss

from chatwright.chat import ChatTemplate
from chatwright.data.rows import Text
from chatwright.model import load_model
from chatwright.tokenizer import Tokenizer
from chatwright.train.batch import IGNORED
from chatwright.train.objective import StageContext
from chatwright.train.objectives.masked_lm import MaskedLM, MaskedLMSettings
from tests.train.objectives.steps import batch_of


def test_loss_and_gradient_of_hidden_tokens(tiny_model_dir: Path, tmp_path: Path) -> None:
    model = load_model(tiny_model_dir, dtype="float32").requires_grad_(True).train()
    tokenizer = Tokenizer.from_folder(tiny_model_dir)
    settings = MaskedLMSettings.model_validate({"mask_probability": 0.3})
    device = torch.device("cpu")
    task = MaskedLM(StageContext(settings, model, tokenizer, ChatTemplate(tokenizer), tmp_path, 0, device))
    batch = batch_of(task, [Text("why is the sky blue, hello world"), Text("你好世界, what is it and who is he?")])
    ours = task.loss(model, batch).total / task.items(batch)

    auto: Any = transformers.AutoModelForCausalLM
    theirs = auto.from_pretrained(tiny_model_dir, dtype=torch.float32, attn_implementation="eager").train()
    hidden = task.hidden(batch)
    logits, labels, start = [], [], 0
    for length in batch.lengths:
        part = slice(start, start + length)
        every_other = torch.zeros(1, 1, length, length)  # added to the scores: each token sees all of its own text
        logits.append(theirs(hidden.input_ids_N[None, part], attention_mask=every_other).logits[0])
        labels.append(hidden.labels_N[part])
        start += length
    assert int((torch.cat(labels) != IGNORED).sum()) == task.items(batch)
    expected = ForMaskedLMLoss(torch.cat(logits), torch.cat(labels), theirs.config.vocab_size)
    assert float(ours.detach()) == pytest.approx(float(expected.detach()), abs=1e-5)
    (gradient,) = torch.autograd.grad(ours, [model.embed.weight])
    (their_gradient,) = torch.autograd.grad(expected, [theirs.get_input_embeddings().weight])
    torch.testing.assert_close(gradient, their_gradient, atol=1e-5, rtol=1e-4)
