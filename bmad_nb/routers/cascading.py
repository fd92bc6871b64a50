"""Cheap LLMs first, the strong one where they are in doubt; everybody who is asked is paid."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bmad_nb.consensus.cascades import break_even
from bmad_nb.errors import UsageProblem
from bmad_nb.routers.batch import Learns
from bmad_nb.routers.learned import Learned
from bmad_nb.routers.outcomes import Outcomes, Picks, Questions


class Cascade(Learns):
    """Asks cheap LLMs, and the strong one where their answers differ or little is expected.

    Before the answers are known, as in a live choice of one LLM, it takes the first cheap one; a
    workflow goes on from there with `collaborate: {type: cascade}`.

    Args:
        cheap: who is asked first; None takes the two cheapest that are not the strong one.
        strong: who is asked in doubt; None takes the best single LLM of the history.
        by: `agreement` of the short answers of all cheap ones, or the `score` that is expected of
            the first cheap one.
        accept: with `score`, the expected score in [0, 1] from which on its answer is taken.
    """

    name = "cascade"
    sees_answers = True

    def __init__(
        self,
        cheap: Sequence[str] | None = None,
        strong: str | None = None,
        *,
        by: Literal["agreement", "score"] = "agreement",
        accept: float = 0.8,
    ) -> None:
        """Keep the setting.

        Raises:
            UsageProblem: a single LLM cannot agree, or the setting is none.
        """
        if by not in {"agreement", "score"} or not 0 <= accept <= 1:
            raise UsageProblem("by is 'agreement' or 'score', accept a score in [0, 1].")
        if cheap is not None and (
            isinstance(cheap, str) or len(set(cheap)) < 1 + (by == "agreement")
        ):
            raise UsageProblem(
                "A cascade by agreement needs two cheap LLMs.", hint="Give cheap=['a', 'b']."
            )
        self._cheap = None if cheap is None else tuple(cheap)
        self._strong, self.by, self.accept = strong, by, accept
        self.sees_answers = by == "agreement"
        self.note = ""
        self.seen: Outcomes | None = None
        """Recorded answers, in a replay."""

    def learn(self, outcomes: Outcomes) -> None:
        """Choose who is cheap and who is strong, and say when it pays.

        Raises:
            UsageProblem: there are too few LLMs.
        """
        llms, usd = outcomes.questions.llms, outcomes.mean_usd
        strong = self._strong or llms[outcomes.best]
        order = np.argsort(np.nan_to_num(usd, nan=np.inf), kind="stable")
        others = [llms[place] for place in order if llms[place] != strong]
        cheap = self._cheap or tuple(others[: 2 if self.by == "agreement" else 1])
        missing = [each for each in (*cheap, strong) if each not in llms]
        if missing or len(cheap) < 1 + (self.by == "agreement") or strong in cheap:
            said = f"{missing[0]} is not in the history." if missing else "There are too few LLMs."
            raise UsageProblem(f"No cascade: {said}", hint="Name cheap= and strong=.")
        self.cheap, self.strong = cheap, strong
        costs = [float(usd[llms.index(each)]) for each in (*cheap, strong)]
        known = [None if np.isnan(each) else each for each in costs]
        self.note = f"cascade: {break_even(known[:-1], known[-1]).said}"
        self._learned = Learned(guard=False).fit(outcomes) if self.by == "score" else None

    def with_answers(self, outcomes: Outcomes) -> Cascade:
        """Return a copy that sees the recorded answers of the questions that it is replayed on."""
        found = copy(self)
        found.seen = outcomes
        return found

    def choose_many(self, questions: Questions) -> Picks:
        """Return whose answer counts for each question, and everybody who was asked.

        Raises:
            UsageProblem: it has seen no outcomes, or no answers.
        """
        self.need()
        places = {llm: place for place, llm in enumerate(questions.llms)}
        cheap = [places[each] for each in self.cheap if each in places]
        strong = places.get(self.strong)
        many, asked = len(questions), np.zeros((len(questions), len(questions.llms)), dtype=bool)
        if not cheap or strong is None:  # somebody is not there: who is left
            left = cheap[0] if cheap else (strong or 0)
            return Picks(np.full(many, left, dtype=np.intp))
        if self._learned is None and many == 1 and self.seen is None:
            return Picks(np.array([cheap[0]], dtype=np.intp))
        accepted = self._accepted(questions, cheap)
        asked[:, cheap], asked[:, strong] = True, ~accepted
        return Picks(np.where(accepted, cheap[0], strong).astype(np.intp), asked=asked)

    def _accepted(self, questions: Questions, cheap: Sequence[int]) -> NDArray[np.bool_]:
        if self._learned is not None:
            expected, _ = self._learned.expected(questions)
            return np.asarray(expected[:, cheap[0]] >= self.accept)
        seen = self.seen
        if seen is None or seen.answers is None or len(seen.questions) != len(questions):
            raise UsageProblem(
                "A cascade by agreement is replayed on recorded answers, and there are none.",
                hint="The calls need a column answer or response; or use by='score'.",
            )
        columns = [seen.questions.llms.index(questions.llms[place]) for place in cheap]
        rows = ([row[column] for column in columns] for row in seen.answers)
        return np.array([row[0] is not None and len(set(row)) == 1 for row in rows], dtype=bool)

    def reason(self, questions: Questions, picks: Picks, row: int) -> str:
        """Return why: agreement or doubt."""
        if picks.asked is None:
            return "the first of a cascade"
        sign = "the cheap LLMs agree" if self.by == "agreement" else "enough is expected of it"
        doubt = "the cheap LLMs differ" if self.by == "agreement" else "too little is expected"
        taken = questions.llms[int(picks.llm[row])]
        return doubt if taken == self.strong else sign
