"""What the fast number formats cost: perplexity on real text, and how far greedy answers agree with float32's.

    make quality                          # some minutes
    python benchmarks/quality.py --quick  # a part of the text and of the questions, to see that it works

Tables go to stderr; the last line of stdout is one JSON object.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import machine, report
from benchmarks.workload import TEXT

if TYPE_CHECKING:
    from chatwright.engine import Runner
    from chatwright.model import GPT

QUESTIONS = Path(__file__).parent / "text" / "questions.txt"
WINDOW = 512  # tokens that are read together; the first of each is given, not predicted
AT_ONCE = 8  # windows that a runner reads side by side
ANSWER_TOKENS = 64

Windows = list[list[int]]


def module_loss(model: "GPT", windows: Windows) -> float:
    """Mean loss per predicted token, nats, of the GPT module itself: the definition the others are held against."""
    import torch
    import torch.nn.functional as F

    with torch.inference_mode():
        losses = [
            F.cross_entropy(model(ids[None]).logits[0, :-1].float(), ids[1:]).item()
            for ids in (torch.tensor(window) for window in windows)
        ]
    return fmean(losses)


def runner_loss(runner: "Runner", windows: Windows, piece: int) -> float:
    """The same through a runner, which is given the text in pieces.

    Args:
        runner: belongs to the caller.
        windows: equally long.
        piece: tokens of each window in one step: 1 is decoding, the length of a window is reading a prompt.
    """
    losses: list[float] = []
    for start in range(0, len(windows), AT_ONCE):
        losses += _side_by_side(runner, windows[start : start + AT_ONCE], piece)
    return fmean(losses)


def _side_by_side(runner: "Runner", windows: Windows, piece: int) -> Iterator[float]:
    import torch
    import torch.nn.functional as F

    from chatwright.engine import Chunk

    length = len(windows[0])
    pages = -(-length // runner.block_size)
    tables = [list(range(i * pages, (i + 1) * pages)) for i in range(len(windows))]
    for start in range(0, length - 1, piece):
        end = min(start + piece, length - 1)
        chunks = [
            Chunk(window[start:end], start, table, end - start) for window, table in zip(windows, tables, strict=True)
        ]
        targets = [token for window in windows for token in window[start + 1 : end + 1]]
        logits = torch.from_numpy(runner.run(chunks))
        yield from F.cross_entropy(logits, torch.tensor(targets), reduction="none").tolist()


def perplexities(source: Path, windows: Windows, threads: int) -> dict[str, float]:
    """Perplexity of every way to compute this model."""
    import torch

    from chatwright import load_model
    from chatwright.engine import build_runner

    torch.set_num_threads(threads)
    losses = {name: module_loss(load_model(source, dtype=name), windows) for name in ("float32", "bfloat16")}
    runner = build_runner(source, device="cpu", threads=threads)
    losses["chatwright, decoding"] = runner_loss(runner, windows, piece=1)
    losses["chatwright, prompts"] = runner_loss(runner, windows, piece=WINDOW)
    runner.close()
    return {name: math.exp(loss) for name, loss in losses.items()}


def greedy_answers(source: Path, dtype: str, questions: Sequence[str], threads: int) -> list[tuple[int, ...]]:
    """The most likely answer to each question, up to ANSWER_TOKENS tokens, all questions in one batch."""
    from chatwright import LoadedModel, SamplingParams
    from chatwright.chat import Message

    loaded = LoadedModel.open(source, device="cpu", dtype=dtype, threads=threads)
    params = SamplingParams(temperature=0, max_tokens=ANSWER_TOKENS)
    prompts = [loaded.template.render([Message("user", text)], add_generation_prompt=True).ids for text in questions]
    try:
        generations = [loaded.engine.submit(prompt, params) for prompt in prompts]
        return [generation.result()[0].token_ids for generation in generations]
    finally:
        loaded.close()


def agreement(answers: Sequence[tuple[int, ...]], reference: Sequence[tuple[int, ...]]) -> dict[str, float]:
    """How far answers follow the reference.

    Returns:
        "prefix": the part of an answer before the first different token, on average; "identical": the part of answers
        that do not differ at all. Both from 0 to 1.
    """
    prefixes = []
    for ours, theirs in zip(answers, reference, strict=True):
        same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False))))
        prefixes.append(same / max(len(ours), len(theirs), 1))
    return {"prefix": fmean(prefixes), "identical": fmean(prefix == 1 for prefix in prefixes)}


def measure(source: Path, text: str, questions: Sequence[str], threads: int, max_windows: int) -> dict[str, Any]:
    """Everything; some minutes for a model of 135 million weights.

    Raises:
        ChatwrightError: the model cannot be used, or the text is shorter than one window.
    """
    from chatwright import load_tokenizer
    from chatwright.errors import InputError

    about = machine.describe(threads)
    ids = load_tokenizer(source).encode(text)
    windows = [ids[i : i + WINDOW] for i in range(0, len(ids) - WINDOW + 1, WINDOW)][:max_windows]
    if not windows:
        raise InputError(f"the text has {len(ids)} tokens; give one of at least {WINDOW}")
    found = perplexities(source, windows, threads)
    answers = {dtype: greedy_answers(source, dtype, questions, threads) for dtype in ("float32", "bfloat16", "auto")}
    return {
        "benchmark": "quality",
        "ratios": {name: round(value / found["float32"], 5) for name, value in found.items()},
        "perplexity": {name: round(value, 4) for name, value in found.items()},
        "agreement": {
            "bfloat16": agreement(answers["bfloat16"], answers["float32"]),
            "chatwright": agreement(answers["auto"], answers["float32"]),
        },
        "tokens": len(windows) * (WINDOW - 1),
        "questions": len(questions),
        "machine": about,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    from chatwright import ChatwrightError, resolve_model

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="folder, .gguf or name; without it, the embedded model")
    parser.add_argument("--text", type=Path, default=TEXT, metavar="FILE", help="UTF-8 text for the perplexity")
    parser.add_argument("--threads", type=int, default=2, help="processor threads (2)")
    parser.add_argument("--quick", action="store_true", help="two windows of the text, five questions")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON here")
    options = parser.parse_args(arguments)
    questions = QUESTIONS.read_text("utf-8").splitlines()[: 5 if options.quick else None]
    try:
        text = options.text.read_text("utf-8")
        source = resolve_model(options.model)
        result = measure(source, text, questions, options.threads, max_windows=2 if options.quick else 16)
    except (ChatwrightError, OSError, UnicodeDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    answers = report.agreement_rows(result)
    report.show({"Perplexity": report.perplexity_rows(result), "Greedy answers beside float32's": answers})
    report.finish(result, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
