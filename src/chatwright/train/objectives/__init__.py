"""What a stage can minimise, one module each; imported when a recipe names them."""

import difflib
from importlib import import_module

from chatwright.errors import ConfigError
from chatwright.train.objective import Objective

OBJECTIVES: dict[str, str] = {
    "pretrain": "causal:Pretrain",
    "sft": "sft:SFT",
    "private_sft": "private_sft:PrivateSFT",
    "mlm": "masked_lm:MaskedLM",
    "classify": "classify:Classify",
    "distill": "distill:Distill",
    "distill_text": "distill_text:DistillText",
    "reward": "reward:RewardModel",
    "dpo": "dpo:DPO",
    "kto": "kto:KTO",
    "orpo": "orpo:ORPO",
    "grpo": "grpo:GRPO",
    "ppo": "ppo:PPO",
}
"""Name → "module:class", the module within this package."""


def objective(name: str) -> type[Objective]:
    """The objective of that name.

    Raises:
        ConfigError: there is none; names those that are.
    """
    if name not in OBJECTIVES:
        close = difflib.get_close_matches(name, OBJECTIVES, n=1)
        hint = f", did you mean {close[0]!r}?" if close else "."
        raise ConfigError(f"no objective is called {name!r}{hint} There are: {', '.join(OBJECTIVES)}")
    module, _, kind = OBJECTIVES[name].partition(":")
    found: type[Objective] = getattr(import_module(f"{__name__}.{module}"), kind)
    return found
