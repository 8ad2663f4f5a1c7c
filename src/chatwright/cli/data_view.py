"""Samples and surveys of data, for a terminal with colours and for anything else."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chatwright.cli.language import say

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from chatwright.data.preview import DocumentView, Sample, Span
    from chatwright.data.report import DataReport
    from chatwright.data.survey import Survey

_LEARNED = "green"
_CONTROL = "bold"
_CONTEXT = "dim"
_SHOWN_CHARS = 100  # at least so much of a stretch is shown at each end


def legend(*, coloured: bool) -> "Text":
    """What the marks mean."""
    from rich.text import Text

    learned, context = say("learned", "参与训练"), say("context only", "仅作上下文")
    control = say("bold: control token", "粗体：控制词元")
    if not coloured:
        return Text(say(f"⟦{learned}⟧, all else {context}", f"⟦{learned}⟧，其余{context}"))
    return Text.assemble((learned, _LEARNED), " · ", (context, _CONTEXT), " · ", (control, _CONTROL))


def sample_text(sample: "Sample", number: int, *, coloured: bool, max_chars: int) -> "Text":
    """A sample with the learned tokens marked: by colour, or between ⟦ and ⟧."""
    from rich.text import Text

    text = Text()
    about = [f"#{number}", _kind(sample.kind), *(f"{name} = {value}" for name, value in sample.values.items())]
    text.append(" · ".join(about), style="bold cyan" if coloured else "")
    for note in sample.notes:
        text.append(f"\n! {note}", style="yellow" if coloured else "")
    for document in sample.documents:
        text.append(f"\n{_title(document)}\n", style="cyan" if coloured else "")
        text.append_text(_spans(document.spans, coloured=coloured, max_chars=max_chars))
    text.append("\n")
    return text


def survey_table(survey: "Survey") -> "Table":
    """The figures of a survey, one a line."""
    report = survey.report
    percent = survey.num_learned / survey.num_tokens if survey.num_tokens else 0
    lines: list[tuple[str, Any]] = [
        (say("lines read", "读取行数"), report.read),
        (say("rows", "数据条数"), report.kept),
        (say("kinds", "类型"), _counts({_kind(kind): count for kind, count in survey.kinds.items()})),
        (say("languages", "语言"), _counts(survey.languages)),
        (say("characters", "字符数"), survey.num_chars),
        (say("tokens", "词元数"), survey.num_tokens),
        (say("learned", "参与训练"), f"{survey.num_learned:,} ({percent:.0%})"),
        (say("tokens in a document", "每篇词元数"), _percentiles(survey.percentiles())),
        (say("equal rows", "重复条数"), survey.num_duplicates),
        (say("malformed lines", "格式错误行数"), report.malformed),
        (say("left out", "剔除"), _counts(report.dropped)),
        (say("changed", "改动"), _counts(report.changed)),
        (say("for this model", "对此模型"), _counts(survey.tally)),
    ]
    return figures_table((name, value) for name, value in lines if value not in ("", 0))


def figures_table(lines: Iterable[tuple[str, Any]]) -> "Table":
    """Names and values; whole numbers with separators."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines:
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    return table


def complaints(report: "DataReport") -> list[str]:
    """What a person should know of how the data was read."""
    lines = list(report.notes)
    if report.malformed:
        first = "; ".join(report.places[:3])
        lines.append(
            say(
                f"{report.malformed:,} of {report.read:,} lines are malformed: {first}",
                f"{report.read:,} 行中有 {report.malformed:,} 行格式错误：{first}",
            )
        )
    return lines


def _spans(spans: "Iterable[Span]", *, coloured: bool, max_chars: int) -> "Text":
    from rich.text import Text

    text = Text()
    inside = False
    for span in _shortened(list(spans), max_chars):
        if coloured:
            style = _LEARNED if span.learned else _CONTEXT
            text.append(span.text, style=f"{style} {_CONTROL}" if span.is_control else style)
        else:
            if span.learned is not inside:
                text.append("⟦" if span.learned else "⟧")
            inside = span.learned
            text.append(span.text)
    if inside:
        text.append("⟧")
    return text


def _shortened(spans: "list[Span]", max_chars: int) -> "list[Span]":
    """The spans in about ``max_chars`` characters: long context loses its middle, for the answers are what matters.

    Learned text is shortened only where that is not enough.
    """
    excess = sum(len(span.text) for span in spans) - max_chars
    for index in sorted(range(len(spans)), key=lambda index: (spans[index].learned, -len(spans[index].text))):
        span = spans[index]
        if excess <= 0:
            break
        keep = max(len(span.text) - excess, 2 * _SHOWN_CHARS)
        hidden = len(span.text) - keep
        if hidden > 0:
            note = say(f" … ({hidden:,} characters) … ", f" …（{hidden:,} 个字符）… ")
            shorter = span.text[: keep // 2] + note + span.text[len(span.text) - keep // 2 :]
            spans[index] = replace(span, text=shorter)
            excess -= hidden
    return spans


def _title(document: "DocumentView") -> str:
    names = {"chosen": say("chosen", "偏好的"), "rejected": say("rejected", "拒绝的")}
    counts = say(
        f"{document.num_tokens:,} tokens, {document.num_learned:,} learned",
        f"{document.num_tokens:,} 个词元，其中 {document.num_learned:,} 个参与训练",
    )
    return f"{names[document.name]}: {counts}" if document.name else counts


def _kind(kind: str) -> str:
    chinese = {
        "text": "文本",
        "chat": "对话",
        "preference": "偏好",
        "rated": "评分",
        "labelled": "分类",
        "prompt": "提示",
    }
    return say(kind, chinese[kind])


def _counts(counts: "Any") -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1]) if count)


def _percentiles(values: dict[str, int]) -> str:
    names = {"50": say("half", "半数"), "100": say("longest", "最长")}
    return ", ".join(f"{names.get(part, part + ' %')} ≤ {count:,}" for part, count in values.items())
