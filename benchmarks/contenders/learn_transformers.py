"""transformers' Qwen3 with fused AdamW under bfloat16 autocast on given rows. Prints the held-out loss as JSON."""

import json
import sys
from typing import Any

import numpy as np
import torch

from benchmarks.contenders.train_transformers import make_model


def learn(job: dict[str, Any]) -> float:
    """Held-out loss after the job's steps, computed in float32."""
    from transformers import get_cosine_with_min_lr_schedule_with_warmup

    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    table = torch.from_numpy(np.load(job["rows"]).astype(np.int64))
    model = make_model()
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    kept = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": kept, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=job["rate"], betas=(0.9, 0.95), fused=True)
    schedule = get_cosine_with_min_lr_schedule_with_warmup(
        optimizer, round(0.05 * job["steps"]), job["steps"], min_lr_rate=0.1
    )
    for step in range(job["steps"]):
        ids = table[step * job["batch"] : (step + 1) * job["batch"]]
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        losses = [float(model(input_ids=row[None], labels=row[None]).loss) for row in table[-job["held_out"] :]]
    return sum(losses) / len(losses)


if __name__ == "__main__":
    print(json.dumps({"loss": learn(json.load(sys.stdin))}))
