"""A conversation of ChatGPT's export keeps its branches, texts and times, whatever surrounds them."""

import math
from typing import Any

import pytest

from chatwright.server.portability.chatgpt import millis, parse_chatgpt, to_chatgpt
from chatwright.server.portability.conversation import MAX_CONTENT_CHARS, MAX_MESSAGES, PortableConversation
from chatwright.server.portability.parse import parse_entry
from chatwright.server.portability.report import Skipped
from tests.server.portability.chatgpt_export import BEGUN, conversation, message, rivers


def parsed(value: dict[str, Any]) -> tuple[PortableConversation, Skipped]:
    skipped = Skipped()
    found = parse_chatgpt(value, skipped)
    assert found is not None
    return found, skipped


def texts(value: dict[str, Any]) -> list[str]:
    return [said.content for said in parsed(value)[0].messages]


def test_branches_times_and_the_shown_leaf_are_kept() -> None:
    found, skipped = parsed(rivers(is_starred=True, is_archived=True))
    by_text = {said.content: said for said in found.messages}
    assert [said.content for said in found.branch()] == [
        "哪条河最长？",
        "The Nile.",
        "Are you sure?",
        "Not entirely.",
    ]
    assert by_text["The Amazon."].parent_id == by_text["The Nile."].parent_id == by_text["哪条河最长？"].id
    assert by_text["哪条河最长？"].parent_id is None
    assert by_text["The Nile."].created_ms == round((BEGUN + 3) * 1000)
    assert (by_text["The Nile."].model, by_text["Are you sure?"].model) == ("gpt-4o", None)
    assert (found.title, found.created_ms, found.updated_ms) == ("Rivers", 1_700_000_000_500, 1_700_000_060_500)
    assert (found.pinned, found.archived) == (True, True)
    assert not skipped


def test_a_conversation_without_any_metadata_is_kept_in_order() -> None:
    bare = {
        "mapping": {
            "a": {"message": {"author": {"role": "user"}, "content": {"parts": ["first"]}}, "children": ["b"]},
            "b": {"message": {"author": {"role": "assistant"}, "content": {"parts": ["second"]}}, "children": ["c"]},
            "c": {"message": {"author": {"role": "user"}, "content": {"parts": ["third"]}}},
        }
    }
    found, _ = parsed(bare)
    assert [said.content for said in found.branch()] == ["first", "second", "third"]
    assert [said.created_ms for said in found.messages] == sorted({said.created_ms for said in found.messages})


def test_tools_thoughts_and_hidden_messages_leave_one_answer() -> None:
    call = message("assistant", "search()", recipient="browser")
    thoughts = message("assistant", "")
    thoughts["content"] = {"content_type": "thoughts", "thoughts": [{"summary": "Plan", "content": "Look it up."}]}
    hidden = message("user", "secret", metadata={"is_visually_hidden_from_conversation": True})
    found, skipped = parsed(
        conversation(
            {
                "root": (None, None),
                "system": ("root", message("system", "Be brief.")),
                "h": ("system", hidden),
                "q": ("h", message("user", "How high is it?")),
                "a1": ("q", message("assistant", "Let me look.")),
                "c": ("a1", call),
                "t": ("c", message("tool", "8848")),
                "th": ("t", thoughts),
                "a2": ("th", message("assistant", "8848 m\ue200cite\ue202turn0search0\ue201.")),
            }
        )
    )
    assert [(said.role, said.content) for said in found.messages] == [
        ("user", "How high is it?"),
        ("assistant", "Let me look.\n\n8848 m."),
    ]
    assert found.messages[1].reasoning == "Plan\n\nLook it up."
    assert found.current_id == found.messages[1].id
    assert found.system_prompt == "Be brief."
    assert skipped == {"hidden_message": 1, "tool_message": 2}


def thinking(text: str) -> dict[str, Any]:
    """A node of thoughts."""
    return message("assistant", "") | {"content": {"content_type": "thoughts", "thoughts": [{"content": text}]}}


def test_case_16_thoughts_above_many_answers_are_kept_once() -> None:
    """Copied to every answer, half a megabyte would become gigabytes."""
    answers = {f"a{index}": ("th", message("assistant", f"{index}")) for index in range(50)}
    found, _ = parsed(
        conversation({"q": (None, message("user", "Well?")), "th": ("q", thinking("x" * 100_000)), **answers})
    )
    assert [len(said.reasoning) for said in found.messages] == [0, 100_000] + [0] * 49


