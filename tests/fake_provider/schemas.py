"""A small JSON value that is valid for a JSON Schema, as far as tests use schemas."""

from __future__ import annotations

from typing import Any

_DEEPEST = 6
"""Depth from which optional properties and elements are left out, so that recursion ends."""


def example(schema: dict[str, Any]) -> Any:
    """Return a value for a schema: text `text`, number 1, the first choice, all properties."""
    return _example(schema, schema, 0)


def _example(schema: Any, root: dict[str, Any], depth: int) -> Any:
    schema = _resolved(schema, root) if isinstance(schema, dict) else {}
    fixed = [schema["const"]] if "const" in schema else schema.get("enum")
    if fixed:
        return fixed[0]
    either = schema.get("anyOf") or schema.get("oneOf")
    if either:
        return _example(either[0], root, depth)
    kind = _kind(schema)
    nested = {"object": _object, "array": _array}.get(kind)
    if nested is not None:
        return nested(schema, root, depth)
    if kind in {"number", "integer"}:
        return _number(schema)
    return {"boolean": True, "null": None}.get(kind, _words(schema))


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with its `$ref` followed and its `allOf` merged."""
    for _ in range(_DEEPEST):
        if "$ref" not in schema:
            break
        found: Any = root
        for step in schema["$ref"].removeprefix("#").strip("/").split("/"):
            found = found[step] if step else found
        schema = found
    for part in schema.get("allOf", ()):
        other = _resolved(part, root)
        properties = {**schema.get("properties", {}), **other.get("properties", {})}
        schema = {**other, **schema, **({"properties": properties} if properties else {})}
    return schema


def _kind(schema: dict[str, Any]) -> str:
    """Return the first type, in lower case: Gemini's own schemas write STRING."""
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    return str(kind[0] if isinstance(kind, list) else kind).lower()


def _object(schema: dict[str, Any], root: dict[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    names = list(schema.get("required", ())) if depth >= _DEEPEST else [*properties]
    names += [each for each in schema.get("required", ()) if each not in names]
    return {name: _example(properties.get(name, {}), root, depth + 1) for name in names}


def _array(schema: dict[str, Any], root: dict[str, Any], depth: int) -> list[Any]:
    least = schema.get("minItems", 0)
    number = least if depth >= _DEEPEST else max(1, least)
    return [_example(schema.get("items", {}), root, depth + 1) for _ in range(number)]


def _number(schema: dict[str, Any]) -> Any:
    least, most = schema.get("minimum", 1), schema.get("maximum", 1)
    return least if least > 1 else min(1, most)


def _words(schema: dict[str, Any]) -> str:
    text = "text".ljust(schema.get("minLength", 0), "x")
    return text[: schema.get("maxLength", len(text))]
