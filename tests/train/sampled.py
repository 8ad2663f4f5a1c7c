"""Stages that sample answers, for several processes: the tiny model is rewarded for letters."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch

from chatwright.chat import ChatTemplate, Message
from chatwright.data.rows import Prompt
from chatwright.model.load import load_folder
from chatwright.model.lora import add_adapters
from chatwright.tokenizer import Tokenizer
from chatwright.train.loop import run_stage
from chatwright.train.objective import StageContext
from chatwright.train.objectives import objective
from chatwright.train.stage import Stage
from chatwright.train.stage_model import save_weights
from chatwright.train.world import SingleProcess, World
from tests.train.doubles import Notes

STEPS = 6
SAVED = 3  # in the middle of a rollout
PROMPTS = [Prompt((Message("user", text),), None, {}) for text in ("hello", "why", "what is the sky", "who")]

# A reference that is spread over the processes, one of switched-off adapters, and a value head.
KINDS: dict[str, dict[str, Any]] = {
    "grpo": {"beta": 0.05, "num_generations": 4, "num_iterations": 2, "temperature": 0.9},
    "grpo-lora": {"beta": 0.05, "num_generations": 4, "num_iterations": 2, "lora": {"r": 4}, "learning_rate": 2e-2},
    "ppo": {"num_ppo_epochs": 2, "value_learning_rate": 5e-3, "target_kl": 0.01},
}
WAYS = (("grpo", "ddp"), ("grpo", "fsdp"), ("grpo-lora", "fsdp"), ("ppo", "fsdp"))


def letters(completions: Sequence[str]) -> list[float]:
    return [sum(map(str.isalpha, text)) / 8 for text in completions]


def sampling_stage(kind: str, model_folder: Path, parallel: str = "auto", world: World | None = None) -> Stage:
    world = world or SingleProcess()
    tokenizer = Tokenizer.from_folder(model_folder)
    model = load_folder(model_folder).requires_grad_(True)
    made = objective(kind.partition("-")[0])
    settings = {"learning_rate": 3e-3, "max_length": 64, "max_completion_length": 8, "train_batch_size": 8}
    settings |= {"bf16": False, "parallel": parallel, "logging_steps": 1, "save_steps": SAVED, "save_total_limit": 9}
    settings |= {"reward_funcs": "tests.train.sampled:letters", **KINDS[kind]}
    if "lora" in settings:
        add_adapters(model, r=4, seed=0)
    context = StageContext(
        settings=made.Settings(**settings),
        model=model,
        tokenizer=tokenizer,
        template=ChatTemplate(tokenizer),
        folder=model_folder,
        seed=3,
        device=torch.device("cpu"),
        rank=world.rank,
        world_size=world.size,
    )
    goal = made(context)
    feed = goal.feed(PROMPTS)
    assert feed is not None
    return Stage(
        name="rl",
        settings=context.settings,
        model=model,
        objective=goal,
        feed=feed,
        total_steps=STEPS,
        seed=3,
        save_model=lambda folder: save_weights(model, folder),
    )


def figures(
    stage: Stage, run: Path, world: World | None = None, resume_from: Path | None = None
) -> dict[str, list[float]]:
    """Of each step: the loss, what was sampled as far as its reward tells, and the distance from the reference."""
    notes = Notes()
    run_stage(stage, run=run, watcher=notes, world=world, resume_from=resume_from)
    return {name: [cast(float, record[name]) for record in notes.steps] for name in ("loss", "reward", "kl")}
