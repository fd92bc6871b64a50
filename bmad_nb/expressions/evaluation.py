"""Evaluating an expression: the walk over its syntax tree, one function for each kind of node."""

from __future__ import annotations

import ast
import itertools
import json
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NoReturn, cast

from bmad_nb._nearest import nearest
from bmad_nb.errors import MissingInput, TemplateError
from bmad_nb.expressions.functions import CALLS
from bmad_nb.expressions.language import ARITHMETIC, COMPARISONS, references
from bmad_nb.expressions.values import (
    MAX_ITEMS,
    MAX_STEPS,
    MAX_TEXT,
    SCALARS,
    Refused,
    Work,
    brief,
    each_of,
    fits,
    is_absent,
    json_text,
    limited,
    number,
    short,
    spelled,
    told,
    weight,
)

Values = Mapping[str, Any]
_SEARCHES = frozenset({ast.In, ast.NotIn})
_MAKERS = (ast.BinOp, ast.BoolOp, ast.Call, ast.IfExp, ast.List, ast.ListComp, ast.Tuple)
"""Nodes that may make a list out of others."""


def evaluate(tree: ast.expr, values: Values) -> Any:
    """Return the value of a parsed expression.

    Raises:
        MissingInput: a name or a field is not there; the nearest one is named.
        TemplateError: a value does not fit, or a limit is reached.
    """
    try:
        found = _visit(tree, values, Work())
        if isinstance(tree, _MAKERS) and weight(found, MAX_ITEMS) > MAX_ITEMS:
            raise Refused(f"its lists have more than {MAX_ITEMS} items together")  # noqa: TRY301
    except TemplateError:
        raise
    except Exception as error:  # noqa: BLE001  (values are anybody's objects and raise anything)
        shown = short(ast.unparse(tree))
        raise TemplateError(f"{{{{ {shown} }}}} cannot be evaluated: {told(error)}.") from None
    return found


def shown_values(tree: ast.expr, values: Values) -> dict[str, Any]:
    """Return the value of each dotted name that an expression reads, as JSON of 200 characters.

    What cannot be looked up is left out; what is longer, or no JSON, is the beginning of its text.
    """
    shown = {}
    for path in references(tree):
        try:
            value = values[path[0]]
            for key in path[1:]:
                value = _look_up(value, key, tree, Work())
        except Exception:  # noqa: BLE001, S112  (a look-up in anybody's object)
            continue
        shown[".".join(path)] = _as_json(value)
    return shown


def _as_json(value: Any) -> Any:
    try:
        plain = spelled(value)
        if isinstance(plain, str) and len(plain) > 198:  # with its quotes, it would not fit
            return plain[:199] + "…"
        return json.loads(json_text(plain, 200, indent=None, allow_nan=False))
    except Exception:  # noqa: BLE001  (no JSON, too long, or anybody's object)
        return brief(value, 200)


def _visit(node: ast.expr, values: Values, work: Work) -> Any:
    work.left -= 1
    if work.left < 0:
        work.spend(0)
    return _VISITS[type(node)](node, values, work)


def _constant(node: ast.Constant, _values: Values, _work: Work) -> Any:
    return node.value


def _name(node: ast.Name, values: Values, work: Work) -> Any:
    try:
        return values[node.id]
    except KeyError:
        _missing(node.id, node, values, work)


def _attribute(node: ast.Attribute, values: Values, work: Work) -> Any:
    holder = _visit(node.value, values, work)
    if type(holder) is dict and node.attr in holder:
        return holder[node.attr]
    return _look_up(holder, node.attr, node, work)


def _subscript(node: ast.Subscript, values: Values, work: Work) -> Any:
    holder = _visit(node.value, values, work)
    if isinstance(node.slice, ast.Slice):
        return _cut(holder, node.slice, values, work)
    return _look_up(holder, _visit(node.slice, values, work), node, work)


