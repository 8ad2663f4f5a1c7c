"""transformers: its Qwen3 with fused AdamW in the shortest loop, and its own Trainer as it comes."""

from typing import Any

import torch

from benchmarks.contenders.training_job import (
    HEADS,
    HIDDEN,
    INNER,
    LAYERS,
    LENGTH,
    ROWS,
    VOCAB,
    WARM_STEPS,
    Clock,
    TrainingJob,
    run,
)


def make_model() -> Any:
    """The shape of the benchmark with fresh weights."""
    import transformers

    config = transformers.Qwen3Config(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HIDDEN // HEADS,
        intermediate_size=INNER,
        tie_word_embeddings=True,
        max_position_embeddings=LENGTH,
    )
    return transformers.Qwen3ForCausalLM(config)


def train(job: TrainingJob, clock: Clock) -> dict[str, Any]:
    """``variant``: "bf16", "autocast" or "float32", with " compiled" behind it or not; "Trainer"."""
    import transformers

    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    model = make_model()
    ids = torch.randint(0, VOCAB, (ROWS, LENGTH))
    details = {"transformers": transformers.__version__, "torch": torch.__version__}
    if job.variant == "Trainer":
        _trainer(model, ids, job, clock)
        return details
    precision, _, compiled = job.variant.partition(" ")
    if precision == "bf16":
        model.bfloat16()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    forward = torch.compile(model) if compiled else model
    for _ in range(job.steps + WARM_STEPS):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
            loss = forward(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        clock.step(ids.numel())
    return details


def _trainer(model: Any, ids: torch.Tensor, job: TrainingJob, clock: Clock) -> None:
    import tempfile

    import transformers

    class Timer(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.step(ids.numel())

    rows = [{"input_ids": row, "labels": row} for row in ids] * (job.steps + WARM_STEPS)
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder,
            bf16=True,
            use_cpu=True,
            max_steps=job.steps + WARM_STEPS,
            per_device_train_batch_size=ROWS,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        transformers.Trainer(model, arguments, train_dataset=rows, callbacks=[Timer()]).train()


if __name__ == "__main__":
    run(train)
