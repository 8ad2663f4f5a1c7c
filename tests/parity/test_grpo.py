"""GRPO, Dr. GRPO and DAPO give trl's losses for the same answers and advantages."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chatwright.chat import ChatTemplate
from chatwright.data.example import Document
from chatwright.model.load import load_folder
from chatwright.tokenizer import Tokenizer
from chatwright.train.experience import Experience
from chatwright.train.objective import StageContext
from chatwright.train.objectives.grpo import GRPO, GRPOSettings

PROMPTS, ANSWERS = [[5, 6], [5, 6], [7, 8, 9], [7, 8, 9]], [[20, 21, 22, 2], [23, 2], [24, 25, 26], [27, 2]]
COUNTS = [len(answer) for answer in ANSWERS]
REWARDS = torch.tensor([[1.0, 0.25], [0.0, 0.5]])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize("beta", [0.0, 0.2])
def test_loss(tiny_model_dir: Path, tmp_path: Path, loss_type: str, beta: float) -> None:
    generator = torch.Generator().manual_seed(0)
    old, reference = -6 + 0.3 * torch.randn(2, sum(COUNTS), generator=generator)
    options = {"loss_type": loss_type, "beta": beta, "temperature": 0.7, "epsilon_high": 0.28, "epsilon": 0.1}
    theirs = _theirs(tiny_model_dir, tmp_path, old, reference, **options)

    goal = _ours(tiny_model_dir, tmp_path, **options)
    documents = [
        Document(np.array(prompt + answer, np.int32), np.arange(len(prompt + answer)) >= len(prompt))
        for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)
    ]
    zeros = torch.zeros(4)
    values = {"reward": REWARDS.flatten(), "answer_tokens": zeros, "truncated": zeros}
    experience = goal.learn_from(Experience.of(documents, values), [range(4)], None)
    tokens = {"old_log_prob": old} | ({"reference_log_prob": reference} if beta else {})
    total, items = torch.zeros(()), 0.0
    for batch in experience.with_tokens(**tokens).batches([range(3), range(3, 4)]):  # however it is divided
        total = total + goal.loss(goal.context.model, batch).total.detach()
        items += goal.items(batch)
    assert float(total) / items == pytest.approx(theirs, abs=1e-6)


def _ours(folder: Path, tmp_path: Path, **options: Any) -> GRPO:
    settings = GRPOSettings(
        num_generations=2,
        train_batch_size=4,
        max_length=64,
        max_completion_length=6,
        reward_funcs="math:fsum",  # type: ignore[arg-type]
        scale_rewards="group",
        **options,
    )
    tokenizer = Tokenizer.from_folder(folder)
    model = load_folder(folder, dtype=torch.float32).requires_grad_(True)
    template = ChatTemplate(tokenizer)
    return GRPO(StageContext(settings, model, tokenizer, template, tmp_path, seed=0, device=torch.device("cpu")))


def _theirs(folder: Path, tmp_path: Path, old: torch.Tensor, reference: torch.Tensor, **options: Any) -> float:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=GRPOConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=4,
            num_generations=2,
            max_completion_length=6,
            use_cpu=True,
            bf16=False,
            report_to=[],
            **options,
        ),
        train_dataset=Dataset.from_list([{"prompt": "hello"}]),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )
    centred = REWARDS - REWARDS.mean(dim=1, keepdim=True)
    inputs = {
        "prompt_ids": _padded(PROMPTS, left=True),
        "prompt_mask": _padded([[1] * len(prompt) for prompt in PROMPTS], left=True),
        "completion_ids": _padded(ANSWERS),
        "completion_mask": _padded([[1] * count for count in COUNTS]),
        "advantages": (centred / (REWARDS.std(dim=1, keepdim=True) + 1e-4)).flatten(),
        "old_per_token_logps": _padded(old.split(COUNTS)),
        "ref_per_token_logps": _padded(reference.split(COUNTS)),
        "num_items_in_batch": torch.tensor(sum(COUNTS)),
    }
    return float(trainer._compute_loss(trainer.model.eval(), inputs))


def _padded(rows: Any, *, left: bool = False) -> torch.Tensor:
    tensors = [torch.as_tensor(row) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_side="left" if left else "right")
