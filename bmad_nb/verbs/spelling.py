"""`--python` and `--cli`: what a line of words is in Python and in a shell.

The shell form is spelled from what click made of the words. The Python form is what the verb itself
calls: it is run with a workspace that says which method was called instead of doing it, so that
the two cannot drift apart. Nothing is asked and nothing is stored.
"""

from __future__ import annotations

import contextlib
import keyword
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from bmad_nb.errors import TemplateError, UsageProblem
from bmad_nb.prompts import as_text, holes
from bmad_nb.results import Result, Text
from bmad_nb.runs.run import Run
from bmad_nb.verbs.base import Front
from bmad_nb.workflow.model import Workflow

Language = Literal["python", "cli"]
_CALLED = {
    "ask": "ask", "compare": "compare", "judge": "judge", "rate": "rate", "pick": "pick",
    "collaboration": "collaborate", "collaborate": "collaborate", "prepared": "run",
    "planned": "plan", "question": "question", "resumption": "resume", "pause": "pause",
    "cancel": "cancel", "approve": "approve", "fork": "fork", "runs": "runs", "spent": "spent",
    "run_of": "run_of", "improve": "improve", "build": "build",
}  # fmt: skip
"""Methods of the workspace that a verb ends in, and the public ones that do the same."""
_TEMPLATES = ("system", "reference")
_EMPTY = (str, tuple, list, dict)
_DEFAULTS = {"resume": "auto", "samples": 1, "learn": True}


class _Called(Exception):
    """The call in which a verb ends."""

    def __init__(self, method: str, args: Sequence[Any], given: Mapping[str, Any]) -> None:
        self.method, self.args, self.given = method, tuple(args), dict(given)


class _Recorder:
    """A workspace that says what it would do; what only looks at things works as ever."""

    def __init__(self, space: Any, *, looks: bool) -> None:
        self._space, self._looks = space, looks

    def __getattr__(self, name: str) -> Any:
        if name not in _CALLED or (name == "run_of" and self._looks):
            return getattr(self._space, name)

        def called(*args: Any, **given: Any) -> NoReturn:
            raise _Called(name, args, given)

        return called


def asked_for(words: Sequence[str]) -> tuple[Language | None, list[str]]:
    """Return which spelling is asked for, if one is, and the words without it."""
    found: Language | None = None
    rest: list[str] = []
    for n, word in enumerate(words):
        if word == "--":
            return found, [*rest, *words[n:]]
        if word in {"--python", "--cli"}:
            found = "python" if word == "--python" else "cli"
        else:
            rest.append(word)
    return found, rest


def spelled(
    front: Front,
    language: Language,
    verb: Sequence[str],
    context: click.Context,
    run: Callable[[Front], Any],
) -> Text:
    """Return the equivalent of a line, to be copied.

    Args:
        front: where it was typed.
        language: `python` or `cli`.
        verb: its words.
        context: click's reading of what stands behind them.
        run: does the verb on a front.

    Raises:
        UsageProblem: the verb has no such form.
    """
    if language == "cli":
        return Text(_shell(front, verb, context))
    name = " ".join(verb)
    if name in _WRITTEN:
        return Text(_script(_WRITTEN[name](front, context.params), context.params.get("out")))
    recording = Front(
        _Recorder(front.workspace, looks=name in {"judge", "rate"}), front.kind,  # type: ignore[arg-type]
        body=front.body, names=front.names, say=lambda _: None, defaults=front.defaults,
    )  # fmt: skip
    try:
        run(recording)
    except _Called as called:
        return Text(_script(_call(front, called, context.params), context.params.get("out")))
    raise UsageProblem(f"{name} has no Python form.", hint="It is about this machine; see --cli.")


_IMPORTS = {
    "bmad_nb": "import bmad_nb",
    "parse": "from bmad_nb import parse",
    "checks": "from bmad_nb.verbs import checks",
    "probing": "from bmad_nb.verbs import probing",
}


def _script(call: str, out: str | None) -> str:
    """Return lines that run by themselves, in the workspace that the cells use."""
    head = "from bmad_nb.workspace import default_workspace\n\nws = default_workspace()"
    imports = [line for name, line in _IMPORTS.items() if f"{name}." in call]
    return "\n".join([*imports, head, f"{out} = {call}" if out else call])


# --- Python -----------------------------------------------------------------------------------


