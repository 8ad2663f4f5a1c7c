"""Speed beside the best other tools: prompts, one stream, eight streams, the start of the program, memory.

    make bench                                        # everything; takes some minutes
    make bench ARGS="--quick"                         # once, to see that it works
    python benchmarks/inference.py --help

All contenders are measured in the same run, each time in a fresh process, in turn (A B C A B C …). Tables go to stderr;
the last line of stdout is one JSON object.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import machine, report
from benchmarks.contenders.harness import Job
from benchmarks.processes import ChildFailed, run_json, time_to_first_output
from benchmarks.workload import QUESTION, Workload, decode_bytes, prefill_flops

CONTENDERS = "benchmarks.contenders"
LLAMA_FILES = ("Q4_0", "Q8_0", "BF16", "original")  # the last is the model's own file, if it is a GGUF
PEERS = ("transformers", "llama")


@dataclass(slots=True)
class Contender:
    """One line of the table, and what became of it.

    Attributes:
        name: for people.
        command: starts its process.
        job: what it is sent.
        start_command: starts the program a person would start; None takes ``command``.
        values: figure → one value per repeat.
        details: versions and settings, as its process told.
        reason: why it has no figures; None as long as it runs.
    """

    name: str
    command: list[str]
    job: Job
    start_command: list[str] | None = None
    values: dict[str, list[float]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None

    def add(self, figure: str, values: Sequence[float]) -> None:
        """Keep values of a figure."""
        self.values.setdefault(figure, []).extend(values)


def measure_speed(contender: Contender) -> None:
    """One process that measures every speed; what goes wrong becomes the contender's reason."""
    if contender.reason is not None:
        return
    try:
        result = run_json(contender.command, asdict(contender.job), threads=contender.job.threads)
    except ChildFailed as failure:
        # llama.cpp's kernels for AMX end by a signal on some machines where its other kernels work.
        if contender.job.extra_bufts and "llama" in contender.name and "SIG" in str(failure):
            contender.job = replace(contender.job, extra_bufts=False)
            contender.details["with_extra_bufts"] = str(failure)
            measure_speed(contender)
        else:
            contender.reason = str(failure)
        return
    for figure, values in result["speeds"].items():
        contender.add(figure, values)
    contender.add("rss_busy_mb", [result["rss_mb"]])
    contender.details |= result["details"]


def measure_start(contender: Contender) -> None:
    """Time from starting the program to its first token, and the memory that takes."""
    if contender.reason is not None:
        return
    try:
        if contender.start_command is not None:
            start = time_to_first_output(contender.start_command, threads=contender.job.threads)
        else:
            job = asdict(replace(contender.job, first_token_only=True))
            start = time_to_first_output(contender.command, job, threads=contender.job.threads)
    except ChildFailed as failure:
        contender.reason = str(failure)
        return
    contender.add("start_s", [start.seconds])
    contender.add("rss_mb", [start.rss_mb])


def make_contenders(prepared: dict[str, Any], workload: Workload, options: argparse.Namespace) -> list[Contender]:
    """Everybody who takes part, in the order of the table."""
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
    ours = Contender(
        report.OURS, _module(sys.executable, "ours"), job, _chat_command(prepared["source"], options.threads)
    )
    contenders = [ours]
    if "transformers" in options.peers:
        command = _module(options.transformers_python, "transformers_bf16")
        contenders.append(Contender("transformers BF16", command, replace(job, model=prepared["folder"])))
    if "llama" in options.peers:
        has_original = prepared["gguf"] != prepared["gguf_bf16"]
        kinds = [kind for kind in options.llama_files if kind != "original" or has_original]
        for number, python in enumerate(options.llama_python or [sys.executable], start=1):
            suffix = f" (build {number})" if number > 1 else ""
            contenders += [_llama(python, kind, suffix, prepared, job) for kind in kinds]
    return contenders


def _llama(python: str, kind: str, suffix: str, prepared: dict[str, Any], job: Job) -> Contender:
    command = _module(python, "llama_cpp_batch")
    files = {"BF16": prepared["gguf_bf16"], "original": prepared["gguf"]}
    target = files.get(kind) or str(Path(prepared["gguf_bf16"]).with_name(f"{kind.lower()}.gguf"))
    contender = Contender(f"llama.cpp {kind}{suffix}", command, replace(job, model=target))
    if not Path(target).exists():
        try:
            run_json([*command, prepared["gguf"], target, kind.lower()])
        except ChildFailed as failure:
            contender.reason = str(failure)
    return contender


def _module(python: str, name: str) -> list[str]:
    return [python, "-m", f"{CONTENDERS}.{name}"]


def _chat_command(source: str, threads: int) -> list[str]:
    options = ["--model", source, "--temperature", "0", "--max-tokens", "1", "--threads", str(threads)]
    return [sys.executable, "-m", "chatwright", "chat", QUESTION, *options]


