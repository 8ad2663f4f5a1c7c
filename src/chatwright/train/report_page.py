"""The report of a run as one self-contained page: no script, nothing fetched, light and dark."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Of a stage: key of the report, English and Chinese title.
_COLUMNS = (
    ("steps", "steps", "步数"),
    ("tokens", "tokens", "词元"),
    ("loss", "training loss", "训练损失"),
    ("eval_loss", "validation loss", "验证损失"),
    ("eval_bits_per_byte", "bits per byte", "每字节比特"),
    ("tokens_per_s", "tokens per second", "每秒词元"),
    ("seconds", "time", "用时"),
)
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --soft: #667085; --line: #e4e7ec; --paper: #fff; --card: #f7f8fa;
  --accent: #3b6fd4; --user: #e8effc; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #98a2b3; --line: #2c313b; --paper: #14171c;
  --card: #1c2027; --accent: #7ea4ee; --user: #22304a; } .curves { background: #fff; border-radius: 12px } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 system-ui, -apple-system, "Segoe UI",
  "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif }
main { max-width: 960px; margin: 0 auto; padding: 48px 24px 96px }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 4px } h2 { font-size: 20px; margin: 48px 0 12px }
h3 { font-size: 16px; margin: 20px 0 6px } p.about { color: var(--soft); margin: 0 0 28px }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px }
.card { background: var(--card); border-radius: 12px; padding: 14px 16px }
.card b { display: block; font-size: 22px; font-variant-numeric: tabular-nums } .card span { color: var(--soft);
  font-size: 13px }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 15px }
th, td { text-align: right; padding: 8px 10px; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left } th { color: var(--soft); font-weight: 500; font-size: 13px }
img { width: 100%; height: auto; display: block }
.turn { display: flex; margin: 8px 0 } .turn.user { justify-content: flex-end }
.turn p { margin: 0; padding: 9px 14px; border-radius: 16px; max-width: 78%; white-space: pre-wrap;
  overflow-wrap: anywhere; background: var(--card) } .turn.user p { background: var(--user) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 0 } dt { color: var(--soft) }
dd { margin: 0; overflow-wrap: anywhere }
details { margin-top: 12px } summary { cursor: pointer; color: var(--accent) }
pre { background: var(--card); border-radius: 12px; padding: 16px; overflow-x: auto; font-size: 13px; line-height: 1.45
  }
code { font-size: 14px; background: var(--card); border-radius: 6px; padding: 2px 6px }
"""