def _cut(holder: Any, node: ast.Slice, values: Values, work: Work) -> Any:
    ends = [None if n is None else _visit(n, values, work) for n in (node.lower, node.upper)]
    whole = spelled(holder)
    if not isinstance(whole, Sequence) or any(type(end) not in {int, type(None)} for end in ends):
        raise Refused(f"a slice cuts a text or a list at whole numbers, not {brief(holder)}")
    size = len(range(*slice(*ends).indices(len(whole))))
    fits(size, MAX_TEXT if isinstance(whole, str) else MAX_ITEMS, work)
    return whole[slice(*ends)]


def _missing(name: str, node: ast.expr, known: Mapping[Any, Any], work: Work) -> NoReturn:
    some = itertools.islice(known, 1000)  # looking for the nearest takes long
    visible = [k for k in some if isinstance(k, str) and not k.startswith("_")]
    guess = nearest(name, visible) if work.guessing and len(name) <= 60 else None
    raise MissingInput(
        f"{{{{ {short(ast.unparse(node))} }}}} is not defined.",
        hint=f"Did you mean {guess}?" if guess else "Define it first; nothing was sent.",
    )


def _look_up(holder: Any, key: Any, node: ast.expr, work: Work) -> Any:
    is_key = type(key) in SCALARS
    if is_key and isinstance(holder, Mapping):
        if key in holder:
            return holder[key]
        if is_absent(holder):
            return None
        _missing(str(key), node, holder, work)
    if isinstance(holder, Sequence) and isinstance(key, int) and -len(holder) <= key < len(holder):
        return holder[key]
    if is_key and hasattr(holder, "columns") and key in list(holder.columns):
        fits(len(holder), MAX_ITEMS, work)
        return list(holder[key])
    raise MissingInput(
        f"{{{{ {short(ast.unparse(node))} }}}} is not there.",
        hint="A dot and brackets look into dictionaries, lists and columns, with a text or a "
        "number; compute anything else in Python first.",
    )


def _unary(node: ast.UnaryOp, values: Values, work: Work) -> Any:
    value = _visit(node.operand, values, work)
    if isinstance(node.op, ast.Not):
        return not value
    found = number(value)
    if found is None:
        raise Refused(f"a sign takes a number, not {brief(value)}")
    return -found if isinstance(node.op, ast.USub) else found


def _binary(node: ast.BinOp, values: Values, work: Work) -> Any:
    left, right = _visit(node.left, values, work), _visit(node.right, values, work)
    first, second = number(left), number(right)
    if first is not None and second is not None:
        return limited(ARITHMETIC[type(node.op)](first, second), work)
    if isinstance(node.op, ast.Add):
        return _joined(spelled(left), spelled(right), work)
    raise Refused(f"an operator takes two numbers, not {brief(left)} and {brief(right)}")


def _joined(left: Any, right: Any, work: Work) -> Any:
    for kind, most in ((str, MAX_TEXT), (list, MAX_ITEMS), (tuple, MAX_ITEMS)):
        if isinstance(left, kind) and isinstance(right, kind):
            fits(len(left) + len(right), most, work)
            return ARITHMETIC[ast.Add](left, right)
    raise Refused(f"+ takes two numbers, texts or lists, not {brief(left)} and {brief(right)}")


def _boolean(node: ast.BoolOp, values: Values, work: Work) -> Any:
    decides = isinstance(node.op, ast.Or)
    for each in node.values[:-1]:
        value = _visit(each, values, work)
        if bool(value) is decides:
            return value
    return _visit(node.values[-1], values, work)


def _choice(node: ast.IfExp, values: Values, work: Work) -> Any:
    return _visit(node.body if _visit(node.test, values, work) else node.orelse, values, work)


def _list(node: ast.List | ast.Tuple, values: Values, work: Work) -> list[Any]:
    return [_visit(each, values, work) for each in node.elts]


def _tuple(node: ast.Tuple, values: Values, work: Work) -> tuple[Any, ...]:
    return tuple(_list(node, values, work))


