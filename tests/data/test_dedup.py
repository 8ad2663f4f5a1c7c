"""Rows that came before are found; rows that only share a part are not."""

import random
import sqlite3

import pytest

from chatwright.chat import Message
from chatwright.data.dedup import duplicates
from chatwright.data.report import DataReport
from chatwright.data.rows import Dialogue, Labelled, Rated, Row, Text
from chatwright.data.settings import DataSettings
from chatwright.data.shingles import window_hashes
from chatwright.data.sources import read_rows
from chatwright.errors import StorageError

WORDS = [f"{a}{b}" for a in ("ba", "ki", "tu", "mo", "re", "sha") for b in ("lan", "dor", "mi", "st", "que", "zor")]
HAN = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜金生丽水玉出昆冈"


def prose(seed: int, words: int = 200) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def han(seed: int, characters: int = 300) -> list[str]:
    return random.Random(seed).choices(HAN, k=characters)


def kept(rows: list[Row], method: str) -> list[int]:
    with duplicates(method) as is_duplicate:  # type: ignore[arg-type]
        return [index for index, row in enumerate(rows) if not is_duplicate(row)]


def chat(question: str, answer: str) -> Dialogue:
    return Dialogue((Message("user", question), Message("assistant", answer)))


def test_equal_rows_are_dropped_and_the_first_stays() -> None:
    rows: list[Row] = [
        Text("a"),
        Text("b"),
        Text("a"),
        Labelled("a", "x"),
        Labelled("a", "y"),
        chat("a", "b"),
        chat("a", "b"),
    ]
    assert kept(rows, "exact") == [0, 1, 3, 4, 5]
    prompt, answer = (Message("user", "q"),), (Message("assistant", "a"),)
    assert kept([Rated(prompt, answer, True), Rated(prompt, answer, False)], "minhash") == [0, 1]


@pytest.mark.parametrize(("make", "join"), [(prose, " "), (han, "")], ids=["en", "zh"])
def test_nearly_equal_texts_are_dropped_in_both_languages(make: object, join: str) -> None:
    assert callable(make)
    rows: list[Row] = []
    for seed in range(30):
        units = make(seed)
        changed = units.copy()
        changed[len(units) // 2] = "新" if join == "" else "new"
        rows += [Text(join.join(units)), Text("  " + join.join(changed).upper() + "!")]
        rows.append(Text(join.join(units[: len(units) // 2] + make(seed + 1000)[: len(units) // 2])))  # half is shared
    assert kept(rows, "minhash") == [index for index in range(90) if index % 3 != 1]


def test_a_shared_context_or_a_shared_answer_makes_no_duplicate() -> None:
    passage, refusal = " ".join(prose(1)), "I am sorry, but I cannot help you with that request at all."
    rows: list[Row] = [
        chat(f"{passage} Who?", " ".join(prose(2, 30))),
        chat(f"{passage} When?", " ".join(prose(3, 30))),
        chat(" ".join(prose(4)), refusal),
        chat(" ".join(prose(5)), refusal),
        chat("你好", "你好！有什么可以帮你的吗？"),
        chat("在吗", "你好！有什么可以帮你的吗？"),
    ]
    assert kept(rows, "minhash") == list(range(6))
    assert kept([*rows, chat(f"{passage} Who!", " ".join(prose(2, 30)))], "minhash") == list(range(6))


def test_duplicates_are_counted_while_rows_stream(tmp_path: object) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "a.txt"
    file.write_text("one\ntwo\none\n")
    report = DataReport()
    settings = DataSettings.model_validate({"path": str(file), "sample_by": "line", "dedup": "exact"})
    assert len(list(read_rows(settings, kinds=(Text,), report=report))) == 2
    assert (report.read, report.kept, report.duplicates) == (3, 2, 1)


def test_windows_hash_alike_wherever_they_stand() -> None:
    data = b"0123456789" * 10
    hashes = window_hashes(data, 24)
    assert len(hashes) == len(data) - 23
    assert len(set(hashes.tolist())) == 10
    assert hashes[3] == window_hashes(data[3:27], 24)[0]
    assert len(window_hashes(b"short", 24)) == 0


def test_a_full_disk_is_an_error_of_ours() -> None:
    with pytest.raises(StorageError, match="temporary file"), duplicates("exact"):
        raise sqlite3.OperationalError("database or disk is full")
