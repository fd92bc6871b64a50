"""LLMs that judge stored answers: what they are asked, and what their judgements come to.

Judges see answers between marks that nobody can know, without names, and in pairs in both orders
(Zheng et al., "Judging LLM-as-a-judge", 2023).
"""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from bmad_nb.errors import OutputInvalid, UsageProblem
from bmad_nb.events import CallRow
from bmad_nb.grid import MAX_CALLS, Cell, request
from bmad_nb.llms.catalog import Catalog, Choice
from bmad_nb.llms.families import family_of
from bmad_nb.messages import Message, canonical_json, fingerprint, variant_name
from bmad_nb.render.base import counted, listed
from bmad_nb.scorers.base import interval
from bmad_nb.scorers.fencing import Presented, addresses_judge, presented
from bmad_nb.scorers.judge import CHOOSE, SCHEMA, choice_request, choice_schema, judgement
from bmad_nb.store.scores import ScoreRow
from bmad_nb.workflow import output

_DUEL = choice_schema("AB")
Place = tuple[str, str, str, int]
"""Case, LLM, variant and sample of a judgement."""


@dataclass(frozen=True, slots=True)
class _Question:
    """What one cell asks about: an answer, or two of them."""

    rows: tuple[tuple[CallRow, ...], ...]
    """Calls that gave it, of each of the two; equal answers are judged once."""
    view: Presented | None = None
    """Who stands behind which letter, of a pair."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is wanted of the judges."""

    rubric: str
    pairwise: bool
    samples: int
    task_type: str
    learn: bool


