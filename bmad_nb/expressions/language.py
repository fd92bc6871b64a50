"""Reading an expression: its syntax tree, what may stand in it, and the names that it reads."""

from __future__ import annotations

import ast
import functools
import keyword
import math
import operator
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from bmad_nb._nearest import nearest
from bmad_nb.errors import TemplateError
from bmad_nb.expressions.values import MAX_INTEGER, short

MAX_LENGTH = 1000
"""Characters of one expression."""
MAX_DEPTH = 32
"""Levels of one expression."""

FUNCTIONS = {
    "abs": (1, 1), "all": (1, 1), "any": (1, 1), "coalesce": (1, 99), "csv": (1, 1),
    "head": (1, 2), "json": (1, 1), "len": (1, 1), "lower": (1, 1), "max": (1, 99),
    "min": (1, 99), "round": (1, 2), "sorted": (1, 1), "sum": (1, 1), "upper": (1, 1),
}  # fmt: skip
"""The functions of the language, each with the least and the most arguments that it takes."""

_WORDS = {"true": True, "false": False, "null": None}
_RESULT_FIELDS = (
    "out output text value score items item errors error state llm cost_usd latency_s degraded "
    "choice comment by iterations threshold_met agreement dissent members model cost latency "
    "inputs run"
)
RESERVED_NAMES = frozenset(
    {*keyword.kwlist, *keyword.softkwlist, *_WORDS, *FUNCTIONS, *_RESULT_FIELDS.split()}
)
"""Names that no task or input may have: words of Python, functions, and fields of results."""

Path = tuple[str, ...]
"""The names of a dotted look-up, such as ("draft", "output")."""

ARITHMETIC = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
"""What an operator does with two numbers."""
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda item, holder: item in holder, ast.NotIn: lambda item, holder: item not in holder,
}  # fmt: skip
"""What a comparison asks of two values; `is` has None on its right."""
_ALLOWED = {
    *ARITHMETIC, *COMPARISONS, ast.And, ast.Attribute, ast.BinOp, ast.BoolOp, ast.Call, ast.Compare,
    ast.Constant, ast.GeneratorExp, ast.IfExp, ast.List, ast.ListComp, ast.Load, ast.Name, ast.Not,
    ast.Or, ast.Slice, ast.Store, ast.Subscript, ast.Tuple, ast.UAdd, ast.USub, ast.UnaryOp,
    ast.comprehension,
}  # fmt: skip


