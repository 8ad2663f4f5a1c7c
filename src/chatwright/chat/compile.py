"""From the source of a chat template to a program: limits woven in, control tokens marked.

The rewriting happens on Jinja's syntax tree, so it sees what the template says whatever its white space and quotes.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TypeGuard

from jinja2 import Template, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.visitor import NodeTransformer

from chatwright.chat.marks import Marks
from chatwright.chat.messages import ROLES
from chatwright.chat.sandbox import GENERATION_MARKS, Budget, ChatEnvironment, RefusedByTemplate, spending
from chatwright.errors import ChatwrightError, TemplateError

MAX_SOURCE_CHARS = 2**18
_COMPILATION = (100_000, 10_000_000, 30.0)  # steps, characters, seconds: Jinja runs filters on constants


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled template.

    Attributes:
        template: to be rendered under a :class:`~chatwright.chat.sandbox.Budget`.
        marks: the control tokens it may write.
        has_generation_tag: whether it marks what the assistant wrote.
    """

    template: Template
    marks: Marks
    has_generation_tag: bool


@cache
def environment() -> ChatEnvironment:
    """The one environment of all chat templates; it holds no state of any."""
    return ChatEnvironment()


def compile_template(
    source: str, *, special: Mapping[str, int], added: Mapping[str, int], always: Iterable[str]
) -> Program:
    """Compile a chat template for one tokenizer.

    Args:
        source: Jinja text.
        special: the tokenizer's special tokens, text to id.
        added: its other tokens that are matched whole, text to id. Those that the template's literals contain are
            structural, unless they are white space, which templates contain as ordinary text.
        always: special tokens that are given to the template as variables (``bos_token``).

    Raises:
        TemplateError: the source is too long, or not a Jinja template.
    """
    if len(source) > MAX_SOURCE_CHARS:
        raise TemplateError(f"the chat template has {len(source):,} characters; at most {MAX_SOURCE_CHARS:,} are taken")
    with explained(), spending(Budget(*_COMPILATION)):
        tree = environment().parse(source)
        literals = "\0".join(_text(node) for node in _literals(tree))
        ends = list(_role_ends(tree, special))
        spelt = {before + role + after for _, before, _, after in ends for role in ROLES}
        marks = Marks(
            {text: id_ for text, id_ in special.items() if text in literals or text in spelt or text in always},
            {text: id_ for text, id_ in added.items() if text in literals and text.strip()},
            dict.fromkeys((before, after) for _, before, _, after in ends),
            ROLES,
        )
        marked_tags = [node for node in tree.find_all(nodes.EnvironmentAttribute) if node.name in GENERATION_MARKS]
        _mark_literals(tree, marks, ends)
        code = environment().compile(_Limiter().visit(tree))
        template = Template.from_code(environment(), code, environment().make_globals(None))
    return Program(template, marks, bool(marked_tags))


@contextmanager
def explained() -> Iterator[None]:
    """Whatever goes wrong inside a template is one :class:`TemplateError` that says what."""
    try:
        yield
    except ChatwrightError:
        raise
    except TemplateSyntaxError as error:
        raise TemplateError(
            f"the chat template is broken at line {error.lineno}: {error.message}; fetch the model again, or mend it"
        ) from None
    except RefusedByTemplate as error:
        raise TemplateError(f"the chat template refuses these messages: {error.message}") from None
    except SecurityError as error:
        raise TemplateError(f"the chat template was stopped: {error.message}") from None
    except (RecursionError, MemoryError):
        raise TemplateError("the chat template was stopped: it nests too deeply or needs too much memory") from None
    except Exception as error:  # a template can fail in every way that Python can
        raise TemplateError(
            f"the chat template fails on these messages: {type(error).__name__}: {error}; mend it, or use another model"
        ) from None


_Literal = nodes.TemplateData | nodes.Const
_RoleEnds = tuple[_Literal, str, _Literal, str]


def _literals(tree: nodes.Node) -> Iterator[_Literal]:
    for node in tree.find_all((nodes.TemplateData, nodes.Const)):
        if _is_literal(node):
            yield node


def _text(node: _Literal) -> str:
    return node.data if isinstance(node, nodes.TemplateData) else str(node.value)


def _role_ends(tree: nodes.Node, special: Mapping[str, int]) -> Iterator[_RoleEnds]:
    """Where the template builds a special token around a role, as ``'<|' + message['role'] + '|>'`` does.

    Yields:
        The literal before, how the token begins at its end, the literal after, how the token ends at its start.
    """
    for node in tree.find_all((nodes.Output, nodes.Add, nodes.Concat)):
        pieces = list(_flat(node))
        for before, role, after in zip(pieces, pieces[1:], pieces[2:], strict=False):
            if _is_literal(before) and _is_role(role) and _is_literal(after):
                for text in special:
                    start, _, end = text.partition(next((name for name in ROLES if name in text), "\0"))
                    if start and end and _text(before).endswith(start) and _text(after).startswith(end):
                        yield before, start, after, end
                        break


def _flat(node: nodes.Node) -> Iterator[nodes.Node]:
    """The operands of nested concatenations, in the order in which they are printed."""
    if isinstance(node, nodes.Output | nodes.Concat):
        for child in node.nodes:
            yield from _flat(child)
    elif isinstance(node, nodes.Add):
        yield from _flat(node.left)
        yield from _flat(node.right)
    else:
        yield node


def _is_literal(node: nodes.Node) -> TypeGuard[_Literal]:
    return isinstance(node, nodes.TemplateData) or (isinstance(node, nodes.Const) and isinstance(node.value, str))


def _is_role(node: nodes.Node) -> bool:
    match node:
        case nodes.Getattr(attr="role") | nodes.Getitem(arg=nodes.Const(value="role")):
            return True
    return isinstance(node, nodes.Name) and node.name == "role"


def _mark_literals(tree: nodes.Node, marks: Marks, ends: Iterable[_RoleEnds]) -> None:
    starts_of_token = {id(before): start for before, start, _, _ in ends}
    ends_of_token = {id(after): end for _, _, after, end in ends}
    for node in _literals(tree):
        text = _text(node)
        head, tail = ends_of_token.get(id(node), ""), starts_of_token.get(id(node), "")
        if len(head) + len(tail) > len(text):
            tail = ""
        middle = marks.literal(text[len(head) : len(text) - len(tail)])
        marked = (head and marks.fragment(head)) + middle + (tail and marks.fragment(tail))
        if isinstance(node, nodes.TemplateData):
            node.data = marked
        else:
            node.value = marked


class _Limiter(NodeTransformer):
    """Makes loops and the ``~`` operator report to the environment, which holds them to the budget."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        """Each turn ticks, also one that the loop's own condition skips."""
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_environment_call("tick", []), lineno=node.lineno))
        if node.test is not None:
            node.test = nodes.And(_environment_call("tick", []), node.test, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:
        """``a ~ b`` becomes a call."""
        self.generic_visit(node)
        return _environment_call("concatenate", node.nodes)


def _environment_call(name: str, args: list[nodes.Expr]) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), args, [], None, None)
