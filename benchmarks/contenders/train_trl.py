"""trl with peft: LoRA SFT and DPO of a model folder."""

import contextlib
import sys
import tempfile
from typing import Any

import torch

from benchmarks.contenders.training_job import LENGTH, WARM_STEPS, Clock, TrainingJob, run


def train(job: TrainingJob, clock: Clock) -> dict[str, Any]:
    """``variant``: "as it comes", or "bf16 weights", or with ", packed" behind either (SFT only)."""
    import peft
    import transformers
    import trl
    from datasets import load_dataset

    torch.set_num_threads(job.threads)
    precision, _, packed = job.variant.partition(", ")
    dtype = torch.bfloat16 if precision == "bf16 weights" else torch.float32
    model = transformers.AutoModelForCausalLM.from_pretrained(job.model, dtype=dtype)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.model)
    counts: list[int] = []

    class Timer(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.step(sum(counts))
            counts.clear()

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        common = {
            "output_dir": folder,
            "bf16": True,
            "use_cpu": True,
            "gradient_checkpointing": False,
            "max_steps": job.steps + WARM_STEPS,
            "per_device_train_batch_size": job.batch,
            "max_length": LENGTH,
            "learning_rate": 1e-5,
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "dataset_num_proc": 1,
        }
        if packed:  # packed rows hold several conversations each
            common |= {"packing": True, "per_device_train_batch_size": max(1, job.batch // 3)}
        trainer_kind, config_kind = (getattr(trl, job.task.upper() + kind) for kind in ("Trainer", "Config"))
        trainer = trainer_kind(
            model,
            args=config_kind(**common),
            train_dataset=load_dataset("json", data_files=job.data, split="train", cache_dir=folder),
            processing_class=tokenizer,
            peft_config=peft.LoraConfig(r=job.rank, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
            callbacks=[Timer()],
        )
        compute_loss = trainer.compute_loss

        def counted(model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            mask = inputs.get("attention_mask")
            counts.append(int(inputs["input_ids"].numel() if mask is None else mask.sum()))
            return compute_loss(model, inputs, *args, **kwargs)

        trainer.compute_loss = counted
        trainer.train()
    return {"trl": trl.__version__, "peft": peft.__version__, "transformers": transformers.__version__}


if __name__ == "__main__":
    run(train)