def _call(front: Front, called: _Called, params: Mapping[str, Any]) -> str:
    args, given = list(called.args), dict(called.given)
    if called.method in {"prepared", "planned"}:
        args, given = _run_arguments(front, args, given, params)
    if called.method == "build" and isinstance(front.names.get(params["definition"]), Workflow):
        args = [front.names[params["definition"]]]
    if isinstance(given.get("inputs"), Mapping) and called.method in {
        "ask", "compare", "collaboration", "question",
    }:  # fmt: skip
        texts = [args[0], *(given.get(each) for each in _TEMPLATES)]
        given["inputs"] = {} if given.get("raw") else _needed(texts, given)
        if "raw" in given and not given["raw"]:
            del given["raw"]
    shown = [_value(front, each) for each in _trimmed(args)]
    said = {name: each for name, each in given.items() if not _is_nothing(each, name)}
    shown += [f"{name}={_value(front, each)}" for name, each in said.items()]
    one = f"ws.{_CALLED[called.method]}({', '.join(shown)})"
    if len(one) <= 96 and "\n" not in one:
        return one
    return f"ws.{_CALLED[called.method]}(\n" + "".join(f"    {each},\n" for each in shown) + ")"


def _is_nothing(value: Any, name: str = "") -> bool:
    """Return whether a value, of an argument of this name, says no more than leaving it out."""
    if isinstance(value, str | int) and name in _DEFAULTS and _DEFAULTS[name] == value:
        return True
    return value is None or value is False or (isinstance(value, _EMPTY) and not value)


def _trimmed(args: Sequence[Any]) -> list[Any]:
    """Return positional arguments without those at the end that say nothing."""
    found = list(args)
    while found and _is_nothing(found[-1]):
        found.pop()
    return found


