"""From nodes as a file names them to a tree that is one: cycles, lost parents and messages left out are dealt with."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from chatwright.server.portability.conversation import MAX_CONTENT_CHARS, PortableMessage


@dataclass(frozen=True, slots=True)
class Node:
    """A place in the tree.

    Attributes:
        parent: id of another node; None, or an id that does not exist, makes it a root.
        message: what stands here; None: nothing that is kept, and its children belong to the next above.
        thoughts: that belong to the next answer below; to the first of several.
    """

    parent: str | None
    message: PortableMessage | None = None
    thoughts: str = ""


@dataclass(frozen=True, slots=True)
class Planted:
    """A tree.

    Attributes:
        messages: parents before their children, siblings in order of time.
        current_id: the kept message at or above the wanted one.
        num_unreachable: nodes that hang on a cycle.
    """

    messages: tuple[PortableMessage, ...]
    current_id: str | None
    num_unreachable: int


def plant(nodes: Mapping[str, Node], current: str | None, start_ms: int) -> Planted:
    """Make a tree of nodes, without recursion: a chain may be as long as it likes.

    Times become such that a message is later than its parent and its elder sibling: lists are ordered by them.

    Args:
        nodes: by id, siblings in their order.
        current: the leaf that is shown.
        start_ms: the time of a first message that has none (0).
    """
    children: dict[str | None, list[str]] = defaultdict(list)
    for name, node in nodes.items():
        children[node.parent if node.parent in nodes else None].append(name)
    kept_above: dict[str, str | None] = {}  # for every node reached, the message at it or above it
    messages: dict[str, PortableMessage] = {}
    newest_child: dict[str | None, int] = {}
    stack: list[tuple[str, str | None, list[str]]] = [(name, None, []) for name in reversed(children[None])]
    while stack:
        name, above, thoughts = stack.pop()
        node = nodes[name]
        if node.thoughts:
            thoughts.append(node.thoughts)
        if node.message is not None:
            earliest = max(newest_child.get(above, 0), messages[above].created_ms if above else start_ms - 1) + 1
            message = replace(node.message, id=name, parent_id=above, created_ms=max(node.message.created_ms, earliest))
            if message.role == "assistant" and thoughts:
                message = replace(message, reasoning=_joined(thoughts))
                thoughts = []
            messages[name] = message
            newest_child[above] = message.created_ms
            above = name
        kept_above[name] = above
        # One child takes the thoughts along: were each given them, a small file could fill the disk.
        stack.extend((child, above, []) for child in reversed(children[name][1:]))
        stack.extend((child, above, thoughts) for child in children[name][:1])
    merged, into = _merge_answers(list(messages.values()))
    wanted = kept_above.get(current or "")
    current_id = into.get(wanted, wanted) if wanted else (merged[-1].id if merged else None)
    return Planted(tuple(merged), current_id, len(nodes) - len(kept_above))


def _merge_answers(messages: Sequence[PortableMessage]) -> tuple[list[PortableMessage], dict[str, str]]:
    """Answers that follow each other without a question between (a tool was called there) become one.

    Only where nothing else follows the first: siblings would lose their beginning. And only to the length that a
    message may have.
    """
    num_children: dict[str, int] = defaultdict(int)
    for message in messages:
        if message.parent_id is not None:
            num_children[message.parent_id] += 1
    merged: dict[str, list[PortableMessage]] = {}
    lengths: dict[str, int] = {}
    into: dict[str, str] = {}
    for message in messages:
        parent_id = into.get(message.parent_id, message.parent_id) if message.parent_id else None
        parts = merged.get(parent_id) if parent_id else None
        is_only = message.parent_id is not None and num_children[message.parent_id] == 1
        follows = parts is not None and is_only and parts[0].role == message.role == "assistant"
        length = len(message.content) + 2
        if parent_id and parts and follows and lengths[parent_id] + length <= MAX_CONTENT_CHARS:
            parts.append(message)
            lengths[parent_id] += length
            into[message.id] = parent_id
        else:
            merged[message.id] = [replace(message, parent_id=parent_id)]
            lengths[message.id] = length
    return [_one(parts) for parts in merged.values()], into


def _one(parts: Sequence[PortableMessage]) -> PortableMessage:
    if len(parts) == 1:
        return parts[0]
    content = "\n\n".join(part.content for part in parts)
    return replace(parts[0], content=content, reasoning=_joined(part.reasoning for part in parts))


def _joined(thoughts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, thoughts))[:MAX_CONTENT_CHARS]