def _compare(node: ast.Compare, values: Values, work: Work) -> bool:
    left = _visit(node.left, values, work)
    for kind, comparator in zip(node.ops, node.comparators, strict=True):
        right = _visit(comparator, values, work)
        if not _holds(type(kind), left, right, work):
            return False
        left = right
    return True


def _holds(kind: type[ast.cmpop], left: Any, right: Any, work: Work) -> bool:
    if kind in _SEARCHES or type(left) not in SCALARS or type(right) not in SCALARS:
        if isinstance(left, str) or isinstance(right, str):
            left, right = spelled(left), spelled(right)
        _pay_comparison(kind, left, right, work)
    try:
        return bool(COMPARISONS[kind](left, right))
    except (TypeError, ValueError):
        raise Refused(f"{brief(left)} and {brief(right)} cannot be compared so") from None


def _pay_comparison(kind: type[ast.cmpop], left: Any, right: Any, work: Work) -> None:
    deep = weight(left, MAX_STEPS)
    if kind not in _SEARCHES:
        work.spend(min(deep, weight(right, MAX_STEPS)) if deep else 0)
    elif not isinstance(right, Collection):  # to search in anything else may never end
        raise Refused(f"`in` takes a text or a list, not {brief(right)}")
    else:
        work.spend(weight(right, MAX_STEPS) if deep else len(right) // 1000)


def _each(node: ast.ListComp | ast.GeneratorExp, values: Values, work: Work) -> Iterator[Any]:
    inner = ChainMap({}, cast("dict[str, Any]", values))
    for _ in _turns(node.generators, inner, work):
        yield _visit(node.elt, inner, work)


def _turns(loops: list[ast.comprehension], inner: ChainMap[str, Any], work: Work) -> Iterator[None]:
    if not loops:
        yield
        return
    for item in each_of(_visit(loops[0].iter, inner, work), work):
        _bind(loops[0].target, item, inner)
        if all(_visit(test, inner, work) for test in loops[0].ifs):
            yield from _turns(loops[1:], inner, work)


def _bind(target: ast.expr, item: Any, inner: ChainMap[str, Any]) -> None:
    if isinstance(target, ast.Name):
        inner[target.id] = item
        return
    targets = cast("ast.Tuple", target).elts
    if not isinstance(item, list | tuple) or len(item) != len(targets):
        raise Refused(f"{brief(item)} is no list of {len(targets)} parts")
    for each, part in zip(targets, item, strict=True):
        _bind(each, part, inner)


def _comprehension(node: ast.ListComp, values: Values, work: Work) -> list[Any]:
    return list(_each(node, values, work))


def _call(node: ast.Call, values: Values, work: Work) -> Any:
    name = cast("ast.Name", node.func).id
    first = node.args[0]
    if name == "coalesce":
        return _coalesce(node.args, values, work)
    if isinstance(first, ast.GeneratorExp) and name in {"any", "all"}:
        items = _each(first, values, work)  # stops where the answer is known, as Python does
        return any(items) if name == "any" else all(items)
    return limited(CALLS[name](work, *[_visit(each, values, work) for each in node.args]), work)


def _coalesce(arguments: list[ast.expr], values: Values, work: Work) -> Any:
    guessing, work.guessing = work.guessing, False
    for each in arguments:
        try:
            value = _visit(each, values, work)
        except MissingInput:
            continue
        if value is not None and not is_absent(value):
            break
    else:
        value = None
    work.guessing = guessing
    return value


_VISITS: dict[type[ast.expr], Callable[[Any, Values, Work], Any]] = {
    ast.Attribute: _attribute,
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.Call: _call,
    ast.Compare: _compare,
    ast.Constant: _constant,
    ast.GeneratorExp: _comprehension,
    ast.IfExp: _choice,
    ast.List: _list,
    ast.ListComp: _comprehension,
    ast.Name: _name,
    ast.Subscript: _subscript,
    ast.Tuple: _tuple,
    ast.UnaryOp: _unary,
}
