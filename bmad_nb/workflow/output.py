"""What a task's answer must look like: the short form, its JSON Schema, and the check of an answer.

Only keywords that are safe to check on foreign data are taken: no `$ref`, which could reach out,
and no `pattern`, whose matching can take for ever.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bmad_nb.errors import OutputInvalid, Problem
from bmad_nb.workflow.hints import guess, listed, suggestion
from bmad_nb.workflow.matching import defects
from bmad_nb.workflow.words import Key, Path, called, given

TYPES = {"string": "string", "text": "string", "integer": "integer", "number": "number",
         "boolean": "boolean", "list": "array", "array": "array", "object": "object",
         "null": "null"}  # fmt: skip
"""Words of the short form, and the type of JSON Schema that each stands for."""
_ALL_KEYWORDS = """
    type properties required additionalProperties items enum const title description default
    minimum maximum exclusiveMinimum exclusiveMaximum minLength maxLength minItems maxItems
    uniqueItems minProperties maxProperties anyOf
"""
KEYWORDS = frozenset(_ALL_KEYWORDS.split())
MAX_ANSWER = 1_000_000
"""Characters of an answer that are read as JSON."""
MOST_PIECES = 20
"""Places of an answer at which JSON is looked for."""
MOST_DIGITS = 300
"""Digits of a whole number in an answer; a float takes no more either."""
MOST_DEFECTS = 5
"""Defects of an answer that its LLM is told."""
_FENCE = re.compile(r"```[a-zA-Z0-9]*[ \t]*\n(.*?)```", re.DOTALL)


def schema_of(output: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema that an `output` stands for.

    >>> schema_of({"label": {"enum": ["bug", "question"]}})["required"]
    ['label']
    """
    return dict(output) if _is_schema(output) else _object(output)


def _is_schema(value: Mapping[str, Any]) -> bool:
    """A mapping with a type, a list of values or alternatives is a schema; else it has fields."""
    return value.get("type") in TYPES.values() or bool({"enum", "anyOf", "const"} & value.keys())


def _object(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _widened(value) for name, value in fields.items()},
        "required": list(fields),
        "additionalProperties": False,
    }


def _widened(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"type": TYPES.get(value, value)}
    if isinstance(value, list):
        return {"type": "array", "items": _widened(value[0])} if value else {"type": "array"}
    return schema_of(value) if isinstance(value, Mapping) else {}