def report_page(report: Mapping[str, Any], *, curves: bytes | None, recipe_yaml: str, language: str) -> str:
    """The page's HTML.

    Args:
        report: the content of ``report.json``.
        curves: a PNG; None without one.
        recipe_yaml: the resolved recipe.
        language: "en" or "zh".
    """
    page = _Page(report, chinese=language == "zh")
    sections = [page.head(), page.figures(), page.curves(curves), page.evaluation(), page.conversation()]
    sections += [page.samples(), page.data(), page.details(recipe_yaml)]
    title = html.escape(str(report["name"]))
    return (
        f'<!doctype html>\n<html lang="{"zh" if page.chinese else "en"}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


class _Page:
    def __init__(self, report: Mapping[str, Any], *, chinese: bool) -> None:
        self.report = report
        self.stages: Mapping[str, Mapping[str, Any]] = report["stages"]
        self.chinese = chinese

    def say(self, english: str, chinese: str) -> str:
        return chinese if self.chinese else english

    def head(self) -> str:
        stages = list(self.stages.values())
        path = " → ".join(self.stages)
        cards = [
            (_count(self.report["model"].get("parameters")), self.say("parameters", "参数")),
            (_count(sum(stage["tokens"] for stage in stages)), self.say("tokens trained on", "训练词元")),
            (_count(sum(stage["steps"] for stage in stages)), self.say("steps", "步")),
            (_duration(sum(stage["seconds"] for stage in stages)), self.say("of training", "训练用时")),
        ]
        shown = "".join(f'<div class="card"><b>{value}</b><span>{name}</span></div>' for value, name in cards)
        title = f'<h1>{_text(self.report["name"])}</h1>\n<p class="about">{_text(path)}</p>'
        return f'{title}\n<div class="cards">{shown}</div>'

    def figures(self) -> str:
        columns = [
            column for column in _COLUMNS if any(stage.get(column[0]) is not None for stage in self.stages.values())
        ]
        titles = [self.say("stage", "阶段"), *(self.say(english, chinese) for _, english, chinese in columns)]
        rows = [[name, *(_value(key, stage.get(key)) for key, _, _ in columns)] for name, stage in self.stages.items()]
        parts = [f"<h2>{self.say('Stages', '训练阶段')}</h2>", _table(titles, rows)]
        for name, stage in self.stages.items():
            shown = {key for key, _, _ in _COLUMNS}
            others = {
                key.removeprefix("eval_"): _number(value)
                for key, value in stage.items()
                # Groups of a task, such as its skills, stand in the final evaluation's table.
                if key.startswith("eval_") and "/" not in key and key not in shown and isinstance(value, (int, float))
            }
            if others:
                parts.append(f"<h3>{_text(name)} · {self.say('on held-out data', '留出数据')}</h3>{_list(others)}")
        return "\n".join(parts)

    def curves(self, png: bytes | None) -> str:
        if png is None:
            return ""
        data = base64.b64encode(png).decode()
        name = self.say("Loss, learning rate and speed", "损失、学习率与速度")
        return (
            f"<h2>{self.say('Curves', '曲线')}</h2>\n"
            f'<div class="curves"><img alt="{name}" src="data:image/png;base64,{data}"></div>'
        )

    def evaluation(self) -> str:
        tasks = (self.report["evaluation"] or {}).get("tasks")
        if not tasks:
            return ""
        rows = []
        for task, result in tasks.items():
            rows += self._figures(task, result)
            for group, part in result["groups"].items():
                rows += self._figures(f"{task} · {group}", part)
        titles = [self.say("task", "任务"), self.say("figure", "指标"), self.say("questions", "题数")]
        titles += [self.say("value", "数值"), self.say("95 % interval", "95% 区间")]
        return f"<h2>{self.say('Evaluation', '评测')}</h2>\n{_table(titles, rows)}"

    def _figures(self, task: str, result: Mapping[str, Any]) -> list[list[str]]:
        return [
            [task, name, f"{result['n']:,}", _number(figure["value"]), f"{figure['low']:.3g} – {figure['high']:.3g}"]
            for name, figure in result["figures"].items()
        ]

    def conversation(self) -> str:
        turns = self.report["conversation"]
        if not turns:
            return ""
        title = self.say("A conversation with the model", "与模型的一段对话")
        return f"<h2>{title}</h2>\n" + "\n".join(_turn(turn["role"], turn["content"]) for turn in turns)

    def samples(self) -> str:
        samples = self.report["samples"]
        if not samples:
            return ""
        parts = [f"<h2>{self.say('Answers at the end of each stage', '各阶段结束时的回答')}</h2>"]
        for name in self.stages:
            own = [sample for sample in samples if sample["stage"] == name]
            if own:
                parts.append(f"<h3>{_text(name)}</h3>")
            parts += [_turn("user", sample["prompt"]) + _turn("assistant", sample["answer"]) for sample in own]
        return "\n".join(parts)

    def data(self) -> str:
        parts = []
        for name, stage in self.stages.items():
            report = stage.get("data")
            if not report:
                continue
            parts.append(f"<h3>{_text(name)}</h3>")
            parts.append(_list(self._data_facts(report)))
            places = [place for source in report["sources"].values() for place in source["places"]]
            if places:
                shown = "\n".join(_text(place) for place in places)
                parts.append(
                    f"<details><summary>{self.say('lines that could not be used', '无法使用的行')}</summary>"
                    f"<pre>{shown}</pre></details>"
                )
        return f"<h2>{self.say('Data', '数据')}</h2>\n" + "\n".join(parts) if parts else ""

    def _data_facts(self, report: Mapping[str, Any]) -> dict[str, str]:
        facts: dict[str, str] = {}
        names = {"train": self.say("trained on", "训练"), "validation": self.say("held out", "留出")}
        for key, title in names.items():
            if (store := report.get(key)) is not None:
                examples, tokens, learned = (f"{store[key]:,}" for key in ("examples", "tokens", "learned_tokens"))
                facts[title] = self.say(
                    f"{examples} examples, {tokens} tokens, {learned} of them learned",
                    f"{examples} 个样本，{tokens} 个词元，其中学习 {learned} 个",
                )
                for reason, count in store["changed_or_dropped"].items():
                    facts[f"{title}: {reason}"] = f"{count:,}"
        for key, source in report["sources"].items():
            facts[self.say(f"read from {key}", f"读取自 {key}")] = f"{source['read']:,}"
            if source["malformed"]:
                facts[self.say(f"malformed in {key}", f"{key} 中格式有误")] = f"{source['malformed']:,}"
            if source["duplicates"]:
                facts[self.say(f"duplicates in {key}", f"{key} 中重复")] = f"{source['duplicates']:,}"
            for reason, count in {**source["dropped"], **source["changed"]}.items():
                facts[f"{key}: {reason}"] = f"{count:,}"
        return facts

    def details(self, recipe_yaml: str) -> str:
        model = self.report["model"]
        use = self.say("Talk to it:", "与它对话：") if model["chats"] else self.say("Its folder:", "模型文件夹：")
        command = f"chatwright chat -m {model['path']}" if model["chats"] else model["path"]
        facts = {key: str(value) for key, value in {**model, **self.report["machine"]}.items() if key != "chats"}
        whole = self.say("The whole recipe", "完整配方")
        return (
            f"<h2>{self.say('Model and machine', '模型与机器')}</h2>\n"
            f"<p>{use} <code>{_text(command)}</code></p>\n"
            + _list({key: value for key, value in facts.items() if value != "None"})
            + f"\n<details><summary>{whole}</summary><pre>{_text(recipe_yaml)}</pre></details>"
        )


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _list(facts: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in facts.items()) + "</dl>"


def _turn(role: str, content: str) -> str:
    return f'<div class="turn {"user" if role == "user" else "other"}"><p>{_text(content)}</p></div>'


def _text(value: Any) -> str:
    return html.escape(str(value))


def _value(key: str, value: Any) -> str:
    if value is None:
        return "–"
    if key == "seconds":
        return _duration(value)
    return f"{value:,.0f}" if key in ("steps", "tokens", "tokens_per_s") else _number(value)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _count(value: int | None) -> str:
    if value is None:
        return "–"
    for size, sign in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g} {sign}"
    return str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"
