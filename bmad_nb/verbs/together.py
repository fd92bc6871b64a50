"""The verbs in which several LLMs work on one question: consensus, ensemble, review and others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bmad_nb.errors import UsageProblem
from bmad_nb.planner import Wishes
from bmad_nb.scorers.judge import DEFAULT_RUBRIC
from bmad_nb.verbs.asking import cases_option, model_option, question_of, read_cases_of, schema_of
from bmad_nb.verbs.base import (
    Front,
    bound,
    json_option,
    out_option,
    pair,
    param_option,
    replay_option,
    shown,
)
from bmad_nb.verbs.running import gone
from bmad_nb.verbs.wishes import Options, background_option, show_progress_option

F = TypeVar("F", bound=Callable[..., Any])

_METHODS = ("majority", "weighted", "rank", "medoid", "judge", "synthesis")


def _option(*names: str, **more: Any) -> Callable[[F], F]:
    return click.option(*names, **more)


n_option = _option("-n", "n", type=click.IntRange(1, 100), help="how many answers")
method_option = _option(
    "--method", type=click.Choice(_METHODS), help="how several answers become one"
)
threshold_option = _option(
    "--threshold", type=click.FloatRange(0, 1), help="share of the vote, or score, that is enough"
)
quorum_option = _option("--quorum", type=click.IntRange(1), help="least answers; else no result")
rounds_option = _option("--rounds", type=click.IntRange(1, 20), help="most rounds")
judge_option = _option("--judge", metavar="RUBRIC", help="what a good answer is; an LLM scores")
judge_llm_option = _option("--judge-llm", metavar="ID", help="who judges")
disagree_option = _option(
    "--on-disagree", type=click.Choice(["best", "judge", "human", "fail"]), help="without agreement"
)
field_option = _option("--field", metavar="NAME", help="field of the output that is voted on")
weights_option = _option("--weight", "weights", multiple=True, metavar="ID=W", help="of a vote")
early_option = _option("--stop-early", is_flag=True, help="ask no more than can change the result")
expert_option = _option(
    "--expert", "experts", multiple=True, metavar="NAME[@LLM]=ROLE", help="whom to ask besides"
)
strong_option = _option("--strong", metavar="ID", help="who is asked where cheap ones disagree")
synthesizer_option = _option("--synthesizer", metavar="ID", help="who merges the answers")
until_option = _option("--until", metavar="EXPR", help="such as 'score >= 0.9'")
max_option = _option("--max", "max", type=click.IntRange(1), help="most drafts")
success_option = _option("--min-success", type=click.FloatRange(0, 1), help="share to be done")

_VOTING = (
    method_option, threshold_option, quorum_option, rounds_option, judge_option, judge_llm_option,
    disagree_option, field_option, weights_option, early_option,
)  # fmt: skip
VERBS: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "vote": ("vote", "Let several LLMs answer, and take what most of them say.",
             (n_option, *_VOTING)),
    "consensus": ("consensus", "Let several LLMs answer, see each other's answers, and agree.",
                  (n_option, *_VOTING)),
    "best-of": ("best_of_n", "Take the best of several answers, by the score of a judge.",
                (n_option, threshold_option, judge_option, judge_llm_option)),
    "ensemble": ("ensemble", "Merge the answers of several LLMs, and say whose were used.",
                 (n_option, method_option, quorum_option, synthesizer_option, judge_option,
                  judge_llm_option)),
    "review": ("peer_review", "Let other LLMs review the first one's answer, and it revise.",
               (n_option, rounds_option)),
    "consult": ("expert", "Ask experts, and let the first LLM answer with what they say.",
                (expert_option,)),
    "debate": ("debate", "Let LLMs argue about each other's answers, and judge the end.",
               (n_option, *_VOTING)),
    "cascade": ("cascade", "Ask cheap LLMs, and the strong one where they do not agree.",
                (strong_option, threshold_option)),
    "refine": ("refine", "Draft, judge and draft again until it is good.",
               (until_option, max_option, judge_option, judge_llm_option)),
    "map": ("map", "Ask one LLM about each case of a table; ended cases are kept.",
            (cases_option, success_option)),
}  # fmt: skip
"""The kind of each verb, what it does, and the options that only some have."""


def _command(verb: str) -> click.Command:
    """Return the command of one verb."""
    kind, said, own = VERBS[verb]

    def run(front: Front, /, prompt: tuple[str, ...], **options: Any) -> Any:
        return _together(front, kind, prompt, options)

    run.__doc__ = said
    command: Any = click.pass_obj(run)
    shared = (
        model_option, *own, param_option,
        _option("--budget", metavar="USD", help="hard limit on what this run may cost"),
        _option("--system", metavar="TEXT", help="system message"),
        _option("--schema", metavar="FILE|JSON", help="JSON Schema, or {field: type}"),
        _option("--temperature", type=float, help="0 repeats itself, higher varies"),
        _option("--max-tokens", type=int, help="most tokens of an answer"),
        _option("--raw", is_flag=True, help="leave {{ }} in the prompt as it is"),
        _option("--new", is_flag=True, help="begin anew, though an equal run was stopped"),
        _option("--dry-run", is_flag=True, help="show the plan and what it costs; nobody is asked"),
        replay_option, out_option, json_option, show_progress_option, background_option,
        click.argument("prompt", nargs=-1),
    )  # fmt: skip
    for option in reversed(shared):
        command = option(command)
    made: click.Command = click.command(verb)(command)
    return made


def _together(front: Front, kind: str, prompt: tuple[str, ...], options: dict[str, Any]) -> Any:
    taken = ("out", "as_json", "budget", "replay", "show_progress", "new", "background")
    told = Options(**{name: options.pop(name) for name in taken})
    params = {
        name: value
        for name in ("temperature", "max_tokens")
        if (value := options.pop(name)) is not None
    }
    inputs = {**front.names, **dict(pair(text) for text in options.pop("params"))}
    raw, dry_run = options.pop("raw"), options.pop("dry_run")
    models = ",".join(options.pop("models"))
    given = {
        "system": options.pop("system"),
        "output": schema_of(options.pop("schema")),
        "over": read_cases_of(front, options.pop("over", None)),
        **({"params": params} if params else {}),
        **_parts(kind, {k: v for k, v in options.items() if v not in (None, (), False)}),
    }
    space, text = front.workspace, question_of(front, prompt)
    given["inputs"] = None if raw else inputs
    if dry_run:
        flow, values = space.question(text, kind, models, replay=told.replay, **given)
        plan = space.planned(flow, Wishes(values), replay=told.replay)
        planned = space.shown(flow, plan, command="", inputs=values)
        return shown(bound(front, planned, told.out), as_json=told.as_json)
    execution = space.collaboration(
        text, kind, models, budget_usd=told.budget, resume="never" if told.new else "auto",
        replay=told.replay, background=told.background, **given,
    )  # fmt: skip
    return gone(front, execution, told)


def _parts(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return options as keys of the workflow format."""
    rubric, judge_llm = options.pop("judge", None), options.pop("judge_llm", None)
    if rubric or judge_llm:
        judge = {"rubric": rubric or DEFAULT_RUBRIC}
        options["judge"] = judge | ({"route": judge_llm} if judge_llm else {})
    if "weights" in options:
        options["weights"] = dict(_weight(each) for each in options["weights"])
        options.setdefault("method", "weighted")
    if "experts" in options:
        options["experts"] = dict(_expert(each) for each in options["experts"])
    elif kind == "expert":
        raise UsageProblem("There is no expert.", hint='Write --expert "law=a lawyer".')
    return options


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    try:
        if name.strip():
            return name.strip(), float(value)
    except ValueError:
        pass
    raise UsageProblem(f"--weight cannot be {text!r}.", hint="Write --weight ID=2.")


def _expert(text: str) -> tuple[str, dict[str, Any]]:
    name, equals, role = text.partition("=")
    name, at, llm = name.partition("@")
    if not (name.strip() and equals):
        raise UsageProblem(
            f"--expert cannot be {text!r}.", hint='Write --expert "law@ID=a lawyer"; @ID may lack.'
        )
    return name.strip(), {"role": role.strip()} | ({"route": llm.strip()} if at else {})


COMMANDS = tuple(_command(verb) for verb in VERBS)
"""The commands of this family."""