def shares(
    contenders: Sequence[Contender], limits: dict[str, float], prepared: dict[str, Any], workload: Workload
) -> dict[str, dict[str, float]]:
    """What part of the machine's limits our medians reach; nothing where the runner has no packed weights."""
    ours = report.summarize({c.name: c.values for c in contenders}).get(report.OURS, {})
    result: dict[str, dict[str, float]] = {}
    if limits and "prefill" in ours:
        rate = prefill_flops(prepared) * ours["prefill"]["median"] / 1e9
        result["prefill"] = {"gflop_s": rate, "of_matmul_bf16": rate / limits["matmul_bf16_gflop_s"]}
    weight_bytes = next((c.details.get("weight_bytes") for c in contenders if c.name == report.OURS), None)
    if limits and weight_bytes and "decode" in ours:
        for figure, size in decode_bytes(prepared, workload, weight_bytes).items():
            rate = size * ours[figure]["median"] / 1e9
            result[figure] = {
                "bytes_per_token": size,
                "gb_s": rate,
                "of_read_small": rate / limits["read_small_gb_s"],
                "of_read_large": rate / limits["read_large_gb_s"],
            }
    return result


def measure_limits(threads: int, repeats: int) -> dict[str, float]:
    """The machine's limits; empty, with a note, where they cannot be measured."""
    try:
        return run_json([sys.executable, "-m", "benchmarks.limits"], {"threads": threads, "repeats": repeats})
    except ChildFailed as failure:
        print(f"the machine's limits are unknown: {failure}", file=sys.stderr)
        return {}


def run(options: argparse.Namespace, workload: Workload) -> dict[str, Any]:
    """Measure everything.

    Raises:
        ChildFailed: the model cannot be prepared; nothing can be measured without it.
    """
    about = machine.describe(options.threads)
    prepared = run_json(
        [sys.executable, "-m", "benchmarks.workload"], {"workload": asdict(workload), "model": options.model}
    )
    contenders = make_contenders(prepared, workload, options)
    limits = measure_limits(options.threads, options.repeats)
    for _ in range(options.rounds):
        for contender in contenders:
            measure_speed(contender)
            _tell(contender, "prefill", "decode", "eight_streams")
    for _ in range(options.starts):  # after the others, so that every cache is warm
        for contender in contenders:
            measure_start(contender)
            _tell(contender, "start_s", "rss_mb")
    summary = report.summarize({c.name: c.values for c in contenders if c.reason is None})
    return {
        "benchmark": "inference",
        "ratios": report.ratios(summary),
        "ratios_of_best": report.ratios(summary, "best"),
        "figures": {c.name: summary.get(c.name) for c in contenders},
        "unavailable": {c.name: c.reason for c in contenders if c.reason is not None},
        "limits": limits,
        "shares": shares(contenders, limits, prepared, workload),
        "workload": {
            **asdict(workload),
            "rounds": options.rounds,
            "repeats": options.repeats,
            "starts": options.starts,
        },
        "details": {c.name: c.details for c in contenders},
        "values": {c.name: c.values for c in contenders},
        "machine": {**about, "load_after": machine.load()},
    }


def _tell(contender: Contender, *figures: str) -> None:
    """One line of progress: the latest values."""
    latest = [
        f"{report.FIGURES[key].title} {contender.values[key][-1]:.4g}" for key in figures if key in contender.values
    ]
    print(f"{contender.name}: {contender.reason or ', '.join(latest)}", file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="folder, .gguf or name; without it, the embedded model")
    parser.add_argument("--threads", type=int, default=2, help="processor threads of every contender (2)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each contender, in turn (3)")
    parser.add_argument("--repeats", type=int, default=2, help="measurements in each process (2)")
    parser.add_argument("--starts", type=int, default=5, help="starts of each contender (5)")
    parser.add_argument("--quick", action="store_true", help="one of each")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, help="whom to compare with (all)")
    parser.add_argument(
        "--llama-python",
        action="append",
        metavar="PATH",
        help="the interpreter that has llama-cpp-python; several compare several builds",
    )
    parser.add_argument(
        "--llama-files", nargs="+", choices=LLAMA_FILES, default=LLAMA_FILES, help="which weights (all)"
    )
    parser.add_argument("--transformers-python", default=sys.executable, metavar="PATH", help="likewise")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON here")
    options = parser.parse_args(arguments)
    if min(options.threads, options.rounds, options.repeats, options.starts) < 1:
        parser.error("threads, rounds, repeats and starts are at least 1")
    if options.quick:
        options.rounds = options.repeats = options.starts = 1
    return options


def main(arguments: Sequence[str] | None = None, workload: Workload | None = None) -> int:
    """The program."""
    options = _parse(arguments)
    try:
        result = run(options, workload or Workload())
    except ChildFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    speeds = report.rows({name: found for name, found in result["figures"].items() if found}, result["unavailable"])
    report.show({"Median (best)": speeds, "Against the machine's limits": report.limit_rows(result)})
    report.finish(result, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
