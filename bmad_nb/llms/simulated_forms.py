"""Answers of the simulated fleet in a demanded form: JSON that fits a schema, or fails to."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bmad_nb.messages import fingerprint

MARK = "Answer with JSON only"
"""Where the demand for a form begins in a prompt; what stands before it is the question."""


_VERB = re.compile(r"\s+(?:is|are|was|were|has|have)\s+")


@dataclass(frozen=True, slots=True)
class Material:
    """What an answer is made of."""

    said: str
    """The answer in words."""
    sentences: tuple[str, ...]
    """The question's own sentences, from which texts are copied: there is no language model."""
    sure: float = 0.5
    """The planted probability in [0, 1] that the answer is right, given as its confidence."""
    tests: tuple[str, ...] = ()
    """Tests of a planted program, where the question shows it."""

    def sentence(self, number: int) -> str:
        """Return one sentence that states something, beginning anew behind the last."""
        stating = [s for s in self.sentences if s[-1] not in ":?" and len(s.split()) > 2]
        known = stating or [self.said]
        return known[number % len(known)]


def filled(
    schema: Mapping[str, Any], material: Material, question: str, chance: random.Random
) -> str:
    """Return JSON that fits `schema`, made of what would have been said without one.

    Each item of a list takes another sentence of the question, and `quote` takes one word for
    word; `about` and `value` are what stands before and behind its verb, `id` is a number.

    Args:
        schema: the JSON Schema.
        material: the answer in words, and what else there is.
        question: the prompt; the same question gets the same values from all that know better.
        chance: the answering LLM's own dice.
    """
    agreed = random.Random(fingerprint(question))  # noqa: S311  (a simulation, and it must repeat)
    value = _Filling(material, agreed, chance).value(schema)
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class _Filling:
    """Fills one form."""

    material: Material
    agreed: random.Random
    chance: random.Random

    def value(
        self, schema: Mapping[str, Any], depth: int = 0, name: str = "", place: int | None = None
    ) -> Any:
        """Return a value; `name` is its field, and `place` its number in the list around it."""
        schema = schema["anyOf"][0] if schema.get("anyOf") else schema
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._one_of(schema["enum"], name)
        kind = schema.get("type", "string")
        if kind in {"object", "array"}:
            return self._collection(schema, depth, name, place)
        if kind in {"number", "integer"}:
            said = str(self.material.sure) if name == "confidence" else self.material.said
            return _number(schema, said, self.agreed, whole=kind == "integer")
        if kind == "boolean":
            return self.agreed.random() < 0.5
        return None if kind == "null" else _cut(schema, self._text(name, place))

    def _one_of(self, values: list[Any], name: str) -> Any:
        if name == "confidence":
            return _nearest(values, self.material.sure)
        return _chosen(values, self.material.said, self.agreed)

    def _collection(
        self, schema: Mapping[str, Any], depth: int, name: str, place: int | None
    ) -> Any:
        if schema["type"] == "object":
            fields = schema.get("properties", {}).items()
            return {each: self.value(form, depth + 1, each, place) for each, form in fields}
        count = max(schema.get("minItems", 0), 2 if depth < 4 else 0)
        form = schema.get("items", {})
        return [
            self.value(form, depth + 1, name, number)
            for number in range(min(count, schema.get("maxItems", count)))
        ]

    def _text(self, name: str, place: int | None) -> str:
        if name == "test" and self.material.tests:
            return self.chance.choice(self.material.tests)
        if name == "id":
            return str((place or 0) + 1)
        sentence = self.material.sentence(place or 0)
        if name in {"about", "value"}:
            before, verb, behind = _halves(sentence)
            return (before if name == "about" else behind.rstrip(".")) if verb else sentence
        return sentence if name == "quote" or place is not None else self.material.said


def _halves(sentence: str) -> tuple[str, str, str]:
    """Return what stands before the verb of a sentence, the verb, and what stands behind it."""
    found = _VERB.search(sentence)
    if found is None:
        return sentence, "", ""
    return sentence[: found.start()], found.group(), sentence[found.end() :]


def _chosen(values: list[Any], said: str, agreed: random.Random) -> Any:
    """Return the value that was said; else one that the question alone decides."""
    spoken = [value for value in values if str(value).lower() == said.strip().lower()]
    return spoken[0] if spoken else agreed.choice(values)


def _nearest(values: list[Any], sure: float) -> Any:
    """Return the value that is nearest to a probability; else the first."""
    numbers = [each for each in values if isinstance(each, int | float)]
    return min(numbers, key=lambda each: abs(each - sure), default=values[0])


def _number(schema: Mapping[str, Any], said: str, agreed: random.Random, *, whole: bool) -> Any:
    least, most = schema.get("minimum", 0), schema.get("maximum", 10 if whole else 1)
    try:
        value = float(said)
    except ValueError:
        value = agreed.uniform(least, max(least, most))
    else:
        value = min(max(value, schema.get("minimum", value)), schema.get("maximum", value))
    return round(value) if whole else round(value, 2)


def _cut(schema: Mapping[str, Any], said: str) -> str:
    text: str = said[: schema.get("maxLength", 300)]
    return text.ljust(schema.get("minLength", 0), ".")