@functools.lru_cache(maxsize=2048)
def parse(source: str) -> ast.expr:
    """Return the syntax tree of one expression; it is shared, so nobody may change it.

    Raises:
        TemplateError: it is too long, too deep, or not in the language.
    """
    text = source.strip()
    if not text:
        raise TemplateError("A hole {{ }} is empty.", hint="Put a name into it: {{ name }}.")
    if len(text) > MAX_LENGTH:
        raise TemplateError(f"An expression has more than {MAX_LENGTH} characters.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
            if "#" in text:  # the bracket is lost in a comment, where quotes would mean nothing
                ast.parse(f"({text})", mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise TemplateError(
            f"{{{{ {short(text)} }}}} is not an expression.",
            hint="Write a name, name.field, name[0], a comparison, a sum or a function such as "
            "head(name, 5).",
        ) from None
    _check(tree, text, None, 0)
    found: ast.expr = _Words().visit(tree)
    return found


class _Words(ast.NodeTransformer):
    """Puts constants in the place of `true`, `false` and `null`."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(_WORDS[node.id]) if node.id in _WORDS else node


def _check(node: ast.AST, text: str, parent: ast.AST | None, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise TemplateError(f"{{{{ {short(text)} }}}} is nested too deeply.")
    wrong = "" if type(node) in _ALLOWED else type(node).__name__
    rule = _RULES.get(type(node))
    if wrong or (rule and (wrong := rule(node, parent))):
        raise TemplateError(
            f"{{{{ {short(text)} }}}} has {wrong} in it, unknown to expressions.",
            hint="Compute it in Python first, and use the name here.",
        )
    for child in ast.iter_child_nodes(node):
        _check(child, text, node, depth + isinstance(child, ast.expr))


def _wrong_name(node: ast.Name, _: ast.AST | None) -> str:
    if isinstance(node.ctx, ast.Store) and (node.id in _WORDS or node.id in FUNCTIONS):
        return f"a loop over {node.id!r}"
    return "a name that begins with _" if node.id.startswith("_") else ""


def _wrong_attribute(node: ast.Attribute, _: ast.AST | None) -> str:
    return "a field that begins with _" if node.attr.startswith("_") else ""


def _wrong_constant(node: ast.Constant, _: ast.AST | None) -> str:
    value = node.value
    if isinstance(value, float) and not math.isfinite(value):
        return "a number without end"
    if isinstance(value, int) and value > MAX_INTEGER:
        return "a number over 10**30"
    known = value is None or isinstance(value, str | int | float)
    return "" if known else f"a {type(value).__name__}"


def _wrong_compare(node: ast.Compare, _: ast.AST | None) -> str:
    for kind, right in zip(node.ops, node.comparators, strict=True):
        is_none = isinstance(right, ast.Constant) and right.value is None
        is_null = isinstance(right, ast.Name) and right.id == "null"
        if isinstance(kind, ast.Is | ast.IsNot) and not (is_none or is_null):
            return "an `is` without None"
    return ""


def _wrong_slice(node: ast.Slice, parent: ast.AST | None) -> str:
    return "" if isinstance(parent, ast.Subscript) and node.step is None else "a slice with steps"


def _wrong_generator(_: ast.GeneratorExp, parent: ast.AST | None) -> str:
    alone = isinstance(parent, ast.Call) and len(parent.args) == 1
    return "" if alone else "a generator outside of a function"


def _wrong_loop(node: ast.comprehension, _: ast.AST | None) -> str:
    target = node.target
    each = target.elts if isinstance(target, ast.Tuple) else [target]
    simple = each and all(isinstance(name, ast.Name) for name in each) and not node.is_async
    return "" if simple else "a loop over more than names"


def _wrong_call(node: ast.Call, _: ast.AST | None) -> str:
    if not isinstance(node.func, ast.Name):
        return "a call of something that is no function"
    name = node.func.id
    if name not in FUNCTIONS:
        guess = nearest(name, FUNCTIONS)
        raise TemplateError(
            f"There is no function {short(name)!r}.",
            hint=(f"Did you mean {guess!r}? " if guess else "") + f"Known: {', '.join(FUNCTIONS)}.",
        )
    least, most = FUNCTIONS[name]
    return "" if least <= len(node.args) <= most else f"{name}() with {len(node.args)} arguments"


_RULES: dict[type[ast.AST], Callable[[Any, ast.AST | None], str]] = {
    ast.Attribute: _wrong_attribute,
    ast.Call: _wrong_call,
    ast.Compare: _wrong_compare,
    ast.Constant: _wrong_constant,
    ast.GeneratorExp: _wrong_generator,
    ast.Name: _wrong_name,
    ast.Slice: _wrong_slice,
    ast.comprehension: _wrong_loop,
}


def references(tree: ast.expr) -> list[Path]:
    """Return the dotted paths that an expression reads from outside, in order, each once.

    >>> references(parse("[x.a for x in task.output['rows'] if x.b > limit]"))
    [('task', 'output', 'rows'), ('limit',)]
    """
    return list(dict.fromkeys(_paths(tree, frozenset())))


def names(tree: ast.expr) -> set[str]:
    """Return the names that an expression needs from outside."""
    return {path[0] for path in references(tree)}


def _paths(node: ast.AST, bound: frozenset[str]) -> Iterator[Path]:
    path = _path(node)
    if path:
        if path[0] not in bound:
            yield path
        return
    if isinstance(node, ast.ListComp | ast.GeneratorExp):
        for loop in node.generators:
            yield from _paths(loop.iter, bound)
            bound |= {each.id for each in ast.walk(loop.target) if isinstance(each, ast.Name)}
            for test in loop.ifs:
                yield from _paths(test, bound)
        yield from _paths(node.elt, bound)
        return
    for child in node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node):
        yield from _paths(child, bound)


def _path(node: ast.AST) -> Path:
    match node:
        case ast.Name(id=name):
            return (name,)
        case (
            ast.Attribute(value=inner, attr=key)
            | ast.Subscript(value=inner, slice=ast.Constant(value=str() as key))
        ):
            before = _path(inner)
            return (*before, key) if before else ()
    return ()