def test_case_16_what_is_joined_stays_as_short_as_a_message_may_be() -> None:
    """Nor does joining a long chain take time that grows with the square of its length."""
    nodes: dict[str, tuple[str | None, Any]] = {"q": (None, message("user", "Well?"))}
    for index in range(8_000):
        nodes[f"t{index}"] = (list(nodes)[-1] if index == 0 else f"a{index - 1}", thinking("y" * 100))
        nodes[f"a{index}"] = (f"t{index}", message("assistant", "x" * 100))
    given = conversation({})
    given["mapping"] = {name: {"id": name, "parent": parent, "message": said} for name, (parent, said) in nodes.items()}
    found, _ = parsed(given)
    assert max(len(said.content) for said in found.messages) <= MAX_CONTENT_CHARS
    assert max(len(said.reasoning) for said in found.messages) <= MAX_CONTENT_CHARS
    assert sum(said.content.count("x") for said in found.messages) == 800_000
    assert [said.parent_id for said in found.messages[1:]] == [said.id for said in found.messages[:-1]]


def test_media_leave_a_word_and_are_counted() -> None:
    picture = message("user", "")
    picture["content"] = {
        "content_type": "multimodal_text",
        "parts": [{"content_type": "image_asset_pointer", "asset_pointer": "file-service://x"}, "What is this?"],
    }
    spoken = message("user", "")
    spoken["content"] = {
        "content_type": "multimodal_text",
        "parts": [{"content_type": "audio_transcription", "text": "你好"}],
    }
    found, skipped = parsed(conversation({"q": (None, picture), "a": ("q", message("assistant", "A cat."))}))
    assert found.messages[0].content == "[image]\nWhat is this?"
    assert skipped == {"media": 1}
    assert texts(conversation({"q": (None, spoken)})) == ["你好"]


def test_case_16_cycles_are_left_out_and_the_rest_is_kept() -> None:
    looped = conversation(
        {
            "q": (None, message("user", "kept")),
            "a": ("b", message("assistant", "lost")),
            "b": ("a", message("user", "lost")),
            "self": ("self", message("user", "lost")),
        }
    )
    looped["mapping"]["q"]["children"] = ["q"]
    found, skipped = parsed(looped)
    assert [said.content for said in found.messages] == ["kept"]
    assert skipped == {"cyclic_message": 3}
    assert found.current_id == found.messages[0].id


def test_case_16_a_chain_as_long_as_allowed_is_read_and_a_longer_one_is_not() -> None:
    nodes: dict[str, tuple[str | None, Any]] = {"0": (None, message("user", "x"))}
    mapping = conversation(nodes)["mapping"]
    for number in range(1, MAX_MESSAGES):
        role = "assistant" if number % 2 else "user"
        mapping[str(number)] = {"parent": str(number - 1), "message": message(role, "x")}
    found, _ = parsed({"mapping": mapping, "current_node": str(MAX_MESSAGES - 1)})
    assert len(found.branch()) == MAX_MESSAGES
    mapping["one more"] = {"parent": None, "message": None}
    skipped = Skipped()
    assert parse_entry({"mapping": mapping}, skipped) is None
    assert skipped == {"too_many_messages": 1}


@pytest.mark.parametrize(
    "value",
    [
        {"mapping": {}},
        {"mapping": {"a": None}},
        {"mapping": {"a": {"message": 3, "parent": [], "children": 7}}},
        {"mapping": {"a": {"message": {"author": 3, "content": {"content_type": [], "parts": {}}}}}},
        {"mapping": {"a": {"message": {"author": {"role": ["user"]}, "content": "x"}}}, "current_node": {}},
        {"mapping": {"a": {"message": {"author": {"role": "admin"}, "content": {"parts": ["forged"]}}}}},
        {"mapping": {"a": {"message": {"author": {"role": "user"}, "content": {"parts": [None, 3, {}]}}}}},
    ],
)
def test_case_16_nonsense_is_no_conversation(value: dict[str, Any]) -> None:
    skipped = Skipped()
    assert parse_entry(value, skipped) is None
    assert skipped["empty_conversation"] == 1


def test_text_that_no_database_keeps_is_mended() -> None:
    found, _ = parsed(
        conversation({"q": (None, message("user", "half \ud800 and nul \0"))}, title="a\ud83d\0\n\u202eb" + "x" * 999)
    )
    assert found.messages[0].content == "half \ufffd and nul"
    assert found.title == "a\ufffd b" + "x" * 196


@pytest.mark.parametrize("value", [None, "1700000000", True, math.nan, math.inf, -1, 0, 1e18, 10**400])
def test_what_is_no_time_is_none(value: object) -> None:
    assert millis(value) is None


def test_what_is_written_is_read_back_the_same() -> None:
    found, _ = parsed(rivers())
    again, skipped = parsed(to_chatgpt(found))
    assert not skipped
    assert [(m.content, m.role, m.created_ms) for m in again.branch()] == [
        (m.content, m.role, m.created_ms) for m in found.branch()
    ]
    assert len(again.messages) == len(found.messages)
