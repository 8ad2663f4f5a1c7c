"""A recipe from raw text to preferences that runs in seconds, with its data."""

import json
from pathlib import Path
from typing import Any

import yaml

from chatwright.train.recipe import Recipe, load_recipe

QUESTION = "What is 1 plus 2?"


def write_recipe(folder: Path, **changes: Any) -> Path:
    """Write data and recipe into ``folder``; top-level keys of the recipe can be changed."""
    write_data(folder)
    stage = {"max_length": 48, "train_batch_size": 4, "logging_steps": 2, "eval_steps": 2, "save_steps": 2}
    stage |= {"bf16": False}
    values: dict[str, Any] = {
        "output": str(folder / "run"),
        "model": {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "max_position_embeddings": 64},
        "tokenizer": {"vocab_size": 300},
        "data": {
            "text": {"path": str(folder / "text.jsonl"), "validation_fraction": 0.1},
            "chats": {"path": str(folder / "chats.jsonl"), "validation_fraction": 0.1},
            "pairs": {"path": str(folder / "pairs.jsonl"), "validation_fraction": 0.1},
        },
        "stages": {
            "pretrain": {**stage, "data": "text", "max_steps": 6},
            "sft": {**stage, "data": "chats", "max_steps": 4, "learning_rate": 1e-3},
            "dpo": {**stage, "data": "pairs", "max_steps": 2},
        },
        "evaluation": {"samples": [QUESTION], "sample_tokens": 4},
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values | changes, sort_keys=False))
    return path


def tiny(folder: Path, *overrides: str, **changes: Any) -> Recipe:
    """The recipe itself."""
    return load_recipe(write_recipe(folder, **changes), overrides)


def write_data(folder: Path) -> None:
    """Sums, as running text, as chats and as preferences."""
    sums = [(a, b) for a in range(9) for b in range(9)]
    text = [{"text": f"The sum of {a} and {b} is {a + b}. {a} 加 {b} 等于 {a + b}。"} for a, b in sums]
    chats = [{"messages": [_user(a, b), {"role": "assistant", "content": f"It is {a + b}."}]} for a, b in sums]
    pairs = [
        {"prompt": f"What is {a} plus {b}?", "chosen": f"It is {a + b}.", "rejected": "I do not know."} for a, b in sums
    ]
    for name, rows in (("text", text), ("chats", chats), ("pairs", pairs)):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def _user(a: int, b: int) -> dict[str, str]:
    return {"role": "user", "content": f"What is {a} plus {b}?"}


def records(folder: Path) -> list[dict[str, Any]]:
    """What ``metrics.jsonl`` says, without what depends on the clock."""
    clock = {"seconds", "tokens_per_s", "mfu"}
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in clock} for line in lines]
