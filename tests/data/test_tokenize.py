"""Rows to a store: the same whatever the number of processes; made once; nothing dropped in silence."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from chatwright.chat import ChatTemplate, Message
from chatwright.data import tokenize
from chatwright.data.encode import DialogueEncoder, TextEncoder
from chatwright.data.example import Document, Example
from chatwright.data.rows import Dialogue, Row, Text
from chatwright.data.store import ExampleStore
from chatwright.data.store_writer import StoreWriter
from chatwright.data.tokenize import build_store, open_prepared
from chatwright.errors import ChatwrightError, ConfigError, InputError
from chatwright.tokenizer import Tokenizer

TOKENIZER = Tokenizer.from_folder(Path(__file__).parent / "chat" / "chatml")
TEMPLATE = ChatTemplate(TOKENIZER)


def files_of(store: ExampleStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(store.folder.iterdir())}


def never() -> Iterator[Row]:
    raise AssertionError("the rows were read")
    yield


def dialogue(text: str) -> Dialogue:
    return Dialogue((Message("user", text), Message("assistant", f"You said {text}")))


def test_the_store_is_the_same_for_any_number_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenize, "_CHUNK_CHARS", 500)
    texts: list[Row] = [Text(f"text {number} " * (1 + number % 17)) for number in range(200)]
    stores = [build_store(iter(texts), TextEncoder(TOKENIZER), tmp_path / str(n), workers=n) for n in (1, 2, 3)]
    assert files_of(stores[0]) == files_of(stores[1]) == files_of(stores[2])
    assert TOKENIZER.decode(stores[1][17].documents[0].ids) == "text 17 "


def test_chats_too_and_the_tally_is_of_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenize, "_CHUNK_CHARS", 20_000)
    rows: list[Row] = [dialogue("word " * (number % 30)) for number in range(100)]
    encoder = DialogueEncoder(TEMPLATE, 64)
    alone = build_store(rows, encoder, tmp_path / "alone", workers=1)
    together = build_store(rows, encoder, tmp_path / "together", workers=2)
    assert files_of(alone) == files_of(together)
    assert alone.facts.tally["longer than max_length"] + len(alone) == 100 == alone.facts.num_rows


def test_what_is_made_is_used_again_until_something_changes(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    encoder = DialogueEncoder(TEMPLATE, 64)
    first = build_store([dialogue("x")], encoder, folder, source="a")
    again = build_store(never(), encoder, folder, source="a")
    assert again.facts == first.facts
    for source, other in (("b", encoder), ("a", DialogueEncoder(TEMPLATE, 65)), (None, encoder)):
        build_store([dialogue("x")], encoder, folder, source="a")
        with pytest.raises(AssertionError, match="were read"):
            build_store(never(), other, folder, source=source)
    expected = first[0].documents[0].ids.tolist()
    ids = folder / "ids-00000.u16"
    ids.write_bytes(ids.read_bytes()[::-1])
    mended = build_store([dialogue("x")], encoder, folder, source="a")
    assert mended[0].documents[0].ids.tolist() == expected


def test_a_prepared_store_serves_only_the_model_that_it_was_made_for(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    made = build_store([dialogue("x")], DialogueEncoder(TEMPLATE, 64), folder)
    assert len(open_prepared(folder, DialogueEncoder(ChatTemplate(TOKENIZER), 64))) == len(made)
    with pytest.raises(ConfigError, match="data prepare"):
        open_prepared(folder, DialogueEncoder(TEMPLATE, 32))


def test_progress_ends_with_everything(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    store = build_store(
        [Text("some text")] * 50, TextEncoder(TOKENIZER), tmp_path / "s", progress=lambda *now: seen.append(now)
    )
    assert seen[-1] == (50, store.num_tokens)


def test_rows_that_the_template_refuses_are_counted_and_too_many_stop(tmp_path: Path) -> None:
    strict = ChatTemplate(
        TOKENIZER,
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system messages') }}{% endif %}" + TEMPLATE.source,
    )
    bad = Dialogue((Message("system", "x"), *dialogue("x").messages))
    rows: list[Row] = [dialogue("x")] * 30 + [bad]
    store = build_store(rows, DialogueEncoder(strict, 64), tmp_path / "s")
    assert len(store) == 30
    ((reason, count),) = store.facts.tally.items()
    assert count == 1
    assert "no system messages" in reason
    with pytest.raises(
        InputError,
        match=r"10 of 40 rows .* max_malformed = 5.00% allows; the first because .*no system messages",
    ):
        build_store([*rows, *[bad] * 9], DialogueEncoder(strict, 64), tmp_path / "s")
    assert len(ExampleStore.open(tmp_path / "s")) == 30


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "s")
    writer.append([Example((Document(np.arange(3, dtype=np.int32)),))])
    assert len(list(tmp_path.iterdir())) == 1  # never finished, never discarded
    build_store([dialogue("x")], DialogueEncoder(TEMPLATE, 64), tmp_path / "s")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".s.lock", "s"]


def test_nothing_to_learn_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 longer than max_length"):
        build_store([dialogue("word " * 99)] * 3, DialogueEncoder(TEMPLATE, 64), tmp_path / "s")
    with pytest.raises(InputError, match="no rows"):
        build_store([], TextEncoder(TOKENIZER), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def lengths_only(row: Row) -> Example | None:
    """An encoder of one's own: any function that another process can import."""
    assert isinstance(row, Text)
    return Example((Document(np.arange(len(row.text), dtype=np.int32)),)) if row.text else None


def test_any_function_can_encode(tmp_path: Path) -> None:
    store = build_store([Text("abc"), Text(""), Text("de")], lengths_only, tmp_path / "s")
    assert store.lengths.tolist() == [3, 2]


def ends_the_process(row: Row) -> Example | None:
    os._exit(1)


def test_a_process_that_is_killed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenize, "_CHUNK_CHARS", 1)
    with pytest.raises(ChatwrightError, match="ended from outside"):
        build_store([Text("abc")] * 20, ends_the_process, tmp_path / "s", workers=2)
    assert not (tmp_path / "s").exists()
