"""Training speed and memory beside transformers, trl and peft.

    python benchmarks/training.py                     # everything; takes some twenty minutes
    python benchmarks/training.py --tasks sft --rounds 1
    python benchmarks/training.py --help

All contenders run in turn in the same run (A B C A B C …), each in a fresh process. Tables go to stderr; the last line
of stdout is one JSON object.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import machine, report
from benchmarks.contenders.training_job import HIDDEN, INNER, LAYERS, LENGTH, VOCAB, TrainingJob
from benchmarks.processes import ROOT, ChildFailed, run_json

TRANSFORMERS = ("bf16", "autocast", "float32", "bf16 compiled", "autocast compiled", "Trainer")
TRL = {"sft": ("as it comes", "bf16 weights", "bf16 weights, packed"), "dpo": ("as it comes", "bf16 weights")}
TITLES = {
    "pretrain": f"training step from nothing, {LAYERS} layers of {HIDDEN}, {LENGTH} tokens, AdamW",
    "sft": "LoRA SFT of the embedded model",
    "dpo": "LoRA DPO of the embedded model",
}


@dataclass(slots=True)
class Contender:
    """One line of a table, and what became of it.

    Attributes:
        name: for people.
        module: its program.
        job: what it is sent.
        results: what it returned, once a round.
        reason: why it has no figures; None as long as it runs.
    """

    name: str
    module: str
    job: TrainingJob
    results: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None

    def measure(self) -> None:
        """Run it once more; what goes wrong becomes the reason."""
        if self.reason is not None:
            return
        command = [sys.executable, "-m", f"benchmarks.contenders.{self.module}"]
        try:
            self.results.append(run_json(command, asdict(self.job), threads=self.job.threads))
        except ChildFailed as failure:
            self.reason = str(failure)
        told = self.reason or f"{self.results[-1]['tokens_per_s']:,.0f} tokens/s"
        print(f"{self.job.task}, {self.name}: {told}", file=sys.stderr)

    def figures(self) -> dict[str, float]:
        """Medians: of all steps of all rounds, since whatever else the machine does falls upon single steps."""
        return {
            "tokens_per_s": median(rate for result in self.results for rate in result["rates"]),
            "rss_mb": median(result["rss_mb"] for result in self.results),
        }


def make_contenders(task: str, options: argparse.Namespace, model: str, data: Mapping[str, str]) -> list[Contender]:
    """Everybody who takes part in a task; ours first."""

    def job(variant: str) -> TrainingJob:
        return TrainingJob(task, variant, options.threads, options.steps, model, data.get(task, ""))

    ours = Contender(report.OURS, "train_ours", job("as it comes"))
    if task == "pretrain":
        peers = [Contender(f"transformers {v}", "train_transformers", job(v)) for v in TRANSFORMERS]
    else:
        peers = [Contender(f"trl {variant}", "train_trl", job(variant)) for variant in TRL[task]]
    return [ours, *peers]


def write_data(folder: Path, seed: int = 0) -> dict[str, str]:
    """Conversations and pairs of very different lengths, out of a novel: task → file."""
    words = (ROOT / "benchmarks/text/time_machine.txt").read_text("utf-8").split()
    rng = random.Random(seed)

    def passage(most: int) -> str:
        count = max(8, min(int(rng.lognormvariate(4.0, 0.7)), most))
        start = rng.randrange(len(words) - count)
        return " ".join(words[start : start + count])

    files = {task: folder / f"{task}.jsonl" for task in ("sft", "dpo")}
    with files["sft"].open("w", encoding="utf-8") as sft, files["dpo"].open("w", encoding="utf-8") as dpo:
        for _ in range(400):
            asked = {"role": "user", "content": f"Go on with this story: {passage(60)}"}
            better, worse = ([{"role": "assistant", "content": passage(180)}] for _ in range(2))
            sft.write(json.dumps({"messages": [asked, *better]}) + "\n")
            dpo.write(json.dumps({"prompt": [asked], "chosen": better, "rejected": worse}) + "\n")
    return {task: str(path) for task, path in files.items()}


def summarize(contenders: list[Contender], peak_gflop_s: float) -> dict[str, Any]:
    """Figures of one task, and our ratios to the others' best (memory: to the least)."""
    found = {contender.name: contender.figures() for contender in contenders if contender.reason is None}
    others = [figures for name, figures in found.items() if name != report.OURS]
    result: dict[str, Any] = {
        "figures": found,
        "reasons": {c.name: c.reason for c in contenders if c.reason is not None},
        "details": {c.name: c.results[-1]["details"] for c in contenders if c.results},
        "rates": {c.name: [rate for result in c.results for rate in result["rates"]] for c in contenders},
    }
    ours = found.get(report.OURS)
    if ours and others:
        result["speed_ratio"] = ours["tokens_per_s"] / max(figures["tokens_per_s"] for figures in others)
        result["memory_ratio"] = ours["rss_mb"] / min(figures["rss_mb"] for figures in others)
        for name, figures in found.items():
            result.setdefault("speed_ratios", {})[name] = ours["tokens_per_s"] / figures["tokens_per_s"]
    if ours and contenders[0].job.task == "pretrain" and peak_gflop_s:
        result["mfu"] = flops_per_token() * ours["tokens_per_s"] / 1e9 / peak_gflop_s
    return result


