"""``chatwright chat``: one answer to one question, or a session in the terminal."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from chatwright.cli.language import say

app = typer.Typer(add_completion=False)

_SAMPLING = say("Sampling (default: what the model's makers advise)", "采样（缺省为模型作者的建议值）")
_MACHINE = say("Machine", "运行")
_OUTPUT = say("Output", "输出")


def _sampling(*names: str, english: str, chinese: str) -> Any:
    return typer.Option(*names, help=say(english, chinese), rich_help_panel=_SAMPLING, show_default=False)


def _machine(*names: str, english: str, chinese: str, **settings: Any) -> Any:
    return typer.Option(*names, help=say(english, chinese), rich_help_panel=_MACHINE, **settings)


@app.command(
    help=say(
        "Talk to a model. With a question, or text on stdin: one answer. Without: a session; /help lists its commands.",
        "与模型对话。给出问题（或由标准输入传入）时回答一次，否则进入会话。",
    ),
    epilog=say(
        'Examples:  chatwright chat "Why is the sky blue?"  ·  cat notes.txt | chatwright chat "Summarise this:"  ·  '
        'chatwright chat "Three colours" --json --seed 1',
        '示例：  chatwright chat "天空为什么是蓝色的？"  ·  cat 笔记.txt | chatwright chat "请总结："  ·  '
        'chatwright chat "三种颜色" --json --seed 1',
    ),
)
def chat(
    question: Annotated[
        str | None,
        typer.Argument(
            help=say("What to ask; text from a pipe is added below it.", "要问的问题；管道中的文本会接在其后。"),
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            envvar="CHATWRIGHT_MODEL",
            show_default=False,
            help=say(
                "A name, a folder or a .gguf file; without it, the embedded model.",
                "名称、文件夹或 .gguf 文件；缺省为内置模型。",
            ),
        ),
    ] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(
            "--adapter",
            show_default=False,
            help=say(
                "Folder of a LoRA adapter to merge into the model; without --model, the one it names.",
                "要合并进模型的 LoRA 适配器文件夹；缺省模型为其所属模型。",
            ),
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            "--system",
            "-s",
            show_default=False,
            help=say("Instructions before the conversation.", "对话之前的系统提示。"),
        ),
    ] = None,
    temperature: Annotated[
        float | None, _sampling("--temperature", "-t", english="0 to 2; 0 is exact.", chinese="0 到 2；0 最确定。")
    ] = None,
    top_p: Annotated[
        float | None, _sampling("--top-p", english="0 to 1: only the likeliest share.", chinese="0 到 1：累计概率。")
    ] = None,
    top_k: Annotated[
        int | None,
        _sampling("--top-k", english="Only the k likeliest; 0 is off.", chinese="只取最可能的 k 个；0 为不限。"),
    ] = None,
    min_p: Annotated[
        float | None, _sampling("--min-p", english="0 to 1: drop the unlikely.", chinese="0 到 1：去掉不太可能的。")
    ] = None,
    repetition_penalty: Annotated[
        float | None, _sampling("--repetition-penalty", english="Above 1: repeat less.", chinese="大于 1：减少重复。")
    ] = None,
    seed: Annotated[
        int | None, _sampling("--seed", english="The same seed, the same answer.", chinese="相同的种子，相同的回答。")
    ] = None,
    max_tokens: Annotated[
        int | None,
        _sampling("--max-tokens", "-n", english="Longest answer, in tokens.", chinese="回答的最大 token 数。"),
    ] = None,
    stop: Annotated[
        list[str] | None,
        _sampling("--stop", english="End before this text; may be repeated.", chinese="遇到此文本即停；可多次使用。"),
    ] = None,
    json_schema: Annotated[
        Path | None,
        _sampling("--json-schema", english="Answer in JSON of this schema.", chinese="按此 JSON Schema 回答。"),
    ] = None,
    regex: Annotated[
        str | None, _sampling("--regex", english="The answer must match this.", chinese="回答须匹配此正则表达式。")
    ] = None,
    device: Annotated[
        str, _machine("--device", english="auto, cpu, cuda or mps.", chinese="auto、cpu、cuda 或 mps。")
    ] = "auto",
    dtype: Annotated[
        str,
        _machine(
            "--dtype", english="auto, float32, bfloat16 or float16.", chinese="auto、float32、bfloat16 或 float16。"
        ),
    ] = "auto",
    threads: Annotated[
        int | None,
        _machine("--threads", english="Processor threads.", chinese="处理器线程数。", min=1, show_default=False),
    ] = None,
    max_model_len: Annotated[
        int | None,
        _machine(
            "--max-model-len",
            english="Longest context, in tokens.",
            chinese="最大上下文 token 数。",
            min=16,
            show_default=False,
        ),
    ] = None,
    context_policy: Annotated[
        Literal["drop_oldest", "error"],
        _machine(
            "--context-policy",
            english="When the context is full: leave out the oldest turns (and say so), or fail.",
            chinese="上下文满时舍去最早轮次或报错。",
        ),
    ] = "drop_oldest",
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            rich_help_panel=_OUTPUT,
            help=say("One JSON object: answer, usage, timings.", "输出一个 JSON 对象。"),
        ),
    ] = False,
    stats: Annotated[
        bool,
        typer.Option(
            "--stats", rich_help_panel=_OUTPUT, help=say("Tokens and speed on stderr.", "在 stderr 显示用量与速度。")
        ),
    ] = False,
) -> None:
    """Answer once, or open a session."""
    from chatwright.cli.sampling import constraint_from, given
    from chatwright.session import Chat

    text = _question(question)
    options = given(
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
        max_tokens=max_tokens,
        stop=tuple(stop) if stop else None,
        constraint=constraint_from(json_schema, regex),
    )
    machine: dict[str, Any] = {"device": device, "dtype": dtype, "threads": threads, "max_model_len": max_model_len}
    source: str | Path | None = model
    if adapter is not None:
        from chatwright.model.merged import merged_folder

        source = merged_folder(adapter, model)
    with Chat(source, system=system, context_policy=context_policy, **machine, **options) as session:
        if text is not None:
            from chatwright.cli.one_shot import answer

            answer(session, text, as_json=as_json, stats=stats)
        elif as_json:
            from chatwright.errors import InvalidParameterError

            raise InvalidParameterError("json", "--json needs a question: as an argument, or on stdin")
        else:
            from chatwright.cli.interactive import converse

            converse(session, machine, stats=stats)


def _question(argument: str | None) -> str | None:
    """The question from the command line and from a pipe; None if there is neither, and a session is wanted."""
    from chatwright.errors import InputError

    piped = None
    # Something that is not a terminal but has nothing to say, such as cron's, must not turn a question into an error.
    if not sys.stdin.isatty():
        try:
            piped = sys.stdin.buffer.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"the text on stdin is not UTF-8 (byte {error.start}); convert it, e.g. with iconv -f GBK -t UTF-8"
            ) from error
    parts = [part for part in (argument, piped) if part is not None and part.strip()]
    if not parts and (argument is not None or piped is not None):
        raise InputError("the message is empty; write something")
    return "\n\n".join(parts) if parts else None
