"""Asking one LLM, or several side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from bmad_nb import _loop, errors, grid, options
from bmad_nb.chats import Chats
from bmad_nb.errors import RunFailed, UsageProblem
from bmad_nb.grading import Grading, rest_of
from bmad_nb.options import Options
from bmad_nb.results import Comparison, Result
from bmad_nb.runs.background import Pending
from bmad_nb.runs.batch import Batch
from bmad_nb.scorers.choice import scorer_of
from bmad_nb.scorers.judge import DEFAULT_RUBRIC

R = TypeVar("R", bound=Result)
_REFERENCE = "Give reference=, the right answer or a column of over."


class Asking(Grading):
    """The part of a workspace that asks and compares."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Wait for nobody yet."""
        super().__init__(*args, **options)
        self._talking: dict[str, Pending[Any]] = {}
        """By conversation, the question in the background that has no answer yet."""

    def ask(self, prompt: str, llm: str | None = None, **given: Any) -> Result:
        """Ask one LLM.

        Args:
            prompt: the text; a template where `inputs` are given.
            llm: id, such as `local/smollm2-135m?temperature=1`; the default LLM if None.
            **given: `inputs` (values for the holes), `system`, `reference` (right answer),
                `budget_usd`, `fresh` (ask anew although an answer is stored), `replay` (ask nobody:
                what is stored or recorded answers, whatever `fresh` says), `images` (bytes or
                paths), `output` (a JSON Schema or `{field: type}` that the answer must match; then
                `result.output` is its value), `chat` (name of a conversation: its turns go before
                the prompt, and this one joins them), `background` (return a handle at once, whose
                `wait()` or `await` gives the result), and parameters such as `temperature`, `seed`,
                `max_tokens`.

        Raises:
            LLMError: the LLM gave no answer; `NotRecorded` in replay mode.
            RunPaused: interrupted, or the budget did not allow the call.
            UnknownName: no such LLM or option.
        """
        background = given.pop("background", False)
        batch = self._ask_batch(prompt, llm, given)
        if background:
            handle: Any = _pending(batch, self._answered(batch, given))
            if given.get("chat"):
                self._talking[given["chat"]] = handle
            return handle  # type: ignore[no-any-return]
        return self._said(self._mine(self.wait(_answer(batch), batch)), given)

    async def aask(self, prompt: str, llm: str | None = None, **given: Any) -> Result:
        """Ask one LLM, from code that has an event loop of its own; see `ask`."""
        result = self._mine(await _loop.arun(_answer(self._ask_batch(prompt, llm, given))))
        return await asyncio.to_thread(self._said, result, given)

    def compare(self, prompt: str, llms: str | Iterable[str], **given: Any) -> Comparison:
        """Ask several LLMs the same and set the answers side by side.

        Args:
            prompt: the text; a template where `inputs` or `over` are given.
            llms: ids, as a list or with commas; globs such as `sim/*`, settings behind a `?`.
            **given: those of `ask`, and `samples` (how often each is asked), `over` (a DataFrame
                or a list of dictionaries: a case per row, its columns fill the holes), `vary`
                (settings by name, such as `{"temperature": [0, 1]}`), `reference` (a column of
                `over`, or a text), `scorer` (how answers are compared with it; see `score`),
                `judge` (LLMs that score the answers, `auto` for one of another family; see
                `judge`) with `rubric`, `pairwise` and `judgements` (of each judge), `task_type`
                and `learn`.

        Raises:
            RunFailed: no call brought an answer.
            RunPaused: interrupted, or stopped by the budget; finished answers are kept.
            UnknownName: no such LLM or option.
        """
        background = given.pop("background", False)
        asked = options.read(prompt, llms, given)
        batch = self._batch("compare", asked)
        if background:
            handle: Comparison = _pending(batch, self._whole(batch, asked))
            return handle
        result = self._checked(self._mine(self.wait(_compared(batch), batch)), asked)
        if asked.judge is None:
            return result
        judged: Comparison = self.judge(result, asked.judge, **self._judging(result, asked))
        return judged

    async def acompare(self, prompt: str, llms: str | Iterable[str], **given: Any) -> Comparison:
        """Compare, from code that has an event loop of its own; see `compare`."""
        asked = options.read(prompt, llms, given)
        result = self._mine(await _loop.arun(_compared(self._batch("compare", asked))))
        result = await asyncio.to_thread(self._checked, result, asked)
        if asked.judge is None:
            return result
        judged: Comparison = await self.ajudge(result, asked.judge, **self._judging(result, asked))
        return judged

    async def _answered(self, batch: Batch, given: dict[str, Any]) -> Result:
        """Ask on the engine's own loop."""
        return self._said(self._mine(await _answer(batch)), given)

    async def _whole(self, batch: Batch, asked: Options) -> Comparison:
        """Compare on the engine's own loop; scores and judges are waited for in a thread."""
        compared = self._mine(await _compared(batch))
        result = await asyncio.to_thread(self._checked, compared, asked)
        if asked.judge is None:
            return result
        judging = self._judging(result, asked)
        judged: Comparison = await asyncio.to_thread(self.judge, result, asked.judge, **judging)
        return judged

    @property
    def chats(self) -> Chats:
        """The conversations of this store; see `chat` of `ask`."""
        return Chats(self.store)

    def _said(self, result: Result, given: dict[str, Any]) -> Result:
        """Make an answer a turn of the conversation that it was asked in, if it was."""
        if given.get("chat"):
            self.chats.add(given["chat"], result.rows[0])
            result.chat = given["chat"]
        return result

    def _mine(self, result: R) -> R:
        """Return a result that knows its workspace."""
        result.home = self
        return result

    def _checked(self, result: Comparison, asked: Options) -> Comparison:
        """Return a comparison scored by the scorer that was named, if one was."""
        if asked.scorer is None:
            return result
        scored: Comparison = self.score(
            result, asked.scorer, task_type=asked.task_type, learn=asked.learn
        )
        return scored

    def _judging(self, result: Comparison, asked: Options) -> dict[str, Any]:
        """Return how a comparison is judged, with what its budget leaves."""
        return {
            "rubric": asked.rubric or DEFAULT_RUBRIC,
            "pairwise": asked.pairwise,
            "samples": asked.judgements,
            "budget_usd": rest_of(asked.budget_usd, (*result.rows, *result.earlier)),
            "fresh": asked.fresh,
            "replay": asked.replay,
            "task_type": asked.task_type,
            "learn": asked.learn,
        }

    def _ask_batch(self, prompt: str, llm: str | None, given: dict[str, Any]) -> Batch:
        for name in ("over", "samples", "vary", "judge", "rubric", "scorer"):
            if given.get(name) is not None:
                raise UsageProblem(f"ask does not take {name}.", hint="Use compare.")
        earlier = self._talking.get(given.get("chat") or "")
        if earlier is not None and not earlier.is_done:
            raise UsageProblem(
                f"The question before this one in chat {given['chat']!r} has no answer yet: run "
                f"{earlier.id} is in the background.",
                hint=f"Wait for it with {earlier.name}.wait(), then ask.",
            )
        chosen = self.settings.engine.default_llm if llm is None else llm
        return self._batch("ask", options.read(prompt, chosen, given))

    def _batch(self, verb: str, asked: Options) -> Batch:
        if asked.scorer is not None:
            scorer_of(asked.scorer)
            if asked.reference is None:
                raise UsageProblem("scorer needs something to compare with.", hint=_REFERENCE)
        catalog = self.llms(replay=asked.replay)
        if asked.judge not in {None, "auto"}:
            catalog.choose(asked.judge or "")
        elif asked.judge is None and (asked.rubric or asked.pairwise):
            raise UsageProblem("Nobody judges.", hint="Give judge=, an LLM's id or auto.")
        chosen = catalog.choose(asked.llms)
        if verb == "ask" and len(chosen) > 1:
            raise UsageProblem(
                f"ask takes one LLM, not {len(chosen)}.", hint="Use compare for several."
            )
        templated = asked.over is not None or asked.inputs is not None
        cells = grid.expand(
            asked.prompt,
            chosen,
            catalog.llm,
            cases=grid.cases_of(asked.over) if asked.over is not None else [grid.Case("", {})],
            around={} if asked.inputs is None else asked.inputs,
            fill_holes=templated and not asked.raw,
            settings=grid.variants(asked.vary),
            samples=asked.samples,
            system=asked.system,
            reference=asked.reference,
            params=asked.params,
            images=asked.images,
            schema=asked.output,
            history=self.chats.context(asked.chat) if asked.chat else (),
        )
        batch = Batch(
            verb,
            asked.prompt,
            cells,
            fresh=asked.fresh and not catalog.replay,
            replay=catalog.replay,
            budget_usd=asked.budget_usd,
            store=self.store,
            settings=self.settings.engine,
            price_of=catalog.price,
            above=self.budgets,
            schema=asked.output,
            scored=asked.scorer is None,
            watched=self.watched,
        )
        self.progress = batch.progress
        return batch


def _pending(batch: Batch, work: Coroutine[Any, Any, R]) -> Any:
    """Begin a batch in the background."""
    outcome, stop = _loop.engine_loop().submit(work)
    return Pending(lambda: batch.run.run_id, batch.progress, outcome, stop)


async def _answer(batch: Batch) -> Result:
    """Execute, and raise the error of a single call that failed."""
    result = await batch.execute(Result)
    row = result.rows[0]
    if row.state != "answered":
        kind = getattr(errors, row.error_kind, errors.LLMError)
        raise kind(row.error, llm=row.llm, hint=row.error_hint, billed=row.billed)
    return result


async def _compared(batch: Batch) -> Comparison:
    """Execute, and raise if no call at all brought an answer."""
    result = await batch.execute(Comparison)
    if all(row.state != "answered" for row in result.rows):
        said = sorted({f"{row.llm}: {row.error}" for row in result.rows})
        raise RunFailed(
            f"None of {len(result.rows)} calls brought an answer. {' '.join(said[:4])}",
            hint=next((row.error_hint for row in result.rows if row.error_hint), ""),
            run_id=result.id,
            result=result,
        )
    return result
