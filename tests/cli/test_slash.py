"""The commands of a session, without a terminal."""

from pathlib import Path

import pytest

from chatwright import Chat, LoadedModel
from chatwright.cli.slash import COMMANDS, LeaveSession, SessionState, run_command
from chatwright.errors import ChatwrightError, InputError, InvalidParameterError


class Session(SessionState):
    """A session whose output is a list of lines."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.lines: list[str] = []

        def reopen(name: str) -> Chat:
            if name != "other":
                raise ChatwrightError(f"no model {name}")
            return Chat(loaded, **self.chat.sampling)

        super().__init__(Chat(loaded, temperature=0, max_tokens=8), reopen, self.lines.append)

    def type(self, line: str) -> str:
        """Carry out a command; what it printed or answered."""
        self.lines.clear()
        pieces = run_command(self, line)
        return "".join(pieces) if pieces is not None else "\n".join(self.lines)


@pytest.fixture
def session(tiny_loaded: LoadedModel) -> Session:
    return Session(tiny_loaded)


def test_help_lists_every_command(session: Session) -> None:
    text = session.type("/help")
    assert all(command.usage in text for command in COMMANDS.values())


def test_the_instructions_can_be_seen_set_and_removed(session: Session) -> None:
    assert "none" in session.type("/system")
    session.type("/system be brief")
    assert session.chat.system == "be brief"
    session.type("/system off")
    assert session.chat.system is None


def test_regenerate_and_continue(session: Session) -> None:
    first = session.chat.ask("hello").text
    assert session.type("/regenerate") == first
    more = session.type("/continue")
    assert session.chat.messages[-1].content == first + more


def test_settings_are_shown_changed_and_taken_back(session: Session) -> None:
    assert "temperature = 0" in session.type("/set")
    session.type("/set temperature 0.7")
    session.type("/set top-p 0.5")
    assert session.chat.sampling["temperature"] == 0.7
    assert session.chat.sampling["top_p"] == 0.5
    assert "temperature = 0.8" in session.type("/set temperature default")  # the makers' advice again


@pytest.mark.parametrize("line", ["/set warmth 1", "/set warmth", "/set temperature hot", "/set temperature 9"])
def test_a_bad_setting_changes_nothing(session: Session, line: str) -> None:
    before = dict(session.chat.sampling)
    with pytest.raises(InvalidParameterError):
        session.type(line)
    assert session.chat.sampling == before


def test_a_conversation_can_be_saved_and_loaded(session: Session, tmp_path: Path) -> None:
    session.chat.ask("hello")
    session.type(f"/save {tmp_path / 'my chat.json'}")
    session.type("/clear")
    assert session.chat.messages == []
    assert "2 messages" in session.type(f"/load {tmp_path / 'my chat.json'}")
    assert len(session.chat.messages) == 2
    with pytest.raises(InputError, match="file name"):
        session.type("/save")


def test_another_model_goes_on_with_the_conversation(session: Session) -> None:
    session.chat.ask("hello")
    before = session.chat
    session.type("/model other")
    assert session.chat is not before
    assert len(session.chat.messages) == 2
    kept = session.chat
    with pytest.raises(ChatwrightError):
        session.type("/model missing")
    assert session.chat is kept


def test_leaving(session: Session) -> None:
    for line in ("/exit", "/quit"):
        with pytest.raises(LeaveSession):
            session.type(line)


def test_an_unknown_command_suggests_the_nearest(session: Session) -> None:
    with pytest.raises(InputError, match="/regenerate"):
        session.type("/regnerate")
    with pytest.raises(InputError, match=r"no command /xyzzy\. /help .*//"):
        session.type("/xyzzy")


def test_statistics(session: Session) -> None:
    assert "No answer yet" in session.type("/stats")
    session.chat.ask("hello")
    assert "8 generated" in session.type("/stats on")
    assert session.stats
