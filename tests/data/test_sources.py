"""Rows from files of every kind: nothing is dropped silently, and what is wrong is said with file and line."""

import bz2
import gzip
import json
import lzma
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chatwright.data.builtin import BUILTIN
from chatwright.data.report import DataReport
from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Row, Text
from chatwright.data.settings import DataSettings
from chatwright.data.sources import read_rows, source_records
from chatwright.errors import ChatwrightError, ConfigError, InputError

ALL = (Text, Dialogue, Preference, Rated, Labelled, Prompt)
TEXTS = ["first", "zweite Zeile", "第三行"]


def settings(path: Any, **options: Any) -> DataSettings:
    return DataSettings.model_validate({"path": str(path) if isinstance(path, Path) else path, **options})


def texts(path: Any, report: DataReport | None = None, **options: Any) -> list[str]:
    rows = read_rows(settings(path, **options), kinds=(Text,), report=report)
    return [row.text for row in rows if isinstance(row, Text)]


def lines(values: Iterable[str] = TEXTS) -> str:
    return "".join(json.dumps({"text": value}, ensure_ascii=False) + "\n" for value in values)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", lines()),
        ("a.jsonl", lines().replace("\n", "\r\n\r\n")),
        ("a.jsonl", "\ufeff" + lines().rstrip("\n")),
        ("a.jsonl", lines().encode("utf-16")),
        ("a.ndjson", lines()),
        ("a.json", lines()),
        ("a.json", json.dumps([{"text": text} for text in TEXTS])),
        ("a.json", json.dumps([{"text": text} for text in TEXTS], indent=1)),
        ("a.json", "\n".join(json.dumps({"text": text}, indent=2) for text in TEXTS)),
        ("a.csv", 'text,n\nfirst,1\n"zweite Zeile",2\n第三行,3\n'),
        ("a.tsv", "\ufefftext\tn\r\nfirst\t1\r\nzweite Zeile\t2\r\n第三行\t3\r\n"),
        ("a.txt", "first\n<|endoftext|>\nzweite Zeile\n<|endoftext|>\n第三行\n"),
        ("A.JSONL", lines()),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert texts(write(tmp_path / name, content)) == TEXTS


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)])
def test_compressed_files_are_read_and_broken_ones_reported(tmp_path: Path, suffix: str, pack: Any) -> None:
    data = pack(lines(TEXTS * 500).encode())
    assert len(texts(write(tmp_path / f"a.jsonl{suffix}", data))) == 1500
    with pytest.raises(InputError, match=r"bad\.jsonl.*damaged or cut short|cannot read .*bad"):
        texts(write(tmp_path / f"bad.jsonl{suffix}", data[: len(data) // 2]))


def test_parquet_and_zstandard(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    messages = [[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello", "name": None}]]
    parquet.write_table(pyarrow.table({"messages": messages * 3, "n": [1, 2, 3]}), tmp_path / "a.parquet")
    assert len(list(read_rows(settings(tmp_path / "a.parquet"), kinds=(Dialogue,)))) == 3
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"a\.parquet cannot be read"):
        texts(tmp_path / "a.parquet")
    with pyarrow.output_stream(str(tmp_path / "a.jsonl.zst"), compression="zstd") as file:
        file.write(lines().encode())
    assert texts(tmp_path / "a.jsonl.zst") == TEXTS


def test_folders_and_globs_are_read_in_order_and_say_what_they_pass_over(tmp_path: Path) -> None:
    for name in ("b/2.jsonl", "a.jsonl", "b/1.jsonl", ".hidden/x.jsonl"):
        write(tmp_path / name, lines([name]))
    write(tmp_path / "README.md", "# Data")
    write(tmp_path / "logo.png", b"\x89PNG")
    os.symlink(tmp_path, tmp_path / "b" / "loop")
    report = DataReport()
    assert texts(tmp_path, report) == ["a.jsonl", "b/1.jsonl", "b/2.jsonl"]
    assert any(".md files beside the data were passed over" in note for note in report.notes)
    assert any("1 files of other kinds" in note for note in report.notes)
    assert texts(str(tmp_path / "**" / "[12].jsonl")) == ["b/1.jsonl", "b/2.jsonl"]
    assert texts(str(tmp_path / "*.md")) == ["# Data"]


def test_a_folders_split_is_in_the_names(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train-00000-of-00001.jsonl", lines(["train"]))
    write(tmp_path / "data" / "test-00000-of-00001.jsonl", lines(["test"]))
    assert texts(tmp_path, split="test") == ["test"]
    with pytest.raises(InputError, match="no files of the split 'dev'"):
        texts(tmp_path, split="dev")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing.jsonl", "there is no file or folder"),
        ("*.nothing", "no file matches"),
        ("photo.png", "not of a kind that is read"),
        ("dangling.jsonl", "which does not exist"),
        ("empty", "has no files of a known kind"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, path: str, says: str) -> None:
    write(tmp_path / "photo.png", b"")
    (tmp_path / "empty").mkdir()
    os.symlink(tmp_path / "gone", tmp_path / "dangling.jsonl")
    with pytest.raises(InputError, match=says):
        texts(str(tmp_path / path))


def test_malformed_lines_are_counted_and_placed(tmp_path: Path) -> None:
    bad = [b"{", b'{"text": "a", "text": "b"}', b'["text"]', b'{"text": "\xff\xfe"}', b'{"text": null}', b"[" * 100_000]
    file = write(tmp_path / "a.jsonl", lines(["good"] * 200).encode() + b"\n".join(bad) + b"\n" + lines().encode())
    report = DataReport()
    assert len(texts(file, report)) == 203
    assert (report.read, report.kept, report.malformed) == (209, 203, 6)
    said = "\n".join(report.places)
    for number, reason in enumerate(("not JSON", "'text' is given twice", "a list", "not UTF-8", "keys", "JSON"), 201):
        assert f"a.jsonl:{number}: " in said
        assert reason in report.places[number - 201]


def test_too_many_malformed_lines_stop_the_run_and_say_where(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", lines() + "oops\n")
    with pytest.raises(InputError, match=r"1 of 4 lines are unusable, more than max_malformed.*a\.jsonl:4: not JSON"):
        texts(file)
    assert texts(file, max_malformed=0.5) == TEXTS


def test_unreported_malformed_lines_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts(write(tmp_path / "a.jsonl", lines() + "oops\n"), max_malformed=0.5)
    assert "1 of 4 lines are unusable" in caplog.text


def test_a_line_beyond_all_measure_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwright.data.files.MAX_LINE_BYTES", 100)
    file = write(tmp_path / "a.jsonl", lines() + json.dumps({"text": "x" * 350}) + "\n" + lines())
    report = DataReport()
    assert texts(file, report, max_malformed=0.5) == TEXTS * 2
    assert "a.jsonl:4: the line is longer" in report.places[0]


def test_csv_keeps_line_numbers_over_quoted_line_breaks(tmp_path: Path) -> None:
    report = DataReport()
    file = write(
        tmp_path / "a.csv", 'text,n\n"two\nlines",1\n' + "x,1\n" * 50 + "too,many,fields\n" + "y" * 200_000 + ",2\n"
    )
    assert texts(file, report)[0] == "two\nlines"
    assert report.places == [f"{file}:54: 3 fields, where the header has 2"]


def test_a_long_json_list_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwright.data.json_stream._CHUNK_BYTES", 7)
    values = [{"text": "ä" * size, "n": size / 7} for size in range(1, 60)]
    file = write(tmp_path / "a.json", json.dumps(values, ensure_ascii=False, indent=1))
    assert texts(file) == [value["text"] for value in values]
    write(file, json.dumps(values, indent=1)[:-40])
    with pytest.raises(InputError, match=r"a\.json"):
        texts(file)


def test_an_empty_file_is_noted(tmp_path: Path) -> None:
    report = DataReport()
    assert texts(write(tmp_path / "a.jsonl", ""), report) == []
    assert texts(write(tmp_path / "a.csv", ""), report) == []
    assert [note.split("/")[-1] for note in report.notes] == ["a.jsonl is empty", "a.csv is empty"]


def test_a_file_may_mix_formats_but_not_kinds(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
    alpaca = {"instruction": "Hi", "output": "Hello"}
    file = write(tmp_path / "a.jsonl", json.dumps(chat) + "\n" + json.dumps(alpaca) + "\n" + lines())
    with pytest.raises(InputError, match=r"a\.jsonl:3 is a text row; needed here is a dialogue row \(\{\"messages\"\}"):
        list(read_rows(settings(file), kinds=(Dialogue,)))
    assert len(list(read_rows(settings(file), kinds=ALL))) == 5


def test_blank_rows_are_dropped_with_a_reason(tmp_path: Path) -> None:
    report = DataReport()
    assert texts(write(tmp_path / "a.jsonl", lines(["x", " \n"])), report) == ["x"]
    assert report.dropped == {"empty": 1}


def test_columns_and_tags_bring_other_names_to_ours(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", json.dumps({"body": "x", "text": "not this"}) + "\n")
    assert texts(file, columns={"text": "body"}) == ["x"]
    with pytest.raises(InputError, match="no 'corpus', which columns names as text"):
        texts(file, columns={"text": "corpus"})
    turns = [{"who": "Q", "said": "Hi"}, {"who": "A", "said": "Hello"}]
    file = write(tmp_path / "b.jsonl", json.dumps({"turns": turns}) + "\n")
    tags = {"role": "who", "content": "said", "user": "Q", "assistant": "A"}
    rows = list(read_rows(settings(file, columns={"messages": "turns"}, tags=tags), kinds=(Dialogue,)))
    assert [message.content for row in rows if isinstance(row, Dialogue) for message in row.messages] == ["Hi", "Hello"]


def test_dataset_info_names_sources_columns_and_tags(tmp_path: Path) -> None:
    info = {
        "mine": {"file_name": "mine.json", "columns": {"prompt": "q", "query": "in", "response": "a"}},
        "corpus": {"file_name": "c.jsonl", "columns": {"prompt": "body"}},
        "pairs": {"file_name": "p.json", "ranking": True, "columns": {"prompt": "q", "chosen": "c", "rejected": "r"}},
        "pictures": {"file_name": "x.json", "columns": {"images": "images"}},
        "scripted": {"script_url": "x"},
    }
    write(tmp_path / "dataset_info.json", json.dumps(info))
    write(tmp_path / "mine.json", json.dumps([{"q": "Hi", "a": "Hello"}]))
    write(tmp_path / "c.jsonl", json.dumps({"body": "text"}))
    write(tmp_path / "p.json", json.dumps([{"q": "Hi", "c": "Hello", "r": "No"}]))
    kinds = [
        type(row) for name in ("mine", "corpus", "pairs") for row in read_rows(settings(tmp_path, name=name), kinds=ALL)
    ]
    assert kinds == [Dialogue, Text, Preference]
    for name, says in (
        ("mien", "it has mine"),
        (None, "choose one by name"),
        ("pictures", "text only"),
        ("scripted", "script_url"),
    ):
        with pytest.raises(ConfigError, match=says):
            texts(tmp_path / "dataset_info.json", name=name)


def test_mixtures(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.jsonl", lines("a" * 6)), write(tmp_path / "b.jsonl", lines("b" * 2))
    both = [str(a), str(b)]
    assert "".join(texts(both)) == "ababaaaa"
    weighted = [{"path": str(a), "weight": 2}, {"path": str(b), "weight": 1}]
    assert "".join(texts(weighted)) == "abaabaa"
    assert "".join(texts(weighted, stopping="all_exhausted")).count("b") == 3
    assert "".join(texts(weighted, limit=3)) == "aba"
    heavy = write(tmp_path / "c.jsonl", lines(["c" * 10] * 9))
    by_size = [{"path": str(heavy), "weight": 1}, {"path": str(a), "weight": 1}]
    assert "".join(texts(by_size, weigh_by="bytes")).count("a") == 6
    assert len(texts(by_size, weigh_by="bytes")) == 7
    assert texts([str(write(tmp_path / "empty.jsonl", "")), str(b)]) == ["b", "b"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"path": ""}, "path is empty"),
        ({"path": []}, "path is empty"),
        ({"path": "x", "foo": 1}, "foo"),
        ({"path": ["x"], "format": "text"}, "format has no effect on a mixture"),
        ({"path": ["x", {"path": "y", "weight": 1}]}, "x has no weight"),
        ({"path": ["x"], "stopping": "all_exhausted"}, "stopping has no effect without weights"),
        ({"path": [{"path": "x", "validation_fraction": 0.1}]}, "validation_fraction of x has no effect"),
        ({"path": "x", "clean": {"min_words": 9, "max_words": 3}}, "max_words is 3"),
        ({"path": "x", "tags": {"narrator": "y"}}, "unknown key 'narrator'"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        DataSettings.model_validate(options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"weight": 2}, "weight of .* has no effect"),
        ({"name": "x"}, "name of .* has no effect on local files"),
        ({"pii": True}, "nothing here can find personal data"),
    ],
)
def test_options_without_effect_are_refused(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        texts(write(tmp_path / "a.jsonl", lines()), **options)


def test_builtin_data_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Row] = [Text("made")]
    monkeypatch.setitem(BUILTIN, "tests/one", lambda: rows)
    assert texts("builtin:tests/one") == ["made"]
    with pytest.raises(ConfigError, match="there is no built-in data 'tests/on'; there is tests/one"):
        texts("builtin:tests/on")
    with pytest.raises(ConfigError, match="format of builtin:tests/one has no effect"):
        texts("builtin:tests/one", format="text")


def test_long_texts_become_sections(tmp_path: Path) -> None:
    book = "\n\n".join(f"Paragraph {number}. " + "word " * 100 for number in range(100))
    sections = texts(write(tmp_path / "book.txt", book))
    assert len(sections) > 2
    assert all(section.startswith("Paragraph") and len(section) < 20_000 for section in sections)
    assert "".join("".join(sections).split()) == "".join(book.split())
    assert len(texts(tmp_path / "book.txt", sample_by="paragraph")) == 100
    assert texts(write(tmp_path / "l.txt", "a\n\nb\nc"), sample_by="line") == ["a", "b", "c"]


def test_source_records_are_as_they_stand(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", '{"Q": 1}\n{"Q": 2}\n')
    assert list(source_records(settings(file, columns={"question": "Q"}, limit=1))) == [{"question": 1}]
    with pytest.raises(InputError, match=r"a\.jsonl:2: not JSON"):
        list(source_records(settings(write(file, '{"Q": 1}\n{'))))


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.txt", "a.md", "a.parquet", "a.jsonl.gz", "a.json.xz"]
)
def test_noise_never_ends_in_anything_but_an_error_of_ours(tmp_path: Path, name: str) -> None:
    for seed in range(20):
        noise = bytes((seed * 131 + index * index * 7 + index // 3) % 256 for index in range(seed * 40))
        for data in (noise, b'[{"text": "' + noise, b'{"text": "a"}\n' + noise, b"text\n" + noise):
            with suppress(ChatwrightError):
                assert isinstance(texts(write(tmp_path / name, data), max_malformed=1, clean=bool(seed % 2)), list)
