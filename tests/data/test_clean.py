"""What is mended in texts, and which are left out and why, in both languages."""

import pytest

from chatwright.chat import Message
from chatwright.data.clean import Cleaner
from chatwright.data.files import decoded
from chatwright.data.language import language_of
from chatwright.data.mend import normalized, repaired
from chatwright.data.report import DataReport
from chatwright.data.rows import Dialogue, Row, Text
from chatwright.data.settings import CleanSettings
from chatwright.errors import InputError

ENGLISH = (
    "The harbour was quiet that morning, and the old fisherman sat with his net across his knees. He had mended it "
    "every winter for forty years, and he knew each knot by touch. When the boats came back, the children would run "
    "down to the water to see what had been caught, and he would have to tell them again about the great storm."
)
CHINESE = (
    "清晨的港口很安静，老渔夫坐在岸边，把渔网放在膝盖上。四十年来，他每个冬天都要修补这张网，每一个结他都能摸出来。"
    "等到船回来的时候，孩子们会跑到水边，看看捕到了什么，而他又要给他们讲那场大风暴的故事。"
)


def outcome(row: Row, **settings: object) -> str:
    report = DataReport()
    kept = Cleaner(CleanSettings.model_validate(settings), report)(row)
    return "kept" if kept is not None else next(iter(report.dropped))


@pytest.mark.parametrize(
    ("broken", "meant"),
    [
        ("the cafÃ© â€“ itâ€™s open", "the café – it’s open"),
        ("“Quotes” stay ‘curly’, ﬁne", "“Quotes” stay ‘curly’, ﬁne"),
        ("，。！？（全角）ＡＢＣ", "，。！？（全角）ＡＢＣ"),
        ("naïve café, Ærø, 3 × 4 ± 0.5 µm", "naïve café, Ærø, 3 × 4 ± 0.5 µm"),
        ("鐨 is a rare character; 銆 is too", "鐨 is a rare character; 銆 is too"),
    ],
)
def test_mistaken_encodings_are_mended_and_right_ones_left(broken: str, meant: str) -> None:
    assert repaired(broken) == meant


def test_gbk_mistakes_are_mended_line_by_line() -> None:
    meant = "世界，你好，"
    mistaken = meant.encode().decode("gb18030")
    assert mistaken != meant
    assert repaired(f"{ENGLISH}\n{mistaken}\n{CHINESE}") == f"{ENGLISH}\n{meant}\n{CHINESE}"


def test_controls_go_and_line_ends_become_one() -> None:
    text = "a\r\nb\rc\u2028d\x00\x07\x1b[31mred\x1b[0m\ufeff\u200be\u0301\tf"
    assert normalized(text) == "a\nb\nc\ndred\u00e9\tf"
    family = "👨\u200d👩\u200d👧"
    assert normalized(family) == family


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("中文文本，测试".encode("gb18030"), "中文文本，测试"),
        ("naïve café".encode("cp1252"), "naïve café"),
        (b"good \x93quoted\x94", "good “quoted”"),
    ],
)
def test_bytes_that_are_not_utf8(data: bytes, text: str) -> None:
    assert decoded(data, repair=True) == text
    with pytest.raises(InputError, match="not UTF-8"):
        decoded(data, repair=False)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (CHINESE, "zh"),
        ("Hello!", "en"),
        ("你好", "zh"),
        ("我们用 Python 和 PyTorch 训练模型。", "zh"),
        ("How do you say 你好 in English? I would like to know what it means.", "en"),
        ("國會由眾議院和參議院組成", "zh"),
        ("こんにちは、元気ですか。日本語の文章です。", "other"),
        ("안녕하세요 반갑습니다", "other"),
        ("Привет, как дела? Это русский текст.", "other"),
        ("Le chat est sur la table et il dort dans la maison avec les enfants.", "other"),
        ("Der Hund ist nicht in dem Haus und die Katze schläft auf dem Sofa.", "other"),
        ("12345 67890", "other"),
        ("", "other"),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ENGLISH, "kept"),
        (CHINESE, "kept"),
        ("Buy now and save!\n" * 30, "repeated lines"),
        (ENGLISH + "\n\n" + "\n\n".join([ENGLISH[:90]] * 4), "repeated lines"),
        ("and then the dog barked " * 40, "repeated phrase"),
        ("哈哈哈" * 100, "repeated phrase"),
        ("今天天气真好我们去公园玩吧" * 30, "repeated passages"),
        ("\n".join(f"- {line}" for line in ENGLISH.split(", ")), "bullet list"),
        ("\n".join(f"{line} ..." for line in ENGLISH.split(", ")), "cut-off lines"),
        (" ".join(f"{n}.{n * 7} | # {n * n}" for n in range(60)), "few letters"),
        ("Qwrtpsdfghjkl" * 5 + " the and of", "word length"),
        ("this from they " + " ".join(f"noun{n}" for n in "abcdefghijklmnopqrstuvw"), "no sentences"),
        ("The text \ufffd\ufffd is lost and cannot be read with the eye.", "broken encoding"),
        ("锟斤拷锟斤拷锟斤拷" + CHINESE, "broken encoding"),
    ],
)
def test_texts_that_are_no_prose_are_left_out_with_a_reason(text: str, reason: str) -> None:
    assert outcome(Text(text)) == reason


def test_length_and_language_by_settings() -> None:
    assert outcome(Text(ENGLISH), languages=["zh"]) == "language: en"
    assert outcome(Text(CHINESE), languages=["zh"]) == "kept"
    assert outcome(Text(ENGLISH), min_words=100) == "too short"
    assert outcome(Text(CHINESE), min_words=100) == "too short"
    assert outcome(Text(CHINESE), max_words=50) == "too long"
    assert outcome(Text("a b c"), quality=False) == "kept"


def test_a_chat_is_mended_but_not_judged_as_prose() -> None:
    row = Dialogue((Message("user", "2+2=?\r\n"), Message("assistant", "4 â€“ four\x00")))
    report = DataReport()
    kept = Cleaner(CleanSettings(), report)(row)
    assert kept == Dialogue((Message("user", "2+2=?\n"), Message("assistant", "4 – four")))
    assert report.changed == {"repaired": 1, "normalized": 1}
    loop = Dialogue((Message("user", "Go on"), Message("assistant", "I will help you with that. " * 40)))
    assert outcome(loop) == "repeated phrase"


def test_what_needs_no_mending_is_the_same_row() -> None:
    row = Text(CHINESE)
    assert Cleaner(CleanSettings(), DataReport())(row) is row
