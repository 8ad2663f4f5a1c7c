"""Quantisation-aware training: the passes see weights rounded to 8 bits, as the CPU engine will round them.

The gradient at the rounded weights moves the float32 masters (a straight-through estimate: the rounding counts as the
identity), so they settle where rounding costs least. Since rounded copies of the masters are made once a step, and not
in each forward pass, it costs next to nothing.

Source:
    Bengio et al. 2013, arXiv 1308.3432, section 4; Jacob et al. 2017, arXiv 1712.05877, section 3.
"""

import re

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.errors import ConfigError
from chatwright.model import GPT
from chatwright.model.lora import has_adapters
from chatwright.train.precision import Rounding

GROUP = 32  # columns that share a scale, and
LEVELS = 127  # the largest integer: those of the engine's weights (engine/cpu/pack.py)
_MATRIX = re.compile(r"model\.(layers\.\d+\.(attn|mlp)\.\w+_proj|head)\.weight")


def int8_rounding(model: GPT, *, levels: int = LEVELS) -> Rounding:
    """Rounds the matrices that the engine holds in 8 bits: those of the layers, and the output head.

    A head that is tied to the embedding is rounded with it.

    Args:
        model: that is trained.
        levels: largest integer; fewer make coarser weights.
    Raises:
        ConfigError: the model has adapters, or experts, which are not served in 8 bits.
    """
    if has_adapters(model):
        raise ConfigError("qat rounds the weights that are trained, but lora freezes them; leave out one of the two")
    if model.config.moe is not None:
        raise ConfigError("qat is for models that are served in 8 bits, and those with experts are not; remove qat")
    tied = model.head is None

    def rounded(name: str, weight: Tensor) -> Tensor:
        if _MATRIX.fullmatch(name) or (tied and name == "model.embed.weight"):
            return int8_rounded(weight, levels=levels)
        return weight

    return rounded


def int8_rounded(weight: Tensor, *, levels: int = LEVELS) -> Tensor:
    """What is left of a matrix after 8 bits a weight and a float16 scale a row and group of 32 columns.

    Args:
        weight: float32 [rows, columns]; without rows on a process that has none.
        levels: largest integer.
    Returns:
        float32, of the same shape.
    """
    rows, columns = weight.shape
    groups = F.pad(weight, (0, -columns % GROUP)).view(rows, -(-columns // GROUP), GROUP)
    step = (groups.abs().amax(dim=-1, keepdim=True) / levels).half().float()
    integers = (groups / torch.where(step > 0, step, torch.inf)).round_().clamp_(-levels, levels)
    return (integers * step).flatten(1)[:, :columns]