class Jury:
    """The judges of some answers.

    Args:
        rows: answered calls.
        judges: who judges.
        catalog: what they are.
        wish: how they judge.
    """

    def __init__(
        self, rows: Sequence[CallRow], judges: Sequence[Choice], catalog: Catalog, wish: _Wish
    ) -> None:
        """Work out what is asked; nobody is asked."""
        self._rows, self._wish, self._catalog = rows, wish, catalog
        self._judges = judges
        self.schema = _DUEL if wish.pairwise else SCHEMA
        self.title = f"judging {counted(len(rows), 'answer')}"
        self.cells: list[Cell] = []
        """The calls to be; none where all that would be compared is the same."""
        self._asked: dict[Place, _Question] = {}
        self._same: list[CallRow] = []
        for question, messages, case, order in self._pairs() if wish.pairwise else self._singles():
            self._add(question, messages, case, order)
        self._last = {place_of(cell): cell for cell in self.cells}
        if len(self.cells) > MAX_CALLS:
            said = f"That would be {len(self.cells)} judgements; {MAX_CALLS} can be made."
            raise UsageProblem(said, hint="Judge fewer answers, or each by itself.")
        if not self.cells and not self._same:
            raise UsageProblem("There is no pair of answers to judge.", hint="Compare more LLMs.")

    def _add(
        self,
        question: _Question,
        messages: tuple[Message, ...],
        case: str,
        order: Mapping[str, int],
    ) -> None:
        spelled = canonical_json(self.schema).decode()
        asked = replace(
            messages[-1], text=f"{messages[-1].text}\n\n{output.instruction(self.schema)}"
        )
        for judge, sample in itertools.product(self._judges, range(self._wish.samples)):
            llm = self._catalog.llm(judge.llm_id)
            params = dict(judge.params)
            made = request(llm, (*messages[:-1], asked), params, sample=sample, schema=spelled)
            variant = variant_name({**params, **order})
            cell = Cell(case, variant, llm, made, None)
            self.cells.append(cell)
            self._asked[place_of(cell)] = question

    def _singles(self) -> Iterator[tuple[_Question, tuple[Message, ...], str, dict[str, int]]]:
        for row in self._rows:
            messages = judgement(self._wish.rubric, _task(row), row.text or "")
            yield _Question(((row,),)), messages, _name(row), {}

    def _pairs(self) -> Iterator[tuple[_Question, tuple[Message, ...], str, dict[str, int]]]:
        cases: dict[str, list[CallRow]] = defaultdict(list)
        for row in self._rows:
            cases[row.case].append(row)
        for rows in cases.values():
            groups: dict[str, list[CallRow]] = defaultdict(list)
            for row in sorted(rows, key=lambda row: row.label):
                groups[(row.text or "").strip()].append(row)
            if len(groups) == 1 < len(rows):
                self._same += rows  # a tie; nobody needs to be asked
            for a, b in itertools.combinations(groups.values(), 2):
                texts = {each[0].label: each[0].text or "" for each in (a, b)}
                task = _task(a[0])
                for order, backwards in enumerate((False, True), start=1):
                    view = presented(texts, task, backwards=backwards)
                    said = choice_request(self._wish.rubric, task, view.text)
                    messages = (Message("system", CHOOSE), Message("user", said))
                    question = _Question((tuple(a), tuple(b)), view)
                    yield question, messages, f"{_name(a[0])} | {b[0].label}", {"order": order}

    # --- what comes of it -----------------------------------------------------------------------

    def repairs(self, judged: Iterable[CallRow]) -> list[Cell]:
        """Return the calls that ask again for what cannot be used, with what is wrong about it."""
        found = []
        for row in judged:
            try:
                if row.state == "answered":
                    output.read_answer(row.text or "", self.schema)
            except OutputInvalid as error:
                old = self._last[row.case, row.llm, row.variant, row.sample]
                said = (
                    Message("assistant", row.text or ""),
                    Message("user", output.repair_request(error)),
                )
                asked = replace(old.request, messages=(*old.request.messages, *said))
                found.append(replace(old, request=asked))
        self._last |= {place_of(cell): cell for cell in found}
        return found

    def scores(self, judged: Iterable[CallRow]) -> list[ScoreRow]:
        """Return a score for each answer that was judged at least once."""
        values = self._won(judged) if self._wish.pairwise else self._given(judged)
        return [self._score(row, values[row.call_id]) for row in self._rows
                if row.call_id in values]  # fmt: skip

    def _score(self, row: CallRow, found: Sequence[tuple[float, str]]) -> ScoreRow:
        values = [value for value, _ in found]
        low, high = interval(values)
        judges = [self._catalog.llm(each.llm_id).card for each in self._judges]
        said = [f"it speaks to its judge: {words}"] if (words := _flag(row)) else []
        said += dict.fromkeys(why for _, why in found if why)
        if self._wish.pairwise:
            won, tied = values.count(1.0), values.count(0.5)
            lost = len(values) - won - tied
            said.insert(0, f"won {won}, tied {tied}, lost {lost}")
        invented = any(card.simulated for card in judges)
        kind = "duels judged by" if self._wish.pairwise else "judge"
        wish = self._wish
        return ScoreRow(
            run_id=row.run_id, call_id=row.call_id, request_key=row.request_key, llm=row.llm,
            scorer=f"{kind} {listed(card.id for card in judges)}", source="judge",
            value=fmean(values), n=len(values), low=low, high=high, variant=row.variant,
            explanation="; ".join(said)[:2000], task_type=wish.task_type,
            key=fingerprint([wish.rubric, wish.pairwise, wish.samples,
                             [[j.llm_id, list(map(list, j.params))] for j in self._judges]]),
            simulated=row.simulated or invented,
            counts=wish.learn and (row.simulated or not invented),
        )  # fmt: skip

    def _given(self, judged: Iterable[CallRow]) -> dict[str, list[tuple[float, str]]]:
        """Return the scores and words of judges by call."""
        found: dict[str, list[tuple[float, str]]] = defaultdict(list)
        for _, question, said in self._read(judged):
            if said is not None:
                value, why = float(said["score"]), str(said["feedback"])
                found[question.rows[0][0].call_id].append((value, why))
        return found

    def _won(self, judged: Iterable[CallRow]) -> dict[str, list[tuple[float, str]]]:
        """Return 1, 0.5 or 0 for each duel of each call; a choice that turned is a tie."""
        found: dict[str, list[tuple[float, str]]] = defaultdict(list)
        for row in self._same:
            found[row.call_id].append((0.5, "all answers are the same"))
        for sides, first, second in self._duels(judged):
            for side in sides:
                points = 0.5 if first != second else float(first == side[0].label)
                for row in side:
                    found[row.call_id].append((points, ""))
        return found

    def _duels(
        self, judged: Iterable[CallRow]
    ) -> list[tuple[tuple[tuple[CallRow, ...], ...], str, str]]:
        """Return who was chosen in each of the two orders, where a judge chose in both."""
        chosen: dict[Any, list[str]] = defaultdict(list)
        sides: dict[Any, tuple[tuple[CallRow, ...], ...]] = {}
        for row, question, said in self._read(judged):
            if said is not None and question.view is not None:
                key = (row.case, row.llm, _bare(row), row.sample)
                chosen[key].append(question.view.names[said["choice"]])
                sides[key] = question.rows
        both = [(key, names) for key, names in chosen.items() if len(names) == 2]
        return [(sides[key], names[0], names[1]) for key, names in both]

    def _read(self, judged: Iterable[CallRow]) -> Iterator[tuple[CallRow, _Question, Any]]:
        """Yield each judgement with its question and what was said; None where it is unusable."""
        for row in judged:
            said = None
            if row.state == "answered":
                with contextlib.suppress(OutputInvalid):
                    said = output.read_answer(row.text or "", self.schema)
            yield row, self._asked[row.case, row.llm, row.variant, row.sample], said

    def notes(self, judged: Sequence[CallRow]) -> Iterator[str]:
        """Yield what a reader should know of the judging."""
        unusable = sum(said is None for *_, said in self._read(judged))
        if unusable:
            yield f"{unusable} of {counted(len(judged), 'judgement')} could not be used."
        if self._wish.pairwise:
            duels = self._duels(judged)
            turned = sum(first != second for _, first, second in duels)
            if turned:
                yield (f"In {turned} of {counted(len(duels), 'duel')} the choice turned with the "
                       "order of the answers; they count as ties.")  # fmt: skip
        names = {row.llm for row in self._rows}
        families = {family_of(name): name for name in sorted(names)}
        for judge in dict.fromkeys(each.llm_id for each in self._judges):
            if judge in names:
                yield f"{judge} judges its own answers too: LLMs like their own."
            elif (kin := families.get(family_of(judge))) is not None:
                yield f"{judge} is of the family of {kin}, and may like its answers."
        for row in self._rows:
            if words := _flag(row):
                yield f"The answer of {_name(row)} speaks to its judge: “{words}”."


