"""Blind rating: answers under letters, in an order that tells nothing, until one is rated."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.events import CallRow


class Blind:
    """Answers to one case under letters. Their order is the run's own, so that it stays.

    `blind.rate(A=0.9, B=0.2)` or `blind.best("A")` stores what a person says and returns the
    comparison with it; only then `blind.names` says who is who.
    """

    def __init__(self, comparison: Any, case: str, rows: Sequence[CallRow]) -> None:
        """Shuffle the answers."""
        self._comparison, self.case = comparison, case
        shuffled = sorted(rows, key=lambda row: row.label)
        seed = f"{comparison.run.run_id} {case}".encode("utf-8", "replace")  # half a character too
        random.Random(seed).shuffle(shuffled)  # noqa: S311 - an order, not a secret
        self._rows = {_letters(n): row for n, row in enumerate(shuffled)}
        self._rated = False

    @property
    def answers(self) -> Mapping[str, str]:
        """The answers by letter."""
        return {letter: row.text or "" for letter, row in self._rows.items()}

    @property
    def names(self) -> Mapping[str, str]:
        """Who is who, by letter.

        Raises:
            UsageProblem: nothing was rated yet.
        """
        if not self._rated:
            raise UsageProblem("Nothing is rated yet.", hint='Say blind.best("A") first.')
        return {letter: row.label for letter, row in self._rows.items()}

    def rate(self, *, by: str = "", task_type: str = "", **scores: float) -> Any:
        """Store a score from 0 to 1 for each letter that is given, and return the comparison.

        Raises:
            UnknownName: no such letter.
            UsageProblem: a score that is none.
        """
        home = self._comparison.its_home()
        places = {letter: self._row(letter) for letter in scores}
        for letter, value in scores.items():
            row, how = places[letter], {"by": by, "task_type": task_type}
            self._comparison = home.rate(
                self._comparison, row.label, value, case=self.case, blind=True, **how
            )
        self._rated = self._rated or bool(scores)
        return self._comparison

    def best(self, letter: str, *, by: str = "", task_type: str = "") -> Any:
        """Store that this answer is the best of its case, and return the comparison.

        Raises:
            UnknownName: no such letter.
        """
        row, how = self._row(letter), {"by": by, "task_type": task_type}
        home = self._comparison.its_home()
        self._comparison = home.pick(self._comparison, row.label, case=self.case, blind=True, **how)
        self._rated = True
        return self._comparison

    def label(self, letter: str) -> str:
        """Return whose answer a letter stands for, for whoever stores a rating of it."""
        return self._row(letter).label

    def _row(self, letter: str) -> CallRow:
        found = self._rows.get(letter.strip().upper())
        if found is None:
            raise UnknownName("letter", letter, self._rows)
        return found

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the static bundle: names, costs and times stand nowhere in it."""
        from bmad_nb.render.blind import blind_html

        return {"text/plain": repr(self), "text/html": blind_html(*self._shown())}

    def __repr__(self) -> str:
        """Return the plain form, safe on a terminal."""
        from bmad_nb.render.blind import blind_text

        return blind_text(*self._shown())

    def _shown(self) -> tuple[str, str, list[tuple[str, str, str]]]:
        """Return case, question, and by letter an answer and, once something is rated, its name."""
        rows = [(letter, row.text or "", row.label if self._rated else "")
                for letter, row in self._rows.items()]  # fmt: skip
        messages = next((row.messages for row in self._rows.values()), ())
        return self.case, messages[-1].text if messages else "", rows

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        said: dict[str, Any] = {"case": self.case, "answers": dict(self.answers)}
        return {**said, "names": dict(self.names)} if self._rated else said


def _letters(number: int) -> str:
    """Return A to Z, then AA, AB and so on."""
    first, last = divmod(number, 26)
    return (_letters(first - 1) if first else "") + chr(65 + last)
