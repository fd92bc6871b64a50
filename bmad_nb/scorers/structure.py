"""Does an answer hold JSON of a given form?"""

from __future__ import annotations

import functools
import json
from typing import Any

from bmad_nb.errors import OutputInvalid, UsageProblem
from bmad_nb.scorers.base import Score
from bmad_nb.workflow import output


class JsonSchema:
    """1.0 where the answer holds JSON that matches the schema that is the reference."""

    name = "json_schema"

    def score(self, answer: str, reference: str) -> Score:
        """Read the answer as an output of that schema is read.

        Raises:
            UsageProblem: the reference is no schema.
        """
        try:
            output.read_answer(answer, _schema(reference))
        except OutputInvalid as error:
            return Score(0.0, error.what)
        return Score(1.0, "it matches")


@functools.lru_cache(maxsize=64)
def _schema(reference: str) -> dict[str, Any]:
    """Return the schema that a text spells: JSON Schema, or `{field: type}`."""
    try:
        given = json.loads(reference)
    except ValueError as error:
        raise UsageProblem(f"The reference is no JSON: {error}.") from None
    if not isinstance(given, dict):
        raise UsageProblem("The reference is no JSON Schema.", hint='Write {"field": "string"}.')
    said = [problem.what for problem in output.problems(given, ())]
    if said:
        raise UsageProblem(
            f"The reference is no JSON Schema: {' '.join(said[:8])}"
            + f" … and {len(said) - 8} more." * (len(said) > 8)
        )
    return output.schema_of(given)