def jury_of(
    rows: Sequence[CallRow],
    catalog: Catalog,
    llms: str | Iterable[str],
    *,
    rubric: str,
    pairwise: bool = False,
    samples: int = 1,
    task_type: str = "",
    learn: bool = True,
) -> Jury:
    """Return the judges of some answers; arguments as in `Workspace.judge`.

    Raises:
        UsageProblem: nobody can judge, or an argument is wrong.
        UnknownName: there is no such LLM.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or not 1 <= samples <= 100:
        raise UsageProblem(f"samples cannot be {samples!r}.", hint="Give 1 to 100.")
    if not isinstance(rubric, str) or not rubric.strip():
        raise UsageProblem("The rubric is empty.", hint="Say what a good answer is.")
    spec = llms if isinstance(llms, str) else ",".join(llms)
    judges = catalog.choose(_other(rows, catalog) if spec == "auto" else spec)
    return Jury(rows, judges, catalog, _Wish(rubric, pairwise, samples, task_type, learn))


def _other(rows: Sequence[CallRow], catalog: Catalog) -> str:
    """Return the most capable LLM that is of none of the families that wrote the answers.

    A simulated one judges only simulated answers.
    """
    invented = all(row.simulated for row in rows)
    families = {family_of(row.llm) for row in rows}
    ready = [
        card
        for card in catalog.cards(recorded=False)
        if not card.missing and card.simulated is invented and not card.id.startswith("local/")
        and family_of(card.id) not in families
    ]  # fmt: skip
    if not ready:
        raise UsageProblem(
            "No LLM of another family than the candidates' can be asked here.",
            hint="Name a judge, such as judge='openai/gpt-5-mini', or set another key.",
        )
    skills = {card.id: [value for _, value in card.capabilities] for card in ready}
    return min(ready, key=lambda card: (-fmean(skills[card.id] or [0.0]), card.id)).id


def place_of(cell: Cell) -> Place:
    """Return where a judgement stands among all of them."""
    return (cell.case, cell.llm.card.id, cell.variant, cell.request.sample)


def _task(row: CallRow) -> str:
    return "\n\n".join(message.text for message in row.messages if message.role == "user")


def _name(row: CallRow) -> str:
    return f"{row.case} · {row.label}" if row.case else row.label


def _bare(row: CallRow) -> str:
    """Return a judge's setting without the order in which it saw a pair."""
    return "&".join(part for part in row.variant.split("&") if not part.startswith("order="))


def _flag(row: CallRow) -> str:
    return addresses_judge(row.text or "")
