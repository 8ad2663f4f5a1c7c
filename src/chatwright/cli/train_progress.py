"""How a run goes, for a person who watches: a live line on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from chatwright.cli.language import say
from chatwright.cli.train_plan import count, duration
from chatwright.train.run_watch import Phase, RunWatcher

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from chatwright.train.run_folder import StageRecord
    from chatwright.train.samples import Sample
    from chatwright.train.stage import Stage, StageResult
    from chatwright.train.watch import Record, StageStart

_LINE_EVERY_S = 10.0  # in a log


@contextmanager
def progress_watcher(stream: TextIO | None = None) -> Iterator[RunWatcher]:
    """A watcher that shows on ``stream`` how a run goes.

    Args:
        stream: stderr by default. A terminal gets a line that moves, anything else a line now and then.
    """
    from rich.console import Console

    stream = stream or sys.stderr
    console = Console(file=stream, highlight=False)
    if console.is_terminal:
        with _progress(console) as bar:
            yield LiveWatcher(console, bar)
    else:
        yield PlainWatcher(console)


class PlainWatcher(RunWatcher):
    """Lines of text: when something begins or ends, at each evaluation, and every few seconds of training."""

    def __init__(self, console: "Console") -> None:
        self.console = console
        self._stage: Stage | None = None
        self._last_line = 0.0

    def entered(self, phase: Phase, stage: str | None) -> None:
        """Say what goes on."""
        self.line(_phase(phase, stage), style="dim")

    def answered(self, stage: str, conversations: int, tokens: int) -> None:
        """A line now and then."""
        now = time.monotonic()
        if now - self._last_line >= _LINE_EVERY_S:
            self._last_line = now
            self.line(f"{stage}: {_taught(conversations, tokens)}")

    def stage_reused(self, record: "StageRecord") -> None:
        """Say that it is done already."""
        self.line(say(f"{record.name}: finished before", f"{record.name}：此前已完成"), style="dim")

    def stage_started(self, stage: "Stage", start: "StageStart") -> None:
        """Say what is trained."""
        self._stage = stage
        self._last_line = time.monotonic()
        self.line(_start(stage, start), style="bold")

    def stepped(self, record: "Record") -> None:
        """A line now and then."""
        now = time.monotonic()
        if now - self._last_line >= _LINE_EVERY_S:
            self._last_line = now
            self.line(step_line(record, self._stage))

    def evaluated(self, record: "Record") -> None:
        """The figures on held-out data."""
        figures = evaluation_line(record)
        if figures:
            self.line(figures, style="cyan")

    def sampled(self, stage: str, samples: "Sequence[Sample]") -> None:
        """What the model says by now."""
        for sample in samples:
            self.line(f"  {_one_line(sample.prompt)} → {_one_line(sample.answer)}", style="italic")

    def skipped(self, record: "Record") -> None:
        """Why a step was not taken."""
        self.warned(say(f"step {record['step']} skipped: ", f"跳过第 {record['step']} 步：") + str(record["reason"]))

    def warned(self, message: str) -> None:
        """Pass it on."""
        self.line(message, style="yellow")

    def stage_ended(self, stage: "Stage", result: "StageResult") -> None:
        """How it went."""
        self.line(_end(stage, result), style="bold green")

    def line(self, text: str, style: str = "") -> None:
        """Print a line, above the live one where there is one."""
        self.console.print(text, style=style or None, markup=False, soft_wrap=True)


class LiveWatcher(PlainWatcher):
    """The same with a line that moves: bar, loss, learning rate, speed, time left."""

    def __init__(self, console: "Console", bar: "Progress") -> None:
        super().__init__(console)
        self._bar = bar
        self._task: TaskID | None = None

    def entered(self, phase: Phase, stage: str | None) -> None:
        """Show what goes on where the bar will be."""
        self._end_task()
        self._task = self._bar.add_task(_phase(phase, stage), total=None, figures="")

    def tokenised(self, stage: str, rows: int, tokens: int) -> None:
        """Count up."""
        if self._task is not None:
            text = say(f"{rows:,} rows, {count(tokens)} tokens", f"{rows:,} 行，{count(tokens)} 词元")
            self._bar.update(self._task, figures=text)

    def answered(self, stage: str, conversations: int, tokens: int) -> None:
        """Count up."""
        if self._task is not None:
            self._bar.update(self._task, figures=_taught(conversations, tokens))

    def stage_started(self, stage: "Stage", start: "StageStart") -> None:
        """A bar for its steps."""
        super().stage_started(stage, start)
        self._end_task()
        self._task = self._bar.add_task(stage.name, total=stage.total_steps, completed=start.stage_step, figures="")

    def stepped(self, record: "Record") -> None:
        """Move the bar."""
        if self._task is not None:
            self._bar.update(self._task, completed=int(record["stage_step"]), figures=figures_of(record))

    def stage_ended(self, stage: "Stage", result: "StageResult") -> None:
        """The bar goes, a line stays."""
        self._end_task()
        super().stage_ended(stage, result)

    def finished(self, folder: Path) -> None:
        """No bar any more."""
        self._end_task()

    def _end_task(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None


def figures_of(record: "Record") -> str:
    """The numbers of a step that a person follows."""
    parts = [f"{say('loss', '损失')} {_figure(record, 'loss')}", f"lr {_figure(record, 'learning_rate', '.2g')}"]
    if "tokens_per_s" in record:
        parts.append(f"{count(float(record['tokens_per_s']))} tok/s")
    if "mfu" in record:
        parts.append(f"MFU {float(record['mfu']):.0%}")
    return "  ".join(parts)


def step_line(record: "Record", stage: "Stage | None") -> str:
    """A whole line about a step, with the time left."""
    step = int(record["stage_step"])
    total = "?" if stage is None else f"{stage.total_steps:,}"
    line = f"{record['stage']}  {step:,}/{total}  {figures_of(record)}"
    if stage is None or not step or "seconds" not in record:
        return line
    left = float(record["seconds"]) / step * (stage.total_steps - step)
    return line + say(f"  {duration(left)} left", f"  剩余 {duration(left)}")


def evaluation_line(record: "Record") -> str:
    """The figures of an evaluation on a line."""
    names = {"loss": say("validation loss", "验证损失"), "bits_per_byte": say("bits per byte", "每字节比特")}
    figures = {
        key.removeprefix("eval_"): value
        for key, value in record.items()
        if key.startswith("eval_") and isinstance(value, (int, float))
    }
    if not figures:
        return ""
    shown = "  ".join(f"{names.get(key, key)} {value:.4g}" for key, value in figures.items())
    return f"{record['stage']}  {record['stage_step']}  {shown}"


def _figure(record: "Record", key: str, form: str = ".4f") -> str:
    value = record.get(key)
    return format(float(value), form) if isinstance(value, (int, float)) else "–"


def _taught(conversations: int, tokens: int) -> str:
    return say(
        f"the teacher has answered {conversations:,} conversations, {count(tokens)} tokens",
        f"教师模型已作答 {conversations:,} 段对话，{count(tokens)} 词元",
    )


def _phase(phase: Phase, stage: str | None) -> str:
    texts = {
        "tokenizer": say("preparing the tokenizer", "准备分词器"),
        "data": say("preparing the data", "准备数据"),
        "model": say("opening the model", "载入模型"),
        "evaluation": say("evaluating the result", "评测结果"),
        "report": say("writing the report", "撰写报告"),
    }
    return f"{stage}: {texts[phase]} …" if stage else f"{texts[phase]} …"


def _start(stage: "Stage", start: "StageStart") -> str:
    trained, every = count(start.trainable_parameters), count(start.parameters)
    weights = trained if start.trainable_parameters == start.parameters else f"{trained}/{every}"
    line = say(
        f"{stage.name}: {stage.total_steps:,} steps, {weights} parameters trained in {start.dtype}",
        f"{stage.name}：共 {stage.total_steps:,} 步，以 {start.dtype} 训练 {weights} 参数",
    )
    if start.stage_step:
        line += say(f", going on at step {start.stage_step:,}", f"，从第 {start.stage_step:,} 步继续")
    return line


def _end(stage: "Stage", result: "StageResult") -> str:
    parts = [f"{stage.name}: {result.steps:,} {say('steps', '步')}", duration(result.seconds)]
    if result.loss is not None:
        parts.append(f"{say('loss', '损失')} {result.loss:.4f}")
    if result.best_eval_loss is not None:
        parts.append(f"{say('best validation loss', '最佳验证损失')} {result.best_eval_loss:.4f}")
    parts.append(f"{count(result.tokens_per_s)} tok/s")
    if result.mfu is not None:
        parts.append(f"MFU {result.mfu:.0%}")
    if result.stopped_early:
        parts.append(say("stopped early", "提前停止"))
    return "  ".join(parts)


def _one_line(text: str, width: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _progress(console: "Console") -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
