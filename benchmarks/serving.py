"""What the server costs over the bare engine, and whether it endures clients that vanish.

    python benchmarks/serving.py                       # both; the second takes ten minutes
    python benchmarks/serving.py --minutes 0.3
    python benchmarks/serving.py --help

The engine alone and the engine behind /v1 are measured in turn (A B A B …), each in fresh processes, with the same
tokens. Tables go to stderr; the last line of stdout is one JSON object. The exit code is 1 when an answer was lost or
mixed, a place was not given back, or memory grew.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import machine, report
from benchmarks.contenders.harness import Job
from benchmarks.endurance import endure
from benchmarks.processes import ChildFailed, run_json
from benchmarks.server import running_server
from benchmarks.workload import Workload

FIGURES = ("decode", "eight_streams")
CONTENDERS = {"engine": "ours", "server": "served"}


def overhead(options: argparse.Namespace, workload: Workload) -> dict[str, Any]:
    """Tokens per second of both, and how much longer a token takes behind the API.

    Raises:
        ChildFailed: one of the two could not be measured.
    """
    prepared = run_json(
        [sys.executable, "-m", "benchmarks.workload"], {"workload": asdict(workload), "model": options.model}
    )
    job = Job(
        model=prepared["source"],
        threads=options.threads,
        repeats=options.repeats,
        prompt=prepared["prompt"],
        new_tokens=workload.new_tokens,
        streams=prepared["streams"],
        stream_new_tokens=workload.stream_new_tokens,
        question=prepared["question"],
    )
    values: dict[str, dict[str, list[float]]] = {name: {figure: [] for figure in FIGURES} for name in CONTENDERS}
    for _ in range(options.rounds):
        for name, module in CONTENDERS.items():
            result = run_json(
                [sys.executable, "-m", f"benchmarks.contenders.{module}"], asdict(job), threads=options.threads
            )
            for figure in FIGURES:
                values[name][figure] += result["speeds"][figure]
            print(
                f"{name}: {result['speeds']['eight_streams'][-1]:.1f} tok/s at 8 streams", file=sys.stderr, flush=True
            )
    medians = {name: {figure: median(found) for figure, found in each.items()} for name, each in values.items()}
    return {
        "medians": medians,
        "overhead": {figure: medians["engine"][figure] / medians["server"][figure] - 1 for figure in FIGURES},
        "values": values,
    }


def endurance(options: argparse.Namespace) -> dict[str, Any]:
    """See :mod:`benchmarks.endurance`."""
    with running_server(options.model, options.threads) as server:
        return asyncio.run(endure(server, clients=options.clients, minutes=options.minutes))


def rows(result: dict[str, Any]) -> dict[str, list[list[str]]]:
    """Cells of the tables, by their titles."""
    tables: dict[str, list[list[str]]] = {}
    if (found := result.get("overhead")) is not None:
        cells = [["", *(report.FIGURES[figure].title for figure in FIGURES)]]
        cells += [
            [name, *(f"{each[figure]:.1f} tok/s" for figure in FIGURES)] for name, each in found["medians"].items()
        ]
        cells.append(["longer per token", *(f"{found['overhead'][figure]:+.1%}" for figure in FIGURES)])
        tables["The server beside the bare engine"] = cells
    if (found := result.get("endurance")) is not None:
        cells = [["answers", "number"], *([name, str(number)] for name, number in sorted(found["outcomes"].items()))]
        memory = found["memory"]
        if "late_mb" in memory:
            cells.append(["memory in the second quarter", f"{memory['early_mb']:,.0f} MB"])
            cells.append(["memory in the last quarter", f"{memory['late_mb']:,.0f} MB"])
        cells.append(["all places free after", f"{found['seconds_until_free']} s"])
        tables[f"{found['clients']} clients for {found['minutes']} minutes"] = cells
    return tables


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="folder, .gguf or name; without it, the embedded model")
    parser.add_argument("--threads", type=int, default=2, help="processor threads of the engine (2)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each, in turn; 0 leaves this part out (3)")
    parser.add_argument("--repeats", type=int, default=3, help="measurements in each process (3)")
    parser.add_argument("--minutes", type=float, default=10, help="of vanishing clients; 0 leaves this part out (10)")
    parser.add_argument("--clients", type=int, default=100, help="open streams at once (100)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON here")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, workload: Workload | None = None) -> int:
    """The program."""
    options = _parse(arguments)
    result: dict[str, Any] = {"benchmark": "serving", "machine": machine.describe(options.threads)}
    try:
        if options.rounds:
            result["overhead"] = overhead(options, workload or Workload())
        if options.minutes:
            result["endurance"] = endurance(options)
    except (ChildFailed, RuntimeError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    report.show(rows(result))
    report.finish(result, options.out)
    return 0 if result.get("endurance", {"passed": True})["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
