"""Looking at data: the very tokens that are learned, marked; figures that add up."""

import os
from pathlib import Path

import pytest

from chatwright.chat import ChatTemplate, Message
from chatwright.data.any_encoder import KINDS, encoder_of
from chatwright.data.identity import identity_of
from chatwright.data.preview import Previewer, Sample
from chatwright.data.report import DataReport
from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Row, Text
from chatwright.data.settings import DataSettings
from chatwright.data.survey import survey
from chatwright.errors import InputError
from chatwright.tokenizer import Tokenizer

TEMPLATE = ChatTemplate(Tokenizer.from_folder(Path(__file__).parent / "chat" / "chatml"))
ASK, ANSWER, OTHER = (Message("user", "天空?"),), (Message("assistant", "Blue."),), (Message("assistant", "Red."),)
ROWS: dict[str, Row] = {
    "text": Text("Once upon"),
    "chat": Dialogue(ASK + ANSWER),
    "preference": Preference(ASK, ANSWER, OTHER, 2.0),
    "rated": Rated(ASK, ANSWER, False),
    "labelled": Labelled("fine", "good"),
    "prompt": Prompt(ASK, None, {}),
}


def marked(sample: Sample) -> list[str]:
    return ["".join(f"[{s.text}]" if s.learned else s.text for s in d.spans) for d in sample.documents]


def test_every_kind_can_be_looked_at() -> None:
    samples = {kind: Previewer(TEMPLATE, 64).sample(row) for kind, row in ROWS.items()}
    assert set(samples) == set(KINDS)
    assert all(sample.kind == kind and sample.documents and not sample.notes for kind, sample in samples.items())
    scaffold = "<|im_start|>system\nYou are kind.<|im_end|>\n<|im_start|>user\n天空?<|im_end|>\n<|im_start|>assistant\n"
    assert marked(samples["chat"]) == [f"{scaffold}[Blue.][<|im_end|>]"]
    assert marked(samples["preference"]) == [f"{scaffold}[Blue.][<|im_end|>]", f"{scaffold}[Red.][<|im_end|>]"]
    assert [document.name for document in samples["preference"].documents] == ["chosen", "rejected"]
    assert samples["preference"].values == {"margin": 2.0}
    assert samples["rated"].values == {"label": False}
    assert samples["labelled"].values == {"label": "good"}
    assert marked(samples["prompt"]) == [scaffold]


def test_characters_of_several_tokens_are_shown_whole() -> None:
    sample = Previewer(TEMPLATE, 64).sample(Text("狐狸住在山脚下"))
    assert sample.documents[0].num_learned == sample.documents[0].num_tokens - 1
    assert marked(sample)[0].startswith("[狐狸住在山脚下]")
    assert "\ufffd" not in marked(sample)[0]


def test_control_tokens_are_told_from_the_same_text() -> None:
    sample = Previewer(TEMPLATE, 64).sample(Dialogue((Message("user", "<|im_end|>"), *ANSWER)))
    control = [span.text for span in sample.documents[0].spans if span.is_control]
    assert control == ["<|im_start|>", "<|im_end|>"] * 3  # the system prompt of the template, question, answer


def test_what_cannot_be_used_says_why() -> None:
    previewer = Previewer(TEMPLATE, 8)
    assert previewer.sample(ROWS["chat"]).notes == ("longer than max_length",)
    assert previewer.sample(Text("")).notes == ("empty",)
    assert not previewer.sample(Text("")).documents
    tools = Dialogue(ASK + ANSWER, ({"type": "function"},))
    bare = Previewer(ChatTemplate(Tokenizer.from_json(TEMPLATE.tokenizer.json())), 64)
    assert "no place for tools" in bare.sample(tools).notes[0]


def test_a_survey_adds_up() -> None:
    rows = [*ROWS.values(), Text("Once upon"), Text(""), Dialogue((Message("user", "x" * 500), *ANSWER))]
    found = survey(rows, DataReport(), TEMPLATE, max_length=64)
    assert found.kinds == {"text": 3, "chat": 2, "preference": 1, "rated": 1, "labelled": 1, "prompt": 1}
    assert found.num_duplicates == 2  # the text; and the rated row has the chat's texts
    assert found.tally == {"empty": 1, "longer than max_length": 1}
    assert sum(found.lengths) == found.num_tokens
    assert found.languages.total() == len(rows)
    views = [d for row in rows for d in Previewer(TEMPLATE, 64).sample(row).documents]
    assert found.num_tokens == sum(view.num_tokens for view in views)
    assert found.percentiles()["100"] == max(view.num_tokens for view in views)


def test_an_unknown_kind_names_those_there_are() -> None:
    with pytest.raises(InputError, match="called 'chats'; there are text, chat"):
        encoder_of("chats", TEMPLATE, 64)


def test_a_source_is_the_same_until_a_file_or_setting_changes(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("{}")

    def identities() -> list[str | None]:
        paths: list[object] = [str(file), str(tmp_path), str(tmp_path / "*.jsonl"), [str(file), str(tmp_path)]]
        return [identity_of(DataSettings.model_validate({"path": path})) for path in paths]

    before = identities()
    assert None not in before
    assert identities() == before
    os.utime(file, ns=(1, 1))
    assert not set(identities()) & set(before)
    assert identity_of(DataSettings.model_validate(str(file))) != identity_of(DataSettings(path=str(file), limit=3))
    assert identity_of(DataSettings(path="owner/name")) is None
    assert identity_of(DataSettings.model_validate([str(file), "owner/name"])) is None
    assert identity_of(DataSettings(path="builtin:quickstart/text")) is None
