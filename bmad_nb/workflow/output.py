"""What a task's answer must look like: the short form, its JSON Schema, and the check of an answer.

Only keywords that are safe to check on foreign data are taken: no `$ref`, which could reach out,
and no `pattern`, whose matching can take for ever.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bmad_nb.errors import OutputInvalid, Problem, nearest
from bmad_nb.workflow.matching import defects

TYPES = {"string": "string", "text": "string", "integer": "integer", "number": "number",
         "boolean": "boolean", "list": "array", "array": "array", "object": "object",
         "null": "null"}  # fmt: skip
"""Words of the short form, and the type of JSON Schema that each stands for."""
KEYWORDS = frozenset(
    "type properties required additionalProperties items enum const title description default "
    "minimum maximum exclusiveMinimum exclusiveMaximum minLength maxLength minItems maxItems "
    "uniqueItems minProperties maxProperties anyOf".split()
)
MAX_ANSWER = 1_000_000
"""Characters of an answer that are read as JSON."""
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
    if isinstance(value, Mapping):
        return dict(value) if _is_schema(value) else _object(value)
    return {"const": value}


def problems(output: Mapping[str, Any], path: tuple[Any, ...]) -> Iterator[Problem]:
    """Yield what is wrong with an `output`: types and keywords that it cannot have."""
    yield from _schema_problems(schema_of(output), path)


def _schema_problems(schema: Any, path: tuple[Any, ...]) -> Iterator[Problem]:
    if not isinstance(schema, Mapping):
        yield Problem(0, 0, "An output is made of mappings and names of types.", "", path)
        return
    for key in schema:
        if key not in KEYWORDS:
            guess = nearest(str(key), KEYWORDS)
            hint = f"Did you mean {guess!r}?" if guess else f"Known: {', '.join(sorted(KEYWORDS))}."
            yield Problem(0, 0, f"An output cannot use {key!r}.", hint, path)
    kind = schema.get("type")
    if kind is not None and kind not in TYPES.values():
        guess = nearest(str(kind), TYPES)
        hint = f"Did you mean {guess!r}?" if guess else f"One of: {', '.join(TYPES)}."
        yield Problem(0, 0, f"{str(kind)[:60]!r} is not a type.", hint, path)
    yield from _wrong_values(schema, path)
    fields = schema.get("properties")
    for name, each in fields.items() if isinstance(fields, Mapping) else ():
        yield from _schema_problems(each, (*path, name))
    if "items" in schema:
        yield from _schema_problems(schema["items"], path)
    for each in schema["anyOf"] if isinstance(schema.get("anyOf"), list) else ():
        yield from _schema_problems(each, path)


def _wrong_values(schema: Mapping[str, Any], path: tuple[Any, ...]) -> Iterator[Problem]:
    """Yield keywords whose values are of a wrong kind."""
    for keys, kind, said in _VALUES:
        for key in keys.split():
            wrong = key in schema and not isinstance(schema[key], kind)
            is_flag = isinstance(schema.get(key), bool) and kind is not bool
            if wrong or (is_flag and key in schema):
                yield Problem(0, 0, f"{key!r} must be {said}.", "", path)


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

    Raises:
        OutputInvalid: there is none, or it does not match; the message says where.
    """
    value = _value_in(text)
    wrong = list(itertools.islice(defects(value, schema), MOST_DEFECTS + 1))
    if wrong:
        said = [f"{'.'.join(map(str, path)) or 'the whole'} {what}" for path, what in wrong]
        more = "; and more" if len(wrong) > MOST_DEFECTS else ""
        raise OutputInvalid(f"{'; '.join(said[:MOST_DEFECTS])}{more}.")
    return value


def check_value(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a function's value if it matches, as the JSON that is stored.

    Raises:
        OutputInvalid: it is not JSON, or does not match.
    """
    return read_answer(json.dumps(value), schema)


def _value_in(text: str) -> Any:
    if len(text) > MAX_ANSWER:
        raise OutputInvalid(f"it has {len(text)} characters; at most {MAX_ANSWER} are read.")
    stripped = text.strip()
    starts = [i for i in (stripped.find("{"), stripped.find("[")) if i >= 0]
    candidates = [stripped, *(m.group(1).strip() for m in _FENCE.finditer(stripped))]
    candidates += [stripped[i:] for i in sorted(starts)]
    for candidate in candidates:
        try:
            return (
                _DECODER.raw_decode(candidate)[0]
                if candidate is not stripped
                else _strict(candidate)
            )
        except (ValueError, RecursionError):
            continue
    raise OutputInvalid("it is not JSON.")


def _strict(text: str) -> Any:
    return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key stands twice")
    return result


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_once)