def _run_arguments(
    front: Front, args: Sequence[Any], given: Mapping[str, Any], params: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of `Workspace.run` or `plan` for those of their inner halves."""
    flow, wishes, *rest = args
    name = params.get("definition", "")
    held = front.names.get(name)
    target: Any = held if isinstance(held, Workflow) else name or flow
    found: dict[str, Any] = {
        "inputs": dict(wishes.inputs), "llms": dict(wishes.llms), "strategy": wishes.strategy,
        "allow_python": wishes.allow_python, "replay": given.get("replay"),
        "background": params.get("background"),
    }  # fmt: skip
    if rest:
        found |= {"budget_usd": rest[0], "resume": rest[1] if rest[1] != "auto" else None}
    return [target], found


def _needed(texts: Iterable[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that templates read."""
    inputs = given["inputs"]
    return {name: inputs[name] for name in _holes(texts) if name in inputs}


def _holes(texts: Iterable[Any]) -> list[str]:
    found: dict[str, None] = {}
    for text in texts:
        if isinstance(text, str):
            with contextlib.suppress(TemplateError):
                found |= dict.fromkeys(sorted(holes(text)))
    return list(found)


def _value(front: Front, value: Any) -> str:
    """Return an expression for a value: a variable that holds it, or its literal.

    Raises:
        UsageProblem: it has neither.
    """
    if isinstance(value, Mapping):
        pairs = (f"{_literal(k)}: {_value(front, v)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, str | int | float | bool | Decimal | Path | None):
        named = _name_of(front, value) if isinstance(value, str) and len(value) > 40 else None
        return named or _literal(value)
    named = _name_of(front, value)
    if named:
        return named
    if isinstance(value, Result | Run):
        return f"ws.run_of({value.id!r})"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(front, each) for each in value) + "]"
    if isinstance(value, Workflow):
        return repr(value.id)
    raise UsageProblem(
        f"A {type(value).__name__} has no literal.", hint="Give it a name in the notebook first."
    )


def _name_of(front: Front, value: Any) -> str | None:
    """Return the variable that holds this very object, if one does."""
    for name, held in front.names.items():
        usable = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
        if held is value and usable:
            return name
    return None


def _literal(value: Any) -> str:
    if isinstance(value, Decimal):
        return repr(f"{value:f}")
    if isinstance(value, Path):
        return repr(str(value))
    if isinstance(value, str) and "\n" in value and not _is_awkward(value):
        return f'"""{value}"""'
    return repr(value)


def _is_awkward(text: str) -> bool:
    """Return whether a text would read otherwise between three quotes."""
    return (
        "\\" in text
        or '"""' in text
        or text.endswith('"')
        or not text.replace("\n", "").isprintable()
    )


def _show(front: Front, params: Mapping[str, Any]) -> str:
    parts = [_stored(front, params["run_id"])]
    where = [repr(params["models"])] if params["models"] else []
    where += [f"{name}={params[name]!r}" for name in ("text", "only") if params[name]]
    parts += [f"where({', '.join(where)})"] if where else []
    parts += [f"sorted({params['sort']!r})"] if params["sort"] else []
    parts += [f"from_baseline({params['baseline']!r})"] if params["baseline"] else []
    return ".".join(parts)


def _stored(front: Front, name: str) -> str:
    return name if isinstance(front.names.get(name), Result | Run) else f"ws.run_of({name!r})"


def _diff(front: Front, params: Mapping[str, Any]) -> str:
    old, new = (_stored(front, params[name]) for name in ("before", "now"))
    return f"{new}.against({old})"


def _learned(_: Front, params: Mapping[str, Any]) -> str:
    if params["rollback"] is not None:
        return f"ws.learned.rollback({params['rollback']})"
    return "ws.learned" if params["at"] is None else f"ws.learned.at({params['at']})"


def _chat(_: Front, params: Mapping[str, Any]) -> str:
    name = params["name"]
    if params["clear"]:
        return f"ws.chats.clear({name!r})"
    if params["drop"]:
        return "\n".join(f"ws.chats.drop({name!r}, {number})" for number in params["drop"])
    return f"ws.chats.turns({name!r})" if name else "ws.chats.names()"


_WRITTEN: dict[str, Callable[[Front, Mapping[str, Any]], str]] = {
    "show": _show, "diff": _diff, "learned": _learned, "chat": _chat,
    "runs": lambda _, params: f"ws.runs().head({params['limit']})",
    "models": lambda *_: "checks.models(ws)",
    "models list": lambda _, params: f"checks.models(ws, {params['pattern']!r})",
    "models check": lambda _, params: f"probing.check(ws, {list(params['names'])!r})",
    "doctor": lambda *_: "checks.doctor(ws)",
    "workflow validate": lambda _, params: "\n".join(
        f"bmad_nb.load({each!r})" for each in params["files"]
    ),
    "workflow define": lambda front, params: (
        f"ws.define(parse.loads({_literal(front.body or '')}, workflow_id={params['name']!r}))"
    ),
}  # fmt: skip
"""Verbs that are more than one call, written out."""


# --- the shell --------------------------------------------------------------------------------


def _shell(front: Front, verb: Sequence[str], context: click.Context) -> str:
    words, first = ["bmad", *verb], []
    params, tail = context.params, []
    for param in context.command.params:
        value = params.get(param.name or "")
        source = context.get_parameter_source(param.name or "")
        typed = source in _SAID
        if isinstance(param, click.Option):
            if not typed or param.name in {"out", "background"}:
                continue
            if param.name == "params" and front.body:
                continue
            if param.name == "over" and value in front.names:
                first.append(_saved(str(value)))
                value = f"{value}.jsonl"
            words += _option(param, value)
        elif not _is_nothing(value):
            tail += [str(each) for each in (value if isinstance(value, tuple) else (value,))]
    if front.body is None:
        first += [_filed(each) for each in tail if isinstance(front.names.get(each), Workflow)]
        tail = [_outside(front, each) for each in tail]
    if "prompt" in params:
        tail = [front.body.strip("\n")] if front.body is not None else [" ".join(params["prompt"])]
        words += _inputs(front, params, [*tail, *(params.get(each) for each in _TEMPLATES)])
    elif front.body is not None:
        first.append(_BODY)
    tail = ["--", *tail] if any(each.startswith("-") for each in tail) else tail
    behind = " &" if params.get("background") else ""  # where a shell goes on at once
    return "\n".join([*first, shlex.join([*words, *tail]) + behind])


def _outside(front: Front, word: str) -> str:
    """Return what says outside of the notebook what a variable of it holds."""
    held = front.names.get(word)
    if isinstance(held, Result | Run):
        return str(held.id)
    return f"{word}.yaml" if isinstance(held, Workflow) else word


def _filed(name: str) -> str:
    call = f"pathlib.Path('{name}.yaml').write_text({name}.to_yaml(), 'utf-8')"
    return f"# first, in Python: import pathlib; {call}"


_SAID = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.DEFAULT_MAP)
_BODY = (
    "# the text below the line of the magic goes into a file first, and its name behind the verb"
)


def _saved(name: str) -> str:
    return (
        f"# first, in Python: pd.DataFrame({name}).to_json('{name}.jsonl', orient='records', "
        "lines=True)"
    )


def _option(param: click.Option, value: Any) -> Iterator[str]:
    name = max(param.opts, key=len)
    if param.is_flag:
        yield name
        return
    for each in value if param.multiple else (value,):
        yield from (name, str(each)) if not str(each).startswith("-") else (f"{name}={each}",)


def _inputs(front: Front, params: Mapping[str, Any], texts: Sequence[Any]) -> list[str]:
    """Return `-p name=value` for the variables that the templates read."""
    given = dict(each.partition("=")[::2] for each in params.get("params", ()))
    words = [word for n, v in given.items() for word in ("-p", f"{n}={v}")] if front.body else []
    if params.get("raw"):
        return words
    over = front.names.get(params.get("over") or "")
    columns = set(getattr(over, "columns", ())) or {n for row in over or () for n in row}
    for name in _holes(texts):
        if name in front.names and name not in given and name not in columns:
            words += ["-p", f"{name}={as_text(front.names[name])}"]
    return words