def problems(output: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Yield what is wrong with an `output`: types and keywords that it cannot have."""
    if _is_schema(output):
        yield from _schema_problems(output, path)
        return
    if not output:
        yield Problem(0, 0, "An output has no fields.", "Write output: {name: string}.", path)
    for name, each in output.items():
        yield from _field_problems(each, (*path, name))


def _field_problems(value: Any, path: Path) -> Iterator[Problem]:
    """Yield what is wrong with a field of the short form."""
    if isinstance(value, str):
        if value not in TYPES:
            hint = suggestion(value, TYPES, "One of")
            yield Problem(0, 0, f"{value[:60]!r} is not a type.", hint, path)
    elif isinstance(value, Mapping):
        yield from problems(value, path)
    elif isinstance(value, list) and len(value) <= 1:
        for each in value:
            yield from _field_problems(each, (*path, 0))
    else:
        said = f"{called(path)} is not a form of output."
        hint = "Write a type, {field: type}, or a list with the form of one item."
        yield Problem(0, 0, said, hint, path)


def _schema_problems(schema: Any, path: Path) -> Iterator[Problem]:
    if not isinstance(schema, Mapping):
        said = f"{called(path)} must be a schema, not {given(schema)}."
        yield Problem(0, 0, said, "Write {type: …}.", path)
        return
    for key in schema:
        if key not in KEYWORDS:
            near = guess(key, sorted(KEYWORDS))
            hint = f"Did you mean {near!r}?" if near else (
                "A field called type, enum, const or anyOf stands under properties: only."
                if "properties" not in schema else f"Known: {listed(sorted(KEYWORDS))}."
            )  # fmt: skip
            said = f"An output cannot use the keyword {str(key)[:60]!r}."
            yield Problem(0, 0, said, hint, (*path, Key(key)))
    kind = schema.get("type")
    if "type" in schema and (not isinstance(kind, str) or kind not in TYPES.values()):
        hint = suggestion(kind, sorted(set(TYPES.values())), "One of")
        yield Problem(0, 0, f"{str(kind)[:60]!r} is not a type of JSON.", hint, (*path, "type"))
    yield from _wrong_values(schema, path)
    fields = schema.get("properties")
    for name, each in fields.items() if isinstance(fields, Mapping) else ():
        yield from _schema_problems(each, (*path, "properties", name))
    if "items" in schema:
        yield from _schema_problems(schema["items"], (*path, "items"))
    forms = schema.get("anyOf")
    for index, each in enumerate(forms if isinstance(forms, list) else ()):
        yield from _schema_problems(each, (*path, "anyOf", index))


def _wrong_values(schema: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Yield keywords whose values are of a wrong kind."""
    for keys, kind, said in _VALUES:
        for key in keys.split():
            value = schema.get(key)
            is_flag = isinstance(value, bool) and kind is not bool
            if key in schema and (not isinstance(value, kind) or is_flag):
                what = f"{key!r} must be {said}, not {given(value)}."
                yield Problem(0, 0, what, "", (*path, key))
            elif isinstance(value, int) and kind is int and value < 0:
                yield Problem(0, 0, f"{key!r} must be at least 0.", "", (*path, key))
    for key in ("enum", "anyOf"):
        if schema.get(key) == []:
            yield Problem(0, 0, f"{key!r} must have at least 1 of them.", "", (*path, key))
    required = schema.get("required")
    for index, each in enumerate(required if isinstance(required, list) else ()):
        if not isinstance(each, str):
            said = f"{called((*path, 'required', index))} must be a text, not {given(each)}."
            yield Problem(0, 0, said, "", (*path, "required", index))


_VALUES: tuple[tuple[str, Any, str], ...] = (
    ("properties", Mapping, "a mapping"),
    ("required enum anyOf", list, "a list"),
    ("additionalProperties uniqueItems", bool, "true or false"),
    ("minimum maximum exclusiveMinimum exclusiveMaximum", (int, float), "a number"),
    ("minLength maxLength minItems maxItems minProperties maxProperties", int, "a whole number"),
    ("title description", str, "a text"),
)


def instruction(schema: Mapping[str, Any]) -> str:
    """Return the sentence that asks an LLM for such an answer."""
    spelled = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return f"Answer with JSON only, without any other text. It must match this schema: {spelled}"


def repair_request(error: OutputInvalid) -> str:
    """Return what an LLM is told about an answer that did not match."""
    return (
        f"That answer cannot be used: {error.what} Answer again with JSON only, which matches "
        "the schema."
    )


def read_answer(text: str, schema: Mapping[str, Any]) -> Any:
    """Return the JSON value in an answer, alone or in a code fence or behind other words.

    An answer that is JSON as a whole is taken as a whole. Among several pieces of JSON, the first
    that matches counts.

    Raises:
        OutputInvalid: there is none, or it does not match; the message says where.
    """
    said = ""
    for value in _values_in(text):
        wrong = _defects(value, schema)
        if not wrong:
            return value
        said = said or wrong
    raise OutputInvalid(said)


def _defects(value: Any, schema: Mapping[str, Any]) -> str:
    """Return the first defects of a value as a sentence, empty without any."""
    wrong = list(itertools.islice(defects(value, schema), MOST_DEFECTS + 1))
    said = [f"{'.'.join(map(str, path)) or 'the whole'} {what}" for path, what in wrong]
    more = "; and more" if len(wrong) > MOST_DEFECTS else ""
    return f"{'; '.join(said[:MOST_DEFECTS])}{more}." if said else ""


def check_value(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a function's value if it matches, as the JSON that is stored.

    Raises:
        OutputInvalid: it is not JSON, or does not match.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputInvalid(f"it is not JSON: {error}.") from None
    return read_answer(text, schema)


def _values_in(text: str) -> Iterator[Any]:
    """Yield the JSON values of an answer: the whole, else each fenced or free-standing one."""
    if len(text) > MAX_ANSWER:
        raise OutputInvalid(f"it has {len(text)} characters; at most {MAX_ANSWER} are read.")
    whole = text.strip()
    try:
        yield _usable(_DECODER.decode(whole))
    except (ValueError, RecursionError) as error:
        why = _told(error, whole)
    else:
        return
    found = False
    for piece in (*(m.group(1).strip() for m in _FENCE.finditer(whole)), whole):
        for value in itertools.islice(_pieces(piece), MOST_PIECES):
            found = True
            yield value
    if not found:
        raise OutputInvalid(why)


def _pieces(text: str) -> Iterator[Any]:
    """Yield each object or list that stands in a text, not those inside another one."""
    at = 0
    for _ in range(MOST_PIECES):
        start = min((i for i in (text.find("{", at), text.find("[", at)) if i >= 0), default=-1)
        if start < 0:
            return
        try:
            value, at = _DECODER.raw_decode(text, start)
            yield _usable(value)
        except (ValueError, RecursionError):
            at = start + 1 if at <= start else at


def _told(error: Exception, text: str) -> str:
    """Return why a text is no JSON, for the LLM that wrote it."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply."
    if not isinstance(error, json.JSONDecodeError):
        return f"it is not JSON: {error}."
    if text[:1] not in {"{", "["}:
        return "it has no JSON in it."
    return f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."


def _usable(value: Any) -> Any:
    """Return a value that can be stored; half a character cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a text has half a character in it") from None
    return value


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is not a number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(digits)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:60]!r} stands in it twice")
    return result


_DECODER = json.JSONDecoder(
    parse_constant=_constant, parse_float=_finite, parse_int=_whole, object_pairs_hook=_once
)