def flops_per_token() -> float:
    """Of a training pass: 6 N + 12 layers width length (Chowdhery et al. 2022, arXiv 2204.02311, appendix B)."""
    matrices = VOCAB * HIDDEN + LAYERS * (4 * HIDDEN**2 + 3 * HIDDEN * INNER)
    return 6 * matrices + 12 * LAYERS * HIDDEN * LENGTH


def rows(summary: Mapping[str, Any]) -> Iterable[list[str]]:
    """The table's cells."""
    yield ["", "tokens/s", "memory, MB", "ours is"]
    for name, figures in summary["figures"].items():
        ratio = summary.get("speed_ratios", {}).get(name)
        faster = "" if ratio is None or name == report.OURS else f"{ratio:.2f} ×"
        yield [name, f"{figures['tokens_per_s']:,.0f}", f"{figures['rss_mb']:,.0f}", faster]
    for name, reason in summary["reasons"].items():
        yield [name, reason, "", ""]
    if "mfu" in summary:
        yield ["of the measured bfloat16 peak", f"{summary['mfu']:.0%}", "", ""]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything that is asked for."""
    about = machine.describe(options.threads)
    limits = run_json([sys.executable, "-m", "benchmarks.limits"], {"threads": options.threads, "repeats": 3})
    model = _model_folder(options.model)
    with tempfile.TemporaryDirectory() as folder:
        data = write_data(Path(folder))
        tasks = {task: make_contenders(task, options, model, data) for task in options.tasks}
        for _ in range(options.rounds):
            for contenders in tasks.values():
                for contender in contenders:
                    contender.measure()
    results = {task: summarize(contenders, limits["matmul_bf16_gflop_s"]) for task, contenders in tasks.items()}
    return {
        "benchmark": "training",
        "ratios": {
            f"{task}_{key}": found[f"{key}_ratio"]
            for task, found in results.items()
            for key in _KEYS
            if f"{key}_ratio" in found
        },
        "tasks": results,
        "limits": limits,
        "machine": about | {"load_after": machine.load()},
        "options": vars(options) | {"out": None},
    }


_KEYS = ("speed", "memory")


def _model_folder(name: str | None) -> str:
    """The model as a folder that transformers opens, too."""
    from chatwright.loaded import model_folder
    from chatwright.model.resolve import resolve_model

    return str(model_folder(resolve_model(name), dtype="bfloat16"))


def main() -> None:
    """Parse the command line, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(TITLES), default=list(TITLES), help="default: all")
    parser.add_argument("--threads", type=int, default=2, help="processor threads (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="how often everybody runs (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=6, help="timed steps in a run (default: %(default)s)")
    parser.add_argument("--model", help="what is tuned (default: the embedded model)")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    options = parser.parse_args()
    result = run(options)
    report.show({TITLES[task]: list(rows(found)) for task, found in result["tasks"].items()})
    report.finish(result, options.out)


if __name__ == "__main__":
    main()
