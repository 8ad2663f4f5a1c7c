"""AdamW, and Muon for the matrices of the layers.

Muon's update is an orthogonal matrix, of spectral norm 1 whatever the gradient: its learning rate says by how much a
matrix turns in a step, and wants to be about 0.02 where AdamW's wants to be 3e-4. A matrix [A, B] gets ``rate *
sqrt(max(1, A / B))``, so that inputs of one size change outputs of one size ("original" in PyTorch).

Source:
    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; Loshchilov and Hutter 2017, arXiv 1711.05101.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import AdamW, Optimizer

from chatwright.errors import ConfigError
from chatwright.train.dtensors import is_sharded, like, local, whole
from chatwright.train.muon import Muon
from chatwright.train.settings import StageSettings

_TINY = 1e-6  # keeps a norm of nothing from being divided by, as in PyTorch


class Optimizers:
    """What turns gradients into updates: one optimiser or two, seen as one.

    Weight decay acts on matrices only; what is added or multiplied element by element (biases, norms) has none.

    Args:
        parameters: name → float32 parameter.
        settings: of the stage.
    Raises:
        ConfigError: Muon is asked for, but no matrix of a layer is trained.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], settings: StageSettings) -> None:
        self._optimizers: list[Optimizer] = []
        self._named: dict[str, tuple[Optimizer, nn.Parameter]] = {}
        # In the parameters' order: processes update in step, and each orders a set of names in its own way.
        turned = {
            name: parameter
            for name, parameter in parameters.items()
            if settings.optimizer == "muon" and is_layer_matrix(name)
        }
        if settings.optimizer == "muon" and not turned:
            raise ConfigError(
                "optimizer is 'muon', which is for the matrices of the layers, but none of them is trained here; "
                "use optimizer: adamw"
            )
        rest = {name: parameter for name, parameter in parameters.items() if name not in turned}
        if rest:
            self._add(_adamw(rest, settings), rest)
        if turned:
            muon = Muon(turned, lr=settings.matrix_learning_rate, weight_decay=settings.weight_decay, momentum=0.95)
            self._add(muon, turned)

    @property
    def learning_rate(self) -> float:
        """The current one of AdamW; of Muon where there is nothing else."""
        return float(self._optimizers[0].param_groups[0]["lr"])

    def set_rate(self, factor: float) -> None:
        """Learn at so large a part of the peak rates."""
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = factor * group["initial_lr"]

    def step(self) -> None:
        """Update the parameters by their gradients."""
        for optimizer in self._optimizers:
            optimizer.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Everything that the next step depends on: ``PARAMETER/KEY`` → tensor. Not copies."""
        return {
            f"{name}/{key}": value
            for name, (optimizer, parameter) in self._named.items()
            for key, value in optimizer.state.get(parameter, {}).items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`.

        Raises:
            ConfigError: it is of other parameters, or of another optimiser.
        """
        for optimizer in self._optimizers:
            optimizer.state.clear()
        for path, value in state.items():
            name, _, key = path.rpartition("/")
            owner = self._named.get(name)
            if owner is None or isinstance(owner[0], Muon) != (key == "momentum_buffer"):
                raise ConfigError(
                    f"the checkpoint's optimiser state {path!r} does not fit this stage; go on with the model, "
                    "optimizer and adapters that the run was started with, or start a new run"
                )
            optimizer, parameter = owner
            if value.shape == parameter.shape:
                optimizer.state[parameter][key] = like(value, parameter).clone()
            else:  # a count of steps
                optimizer.state[parameter][key] = value.to(parameter.device, copy=True)

    def _add(self, optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]) -> None:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        self._optimizers.append(optimizer)
        self._named |= {name: (optimizer, parameter) for name, parameter in parameters.items()}


def is_layer_matrix(name: str) -> bool:
    """Whether a parameter is a matrix that maps one residual stream's worth of features to another.

    Not so: embeddings and heads (their rows are tokens), a router (its rows are experts), adapters (their product is
    the update, and Muon's rate is not meant for its factors), norms and biases.
    """
    projection = name.removesuffix(".weight").rpartition(".")[2]
    adapted = ".lora_" in name or name.endswith(".bias")
    return name.startswith("model.layers.") and projection.endswith("_proj") and not adapted


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together, a float32 scalar on their device."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    ordinary = [gradient for gradient in gradients if not is_sharded(gradient)]
    norm = get_total_norm(ordinary)
    if len(ordinary) == len(gradients):
        return norm
    sharded = whole(get_total_norm([gradient for gradient in gradients if is_sharded(gradient)]))
    return torch.hypot(sharded, norm.to(sharded.device))


def clip_gradients(parameters: Iterable[nn.Parameter], norm: Tensor, max_norm: float) -> None:
    """Scale the gradients, whose norm is ``norm``, down to ``max_norm`` if they are larger; 0 leaves them."""
    if not max_norm:
        return
    gradients = [local(parameter.grad) for parameter in parameters if parameter.grad is not None]
    if gradients:
        factor = torch.clamp(max_norm / (norm + _TINY), max=1.0)
        torch._foreach_mul_(gradients, factor.to(gradients[0].device))


def _adamw(parameters: Mapping[str, nn.Parameter], settings: StageSettings) -> AdamW:
    kinds: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in parameters.values():  # one kernel updates a group; sharded and ordinary ones take two
        kinds.setdefault((parameter.ndim < 2, is_sharded(parameter)), []).append(parameter)
    groups = [
        {"params": members, "weight_decay": 0.0 if is_vector else settings.weight_decay}
        for (is_vector, _), members in sorted(kinds.items(), key=lambda kind: kind[0])
    ]
    return AdamW(
        groups,
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        fused=True,
    )
