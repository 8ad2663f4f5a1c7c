"""The settings that every stage has, with the names that users of the Hugging Face trainer know.

Each objective adds its own by a subclass. A field's description is the text of its help.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LoRASettings(Settings):
    """Low-rank adapters in place of training every weight."""

    r: int = Field(16, ge=1, description="rank of the update")
    lora_alpha: float = Field(32.0, gt=0, description="the update is scaled by lora_alpha / r")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the adapter's input")
    target_modules: tuple[str, ...] | Literal["all-linear"] = Field(
        "all-linear", description="which projections get one: names such as q_proj, v_proj"
    )
    use_dora: bool = Field(False, description="also learn each output's magnitude (DoRA)")
    use_rslora: bool = Field(False, description="scale by lora_alpha / sqrt(r)")


class GrowSettings(Settings):
    """Changes of a trained model's shape before it is trained on; see :mod:`chatwright.model.surgery`."""

    drop_layers: tuple[int, ...] = Field((), description="layers to leave out, counted from 0; -1 is the last")
    add_layers: int = Field(0, ge=0, description="new layers, spread evenly, without effect at first")
    intermediate_size: int | None = Field(None, ge=1, description="neurons in each feed-forward layer")
    widen: int = Field(1, ge=1, description="factor by which the residual stream becomes wider")
    vocab_size: int | None = Field(None, ge=1, description="tokens in the vocabulary")


class StageSettings(Settings):
    """One stage of a recipe."""

    objective: str = Field("", description="what is minimised; by default the stage's own name")
    data: str | None = Field(None, description="key of the recipe's `data`; by default the stage's own name")
    eval_data: str | None = Field(None, description="key of held-out data; by default a part of `data` is held out")
    start_from: str | None = Field(None, description="stage whose result is trained on; by default the one before")
    max_length: int = Field(512, ge=8, description="longest sequence in tokens, and the length of a packed row")

    num_train_epochs: float = Field(1.0, gt=0, description="passes over the data; max_steps wins")
    max_steps: int | None = Field(None, ge=1, description="optimiser steps")
    train_batch_size: int | None = Field(
        None, ge=1, description="packed rows of max_length tokens in an optimiser step, over all devices"
    )
    per_device_train_batch_size: int | Literal["auto"] = Field(
        "auto", description="rows in one forward pass of one device; auto takes what memory allows"
    )
    gradient_accumulation_steps: int | Literal["auto"] = Field(
        "auto", description="forward passes in a step; auto keeps train_batch_size"
    )

    optimizer: Literal["muon", "adamw"] = Field("adamw", description="muon: Muon for matrices, AdamW for the rest")
    learning_rate: float = Field(3e-4, gt=0, description="peak of AdamW")
    matrix_learning_rate: float = Field(0.02, gt=0, description="peak of Muon, for the matrices of the layers")
    weight_decay: float = Field(0.0, ge=0, description="of the matrices, as a part of the learning rate")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="memory of the mean of the gradients")
    adam_beta2: float = Field(0.95, ge=0, lt=1, description="memory of the mean of their squares")
    adam_epsilon: float = Field(1e-8, gt=0, description="keeps AdamW from dividing by nothing")
    max_grad_norm: float = Field(1.0, ge=0, description="gradients are clipped to this norm; 0: not at all")
    lr_scheduler_type: Literal["cosine", "wsd", "linear", "constant"] = Field(
        "cosine", description="how the rate falls after the warm-up; wsd: at the end only"
    )
    warmup_ratio: float = Field(0.03, ge=0, le=1, description="part of the steps in which the rate rises")
    warmup_steps: int | None = Field(None, ge=0, description="wins over warmup_ratio")
    min_lr_ratio: float = Field(0.1, ge=0, le=1, description="the last learning rate, as a part of the peak")
    decay_ratio: float = Field(0.2, ge=0, le=1, description="wsd: part of the steps in which the rate falls")
    z_loss: float = Field(0.0, ge=0, description="coefficient of log(Z)², against drifting logits")

    lora: LoRASettings | None = Field(None, description="train adapters only")
    qat: bool = Field(False, description="round weights to int8 in the forward pass, so that int8 serving costs less")
    ema_decay: float | None = Field(None, gt=0, lt=1, description="also keep, and save, a running mean of the weights")
    bf16: bool | Literal["auto"] = Field("auto", description="compute in bfloat16; auto: where the hardware has it")
    parallel: Literal["auto", "ddp", "fsdp", "hsdp"] = Field(
        "auto",
        description="several processes: whole models (ddp), each a part (fsdp), or a part within each machine (hsdp); "
        "auto: parts where a device is too small",
    )
    gradient_checkpointing: bool = Field(False, description="compute activations again instead of keeping them")
    torch_compile: bool = Field(False, description="compile the model with TorchInductor")

    logging_steps: int = Field(10, ge=1, description="steps between two reports of progress")
    eval_steps: int | None = Field(None, ge=1, description="default: ten evaluations in a stage")
    save_steps: int | None = Field(None, ge=1, description="default: five checkpoints in a stage")
    save_total_limit: int = Field(2, ge=1, description="checkpoints kept, beside the best one")
    early_stopping_patience: int | None = Field(None, ge=1, description="evaluations without a better loss")
    max_skipped_steps: int = Field(5, ge=0, description="steps skipped in a row (NaN, spike) before the run stops")
    spike_threshold: float | None = Field(
        20.0, gt=0, description="skip a step whose loss is so many standard deviations above the median; null: never"
    )
