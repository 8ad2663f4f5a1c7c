"""How a question reaches the model: through its chat template, or as running text."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.chat import Message
from chatwright.errors import ConfigError, TemplateError
from chatwright.eval.questions import Question
from chatwright.eval.tasks import Task
from chatwright.loaded import LoadedModel


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the model sees it.

    Attributes:
        text: for people, and for the plain form's continuations.
        ids: token ids, at least one.
        dropped_shots: solved examples left out because the context has no room for them.
    """

    text: str
    ids: list[int]
    dropped_shots: int = 0


class PromptWriter:
    """Writes the questions of one task for one model.

    Attributes:
        chat: whether the chat template is used; else questions are running text, as base models know it.

    Raises:
        ConfigError: the task insists on a chat, and the model has no chat template.
    """

    def __init__(self, loaded: LoadedModel, task: Task) -> None:
        self._tokenizer, self._template = loaded.tokenizer, loaded.template
        self._task = task
        has_template = not loaded.template.is_default
        if task.form == "chat" and not has_template:
            raise ConfigError(
                f"task {task.name} is asked as a chat, but {loaded.source.name} has no chat template; "
                "write `form: plain` into the task, or evaluate a model that was taught to chat"
            )
        # Choices are usual, and comparable with published figures, as the continuation of a plain text.
        self.chat = task.form == "chat" or (task.form == "auto" and has_template and task.kind != "choice")

    def write(self, question: Question, room: int) -> Asked | None:
        """The prompt in at most ``room`` tokens, with fewer solved examples if need be; None where none of it fits."""
        for dropped in range(len(question.shots) + 1):
            shots = question.shots[: len(question.shots) - dropped]
            asked = self._chat(question, shots) if self.chat else self._plain(question, shots)
            if len(asked.ids) <= room:
                return Asked(asked.text, asked.ids, dropped)
        return None

    def continuation(self, asked: Asked, text: str) -> list[int]:
        """The tokens of an answer that follows a prompt, at least one."""
        if self.chat:
            return self._tokenizer.encode(text) or self._end()
        return self._following(asked, self._delimited(asked.text, text))

    def turns(self, question: Question, answer: str) -> tuple[Asked, list[int]]:
        """A prompt, and a whole answer to it up to the end of the turn."""
        if not self.chat or not question.messages:
            asked = self._plain(question, ())
            return asked, self._following(asked, self._delimited(asked.text, answer))
        asked = self._chat(question, ())
        whole = self._template.render([*question.messages, Message("assistant", answer)]).ids
        if whole[: len(asked.ids)] == asked.ids:
            return asked, whole[len(asked.ids) :]
        # The template writes a past answer differently from one that is being given.
        return asked, [*self._tokenizer.encode(answer), *self._end()]

    def start(self) -> list[int]:
        """What precedes the first token of a text; empty where the model has nothing for it."""
        known = self._tokenizer.bos_id if self._tokenizer.bos_id is not None else self._tokenizer.eos_id
        return [] if known is None else [known]

    def _chat(self, question: Question, shots: Sequence[tuple[tuple[Message, ...], str]]) -> Asked:
        system = [message for message in question.messages if message.role == "system"]
        messages = list(system)
        for turns, answer in shots:
            messages += [message for message in turns if message.role != "system"]
            messages.append(Message("assistant", answer))
        messages += question.messages[len(system) :]
        rendered = self._template.render(messages, add_generation_prompt=True)
        return Asked(rendered.text, rendered.ids)

    def _plain(self, question: Question, shots: Sequence[tuple[tuple[Message, ...], str]]) -> Asked:
        solved = [self._delimited(_running(turns), answer) for turns, answer in shots]
        system = "".join(f"{message.content}\n\n" for message in question.messages if message.role == "system")
        text = system + "\n\n".join([*[turns + answer for turns, answer in solved], _running(question.messages)])
        ids = self._tokenizer.encode(text, add_bos=self._tokenizer.adds_bos) or self.start()
        if not ids:
            raise ConfigError(
                f"task {self._task.name}: the question is empty, and this model has no token to start a text with; "
                "give a prompt"
            )
        return Asked(text, ids)

    def _delimited(self, question: str, answer: str) -> tuple[str, str]:
        return question, self._task.delimiter + answer if question else answer

    def _following(self, asked: Asked, pair: tuple[str, str]) -> list[int]:
        """The second text's tokens as they are when it stands after the first."""
        before, after = pair
        start = self._tokenizer.encode(before)
        whole = self._tokenizer.encode(before + after)
        # Where a token would reach over the seam, the answer is spelt by itself: the prompt is the same for all.
        tail = whole[len(start) :] if whole[: len(start)] == start else []
        return tail or self._tokenizer.encode(after) or self._end()

    def _end(self) -> list[int]:
        """What ends an answer: the tokens of one that says nothing."""
        end = self._template.turn_end_id if self.chat else self._tokenizer.eos_id
        if end is None:
            raise TemplateError(
                f"task {self._task.name}: an answer is empty, and this model has no token to end a turn"
            )
        return [end]


def _running(messages: Sequence[Message]) -> str:
    """Messages as a text to go on with; the delimiter, not the text, brings the space before the answer."""
    return "\n".join(message.content or "" for message in messages if message.role != "system").rstrip()
