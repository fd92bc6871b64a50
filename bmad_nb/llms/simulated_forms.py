"""Answers of the simulated fleet in a demanded form: JSON that fits a schema, or fails to."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from bmad_nb.messages import fingerprint

MARK = "Answer with JSON only"
"""Where the demand for a form begins in a prompt; what stands before it is the question."""


def filled(schema: Mapping[str, Any], said: str, question: str, chance: random.Random) -> str:
    """Return JSON that fits `schema`, made of what would have been said without one.

    Args:
        schema: the JSON Schema.
        said: the answer in words.
        question: the prompt; the same question gets the same values from all that know better.
        chance: the answering LLM's own dice.
    """
    agreed = random.Random(fingerprint(question))  # noqa: S311  (a simulation, and it must repeat)
    return json.dumps(_value(schema, said, agreed, chance, 0), ensure_ascii=False)


def _value(
    schema: Mapping[str, Any], said: str, agreed: random.Random, chance: random.Random, depth: int
) -> Any:
    schema = schema["anyOf"][0] if schema.get("anyOf") else schema
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return _chosen(schema["enum"], said, agreed)
    kind = schema.get("type", "string")
    if kind in {"object", "array"}:
        return _collection(schema, said, agreed, chance, depth)
    if kind in {"number", "integer"}:
        return _number(schema, said, agreed, whole=kind == "integer")
    if kind == "boolean":
        return agreed.random() < 0.5
    return None if kind == "null" else _text(schema, said)


def _collection(
    schema: Mapping[str, Any], said: str, agreed: random.Random, chance: random.Random, depth: int
) -> Any:
    def inner(each: Mapping[str, Any]) -> Any:
        return _value(each, said, agreed, chance, depth + 1)

    if schema["type"] == "object":
        return {name: inner(each) for name, each in schema.get("properties", {}).items()}
    count = max(schema.get("minItems", 0), 2 if depth < 4 else 0)
    return [
        inner(schema.get("items", {})) for _ in range(min(count, schema.get("maxItems", count)))
    ]


def _chosen(values: list[Any], said: str, agreed: random.Random) -> Any:
    """Return the value that was said; else one that the question alone decides."""
    spoken = [value for value in values if str(value).lower() == said.strip().lower()]
    return spoken[0] if spoken else agreed.choice(values)


def _number(schema: Mapping[str, Any], said: str, agreed: random.Random, *, whole: bool) -> Any:
    least, most = schema.get("minimum", 0), schema.get("maximum", 10 if whole else 1)
    try:
        value = float(said)
    except ValueError:
        value = agreed.uniform(least, max(least, most))
    else:
        value = min(max(value, schema.get("minimum", value)), schema.get("maximum", value))
    return round(value) if whole else round(value, 2)


def _text(schema: Mapping[str, Any], said: str) -> str:
    text: str = said[: schema.get("maxLength", 300)]
    return text.ljust(schema.get("minLength", 0), ".")
