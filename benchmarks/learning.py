"""How low the loss gets at equal tokens, beside transformers with AdamW; and how many tokens Muon saves.

    python benchmarks/learning.py --data corpus.jsonl          # an hour on 2 cores
    python benchmarks/learning.py --help

One shape, one tokenizer, one order of rows for all, cut from real text that is given; the rates of AdamW are tried for
transformers with the first seed, and ours takes its best one. So early in a training the fresh weights alone make a
difference of a tenth: everybody starts from several, and means are compared. Figures go to stderr; the last line of
stdout is one JSON object.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import machine, report
from benchmarks.contenders.training_job import LENGTH, VOCAB
from benchmarks.processes import run_json

HELD_OUT_ROWS = 100


def write_rows(paths: Sequence[str], rows: int, folder: Path) -> Path:
    """Token ids of real text, [rows + HELD_OUT_ROWS, LENGTH + 1], one file; the held-out rows are of other documents.

    Raises:
        SystemExit: there is too little text.
    """
    import numpy as np

    from chatwright.data.rows import Text
    from chatwright.data.settings import DataSettings
    from chatwright.data.sources import read_rows
    from chatwright.tokenizer import train_bpe

    wanted = (rows + HELD_OUT_ROWS) * (LENGTH + 1)
    texts: list[str] = []
    share = wanted * 6 // len(paths)  # bytes: a token of English has about four, of Chinese five
    for path in paths:
        size = 0
        for row in read_rows(DataSettings(path=path), kinds=(Text,)):
            assert isinstance(row, Text)
            texts.append(row.text[:20_000])
            size += len(texts[-1].encode())
            if size > share:
                break
    order = np.random.default_rng(0).permutation(len(texts))
    texts = [texts[i] for i in order]
    tokenizer = train_bpe(texts, VOCAB)
    ids = [token for text in texts for token in [*tokenizer.encode(text), tokenizer.eos_id]]
    if len(ids) < wanted:
        raise SystemExit(
            f"{' '.join(paths)} has {len(ids):,} tokens, but {wanted:,} are needed; give more, or fewer --steps"
        )
    table = np.array(ids[:wanted], dtype=np.int32).reshape(-1, LENGTH + 1)
    path_of_rows = folder / "rows.npy"
    np.save(path_of_rows, table)
    return path_of_rows


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Train everybody on the same rows."""
    about = machine.describe(options.threads)
    found: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        rows = write_rows(options.data, options.steps * options.batch, Path(name))

        def learn(module: str, label: str, seed: int, **job: Any) -> float:
            job |= {"rows": str(rows), "batch": options.batch, "threads": options.threads, "held_out": HELD_OUT_ROWS}
            command = [sys.executable, "-m", f"benchmarks.contenders.{module}"]
            loss: float = run_json(command, {**job, "seed": seed}, threads=options.threads, timeout_s=3600)["loss"]
            found.setdefault(label, {})[seed] = loss
            print(f"{label}, seed {seed}: held-out loss {loss:.4f}", file=sys.stderr)
            return loss

        names = {rate: f"transformers, AdamW {rate:g}" for rate in options.rates}
        full, part = options.steps, round(0.75 * options.steps)
        first, *others = options.seeds
        tried = {rate: learn("learn_transformers", names[rate], first, rate=rate, steps=full) for rate in names}
        best = min(tried, key=lambda rate: tried[rate])
        for seed in others:
            learn("learn_transformers", names[best], seed, rate=best, steps=full)
        for seed in options.seeds:
            learn("learn_ours", "chatwright, AdamW", seed, optimizer="adamw", rate=best, steps=full)
            learn("learn_ours", "chatwright, Muon", seed, optimizer="muon", rate=best, steps=full)
            learn("learn_ours", "chatwright, Muon, 75 % of the tokens", seed, optimizer="muon", rate=best, steps=part)
    losses = {name: fmean(of_seeds.values()) for name, of_seeds in found.items()}
    baseline = losses[names[best]]
    return {
        "benchmark": "learning",
        "ratios": {name: loss / baseline for name, loss in losses.items()},
        "losses": losses,
        "by_seed": {name: list(of_seeds.values()) for name, of_seeds in found.items()},
        "baseline": names[best],
        "tokens": options.steps * options.batch * LENGTH,
        "machine": about,
        "options": {key: value for key, value in vars(options).items() if key not in ("out", "data")},
    }


def rows(result: Mapping[str, Any]) -> Iterable[list[str]]:
    """The table's cells."""
    yield ["", "held-out loss", "by seed", "of the baseline"]
    for name, loss in result["losses"].items():
        seeds = ", ".join(f"{found:.3f}" for found in result["by_seed"][name])
        is_baseline = name == result["baseline"]
        yield [name, f"{loss:.3f}", seeds, "" if is_baseline else f"{result['ratios'][name]:.1%}"]


def main() -> None:
    """Parse the command line, train, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, help="real text: files, folders or hub names")
    parser.add_argument("--steps", type=int, default=400, help="of the full run (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="rows of 512 tokens in a step (default: %(default)s)")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3], help="of AdamW (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the weights (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="processor threads (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    options = parser.parse_args()
    report.finish(run(options), options.out)


if __name__ == "__main__":
    main()
