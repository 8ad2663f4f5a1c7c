"""How low the loss gets at equal tokens, beside transformers with AdamW; and how many tokens Muon saves.

    python benchmarks/learning.py --data corpus.jsonl          # some fifteen minutes on 2 cores
    python benchmarks/learning.py --help

One shape, one tokenizer, one order of rows for all, cut from real text that is given; the rates of AdamW are tried for
transformers, and ours takes its best one. Figures go to stderr; the last line of stdout is one JSON object.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
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
    losses: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        rows = write_rows(options.data, options.steps * options.batch, Path(name))

        def learn(module: str, label: str, **job: Any) -> float:
            job |= {"rows": str(rows), "batch": options.batch, "threads": options.threads, "held_out": HELD_OUT_ROWS}
            command = [sys.executable, "-m", f"benchmarks.contenders.{module}"]
            losses[label] = run_json(command, job, threads=options.threads, timeout_s=3600)["loss"]
            print(f"{label}: held-out loss {losses[label]:.4f}", file=sys.stderr)
            return losses[label]

        found = {
            rate: learn("learn_transformers", f"transformers, AdamW {rate:g}", rate=rate, steps=options.steps)
            for rate in options.rates
        }
        best = min(found, key=lambda rate: found[rate])
        full, part = options.steps, round(0.75 * options.steps)
        learn("learn_ours", "chatwright, AdamW", optimizer="adamw", rate=best, steps=full)
        learn("learn_ours", "chatwright, Muon", optimizer="muon", rate=best, steps=full)
        learn("learn_ours", "chatwright, Muon, 75 % of the tokens", optimizer="muon", rate=best, steps=part)
    baseline = found[best]
    return {
        "benchmark": "learning",
        "ratios": {name: loss / baseline for name, loss in losses.items()},
        "losses": losses,
        "baseline": baseline,
        "tokens": options.steps * options.batch * LENGTH,
        "machine": about,
        "options": {key: value for key, value in vars(options).items() if key not in ("out", "data")},
    }


def main() -> None:
    """Parse the command line, train, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, help="real text: files, folders or hub names")
    parser.add_argument("--steps", type=int, default=400, help="of the full run (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="rows of 512 tokens in a step (default: %(default)s)")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3], help="of AdamW (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="processor threads (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    options = parser.parse_args()
    report.finish(run(options), options.out)


if __name__ == "__main__":
    main()
