"""One question to several LLMs together, as a workflow of one task: what cells and Python ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from bmad_nb import grid, parse, prompts
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.llms.catalog import Choice
from bmad_nb.messages import variant_name
from bmad_nb.planner import Wishes
from bmad_nb.running import Running
from bmad_nb.runs.execution import Execution
from bmad_nb.runs.run import Run
from bmad_nb.workflow.model import Workflow

KINDS = (
    "vote", "consensus", "best_of_n", "ensemble", "peer_review", "expert", "debate", "cascade",
    "refine", "map",
)  # fmt: skip
"""Ways in which several LLMs, or one several times, work on a question."""
_VERBS = {"best-of": "best_of_n", "review": "peer_review", "consult": "expert"}
"""What cells call some of them."""
TASK = "answer"
"""The one task of such a workflow."""
_AROUND = ("checks", "retry", "timeout", "params", "fallback", "limits", "route")
"""Keys of a task that may be given beside those of the collaboration."""


class Together(Running):
    """The part of a workspace in which several LLMs work on one question."""

    def collaborate(
        self,
        prompt: str,
        kind: str = "consensus",
        llms: str | Iterable[str] = (),
        *,
        inputs: Mapping[str, Any] | None = None,
        system: str | None = None,
        output: Mapping[str, Any] | None = None,
        over: Any = None,
        budget_usd: float | str | Decimal | None = None,
        resume: str = "auto",
        replay: bool = False,
        background: bool = False,
        **options: Any,
    ) -> Run:
        """Let several LLMs work on one question together, and return the run.

        `run.outputs["answer"]` is the answer, `run.members` a row for each LLM. A workflow does the
        same with `collaborate:`.

        Args:
            prompt: the question; a template where `inputs` are given.
            kind: `vote`, `consensus`, `best_of_n`, `ensemble`, `peer_review` (the first LLM is the
                author), `expert`, `debate`, `cascade`, `refine` or `map`.
            llms: ids, as a list or with commas; those that can be asked here if empty.
            inputs: values for the holes of the prompt.
            system: system message.
            output: a JSON Schema or `{field: type}` that answers must match.
            over: for `map`, a DataFrame or a list of dictionaries: a case per row.
            budget_usd: hard limit in US dollars.
            resume: as in `run`.
            replay: as in `run`.
            background: as in `run`: return at once; `run.wait()` or `await run` waits for the end.
            **options: keys of `collaborate:` (`n`, `method`, `threshold`, `quorum`, `rounds`,
                `judge`, `experts`, `strong`, `weights`, ...) or of `refine:` (`until`, `judge`,
                `max`, ...), and `checks`, `params`, `retry`, `timeout`, `fallback`, `limits`.

        Raises:
            DefinitionError: an option is unknown or wrong.
            NotRunnable: something is missing, such as a key or a second LLM.
            RunFailed: no result, such as too few answers.
            RunPaused: interrupted, stopped by a limit, or a person is to decide.
        """
        execution = self.collaboration(
            prompt, kind, llms, inputs=inputs, system=system, output=output, over=over,
            budget_usd=budget_usd, resume=resume, replay=replay, background=background, **options,
        )  # fmt: skip
        return self.alone(execution) if background else self.go(execution)

    def collaboration(
        self,
        prompt: str,
        kind: str,
        llms: str | Iterable[str] = (),
        *,
        inputs: Mapping[str, Any] | None = None,
        budget_usd: float | str | Decimal | None = None,
        resume: str = "auto",
        replay: bool = False,
        background: bool = False,
        **given: Any,
    ) -> Execution:
        """Return how `collaborate` would run; nothing is asked."""
        flow, values = self.question(prompt, kind, llms, inputs=inputs, replay=replay, **given)
        wishes = Wishes(values)
        return self.prepared(flow, wishes, budget_usd, resume, replay=replay, alone=background)

    def question(
        self,
        prompt: str,
        kind: str,
        llms: str | Iterable[str] = (),
        *,
        replay: bool = False,
        **given: Any,
    ) -> tuple[Workflow, dict[str, Any]]:
        """Return the workflow that `collaborate` runs, and its inputs; for `plan`, for example."""
        kind = _VERBS.get(kind, kind)
        if kind not in {"map", "refine"}:
            llms = self._each(llms, replay=replay)
        flow, values = flow_of(prompt, kind, llms, **given)
        parse.check(flow)
        return flow, values

    def _each(self, llms: str | Iterable[str], *, replay: bool) -> list[str]:
        """Return ids with globs spelled out: whoever a glob names is a member."""
        found: list[str] = []
        for name in _names(llms):
            chosen = self.llms(replay=replay).choose(name) if "*" in name else ()
            found += [_spelled(each) for each in chosen] or [name]
        return found


def flow_of(
    prompt: str,
    kind: str,
    llms: str | Iterable[str] = (),
    *,
    inputs: Mapping[str, Any] | None = None,
    system: str | None = None,
    output: Mapping[str, Any] | None = None,
    over: Any = None,
    **options: Any,
) -> tuple[Workflow, dict[str, Any]]:
    """Return a question to several LLMs as a workflow, and the values of its inputs.

    Args: those of `Together.collaborate`.

    Raises:
        UsageProblem: an argument that does not fit the kind.
        UnknownName: there is no such kind.
        TemplateError: the prompt cannot be filled.
        DefinitionError: an option is unknown or wrong.
    """
    if kind not in KINDS:
        raise UnknownName("kind of collaboration", kind, KINDS)
    if not isinstance(prompt, str) or not prompt.strip():
        raise UsageProblem("There is no question.", hint="Write it as the prompt.")
    names = _names(llms)
    task: dict[str, Any] = {key: options.pop(key) for key in _AROUND if key in options}
    if system is not None:
        task["system"] = "{{ system }}"
    if output is not None:
        task["output"] = dict(output)
    values: dict[str, Any] = {} if system is None else {"system": system}
    declared: dict[str, Any] = {} if system is None else {"system": "text"}
    if kind == "map":
        values["questions"] = _questions(prompt, inputs or {}, over)
        declared["questions"] = "list"
    else:
        if over is not None:
            raise UsageProblem(f"{kind} takes one question.", hint="Only map takes over=.")
        values["question"] = prompt if inputs is None else prompts.fill(prompt, inputs)
        declared["question"] = "text"
    task["prompt"] = "{{ question }}"
    task |= _how(kind, names, options)
    flow_id = kind.replace("_", "-")
    return Workflow(flow_id, inputs=declared, tasks={TASK: task},
                    outputs={TASK: f"{TASK}.output"}), values  # fmt: skip


def _how(kind: str, names: list[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a task that say how several LLMs work on it."""
    first: dict[str, Any] = {"llm": names} if names else {}
    match kind:
        case "map":
            return {**first, "map": {"over": "questions", "as": "question", **options}}
        case "refine":
            return {**first, "refine": {"until": "score >= 0.8", **options}}
        case "expert":
            if len(names) > 1:
                hint = "Experts have LLMs of their own: NAME@LLM=ROLE."
                raise UsageProblem("One LLM writes the answer.", hint=hint)
            return {**first, "collaborate": {"type": kind, **options}}
    members = {"models": names} if names else {}
    return {"collaborate": {"type": kind, **options, **members}}


def _spelled(choice: Choice) -> str:
    variant = variant_name(dict(choice.params))
    return f"{choice.llm_id}?{variant}" if variant else choice.llm_id


def _names(llms: Any) -> list[str]:
    """Return ids of LLMs.

    Raises:
        UsageProblem: they are neither a text nor a list of texts.
    """
    listed = llms.split(",") if isinstance(llms, str) else llms
    if listed is None:
        return []
    found: list[Any] = [*listed] if isinstance(listed, Iterable) else [None]
    if not all(isinstance(each, str) for each in found):
        raise UsageProblem("llms takes ids: a text with commas, or a list of texts.")
    return [x.strip() for x in found if x.strip()]


def _questions(prompt: str, inputs: Mapping[str, Any], over: Any) -> list[str]:
    if over is None:
        raise UsageProblem("map needs cases.", hint="Give over=, a DataFrame or a list.")
    return [prompts.fill(prompt, {**inputs, **case.values}) for case in grid.cases_of(over)]
