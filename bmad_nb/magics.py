"""`%bmad` and `%%bmad`: the notebook's face of the verbs. Loading it imports next to nothing."""

from __future__ import annotations

import ast
import itertools
import re
import time
import traceback
from typing import Any, Self

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from traitlets import Bool, Enum, TraitError, Unicode, observe, validate

_LINE = re.compile(r"^\s*(?:[\w.]+\s*=\s*)?%%?bmad\b(?P<rest>.*)$", re.DOTALL)
_ALONE = "run_line_magic('bmad;', '"
_HOLE = re.compile(r"\{\{\s*([A-Za-z_]\w*)?$")


@magics_class
class BmadMagics(Magics):
    """Work with several LLMs from a cell.

    `%%bmad ask -m local` above a prompt asks it; `%bmad --help` lists all verbs.
    """

    default_llm = Unicode("", help="LLM that is asked where none is named").tag(config=True)
    short_errors = Bool(True, help="show errors in a few lines; False with frames").tag(config=True)
    display = Enum(
        ("auto", "live", "static"), "auto",
        help="live views, static ones, or what the front end can (auto)",
    ).tag(config=True)  # fmt: skip
    budget = Unicode("", help="--budget where none is given, in US dollars").tag(config=True)

    def __init__(self, shell: Any) -> None:
        """Take what a configuration file of IPython says."""
        super().__init__(shell=shell, config=shell.config)
        self._error: Any = None

    @validate("budget")
    def _is_amount(self, proposal: Any) -> str:
        from bmad_nb.budget import parse_usd
        from bmad_nb.errors import BmadError

        try:
            return str(parse_usd(proposal["value"])) if proposal["value"] else ""
        except BmadError as error:
            raise TraitError(str(error)) from None

    @observe("display")
    def _show_so(self, change: Any) -> None:
        from bmad_nb.live.mode import choose

        choose(change["new"])

    @needs_local_scope
    @no_var_expand
    @line_cell_magic
    def bmad(self, line: str, cell: str | None = None, local_ns: Any = None) -> Any:
        """Work with several LLMs: ask, compare, and see what it cost.

        As a cell, the body is the prompt and {{ name }} is filled from your variables:

            %%bmad compare -m local,sim/careful -o r
            Summarise {{ text }} in two sentences.

        %%bmad workflow NAME above YAML defines a workflow, %bmad run NAME runs it.
        As a line: %bmad (status), %bmad models, %bmad runs, %bmad show RUN, %bmad cost.
        %bmad help lists the verbs, %bmad help compare has examples of one.
        --python and --cli print what a line is in Python and in a shell; --python --below
        puts it into a new cell below.
        The result is returned and, with -o NAME, bound: r.df has a row per call.
        A ; at the end of the line shows nothing. %config BmadMagics has settings.
        """
        from bmad_nb.errors import BmadError
        from bmad_nb.verbs.base import Front, Json
        from bmad_nb.verbs.tree import call
        from bmad_nb.verbs.words import split
        from bmad_nb.workspace import default_workspace

        shell: Any = self.shell
        names = _own_names(shell, {**shell.user_ns, **(local_ns or {})})
        words: list[str] = []
        # IPython's own way looks for the `;` in the body too, and takes a prompt for Python: on
        # 3.12 an apostrophe in it is an error, and code that ends in `;` would hide its answer.
        line, silent = _silenced(line)
        space = default_workspace()
        kind = "line" if cell is None else "cell"
        front = Front(
            space, kind, body=cell, names=names, say=print,  # type: ignore[arg-type]
            defaults={"budget": self.budget} if self.budget else {}, traceback=self._frames,
            display=lambda word: self.set_trait("display", word),
        )  # fmt: skip
        live = _Live(space, shell, front)
        try:
            if not is_live(shell):
                _refuse_secret_parameters(shell)
            space.prefer(self.default_llm)
            words, below = _below(split(line, names))
            with live:
                live.begin(silent=silent or "--json" in words)
                result = call(front, _alone(words, cell))
                live.end(result)
        except BmadError as error:
            self._error = error
            _keep_partial(shell, words, error)
            if not (is_live(shell) and self.short_errors):
                _show_whole(shell, error)
            raise
        shell.user_ns.update(front.bind)
        if silent or isinstance(result, int):
            return None
        if below:
            shell.set_next_input(str(result))
            return None
        if isinstance(result, Json):
            print(result)
            return None
        return result

    def _frames(self) -> str:
        """Return the last error with all its frames; empty where there was none."""
        if self._error is None:
            return ""
        return "".join(traceback.format_exception(self._error))


def _below(words: list[str]) -> tuple[list[str], bool]:
    """Return the words without `--below`, and whether the Python form gets a cell of its own."""
    if "--below" not in words or "--python" not in words or "--" in words:
        return words, False
    return [word for word in words if word != "--below"], True


def _alone(words: list[str], cell: str | None) -> list[str]:
    """Return the words of a verb where a line has none of its own."""
    if words == ["--traceback"]:
        return ["traceback"]
    return words or (["status"] if cell is None else ["--help"])


def is_live(shell: Any) -> bool:
    """Return whether a person sits before the kernel: papermill and nbclient allow no input."""
    kernel = getattr(shell, "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", True))


def _refuse_secret_parameters(shell: Any) -> None:
    """Refuse parameters that look like keys: papermill writes them into the notebook in clear.

    Raises:
        UsageProblem: one does; its value is not repeated.
    """
    from bmad_nb.errors import UsageProblem
    from bmad_nb.secrets import looks_secret

    for source in shell.user_ns.get("In", ()):
        if not source.lstrip().startswith("# Parameters"):  # the cell that papermill puts in
            continue
        for node in ast.walk(ast.parse(source)):
            names = [t.id for t in getattr(node, "targets", ()) if isinstance(t, ast.Name)]
            value = getattr(getattr(node, "value", None), "value", None)
            if names and value is not None and looks_secret(names[0], str(value)):
                raise UsageProblem(
                    f"The parameter {names[0]!r} looks like a key, and this notebook now holds it.",
                    hint="Delete the notebook that was written, and give a reference instead: "
                    'api_key = "env:NAME" in the settings.',
                )


def _show_whole(shell: Any, error: Any) -> None:
    """Let the error show its whole traceback: where nobody can ask again, all of it is kept."""

    def render() -> Any:
        parts = type(error), error, error.__traceback__
        return shell.InteractiveTB.structured_traceback(*parts, tb_offset=1)

    error._render_traceback_ = render


def _silenced(line: str) -> tuple[str, bool]:
    """Return the line without a `;` at its end, and whether there was one."""
    bare = line.rstrip()
    return (bare[:-1], True) if bare.endswith(";") else (line, False)


def silenced_alone(lines: list[str]) -> list[str]:
    """Return the lines of a cell with `%bmad ;` for `%bmad;`: IPython takes that `;` for the name.

    It sees what IPython made of a line magic, so no text of a cell is looked at.
    """
    return [line.replace(_ALONE, "run_line_magic('bmad', ';") for line in lines]


def _own_names(shell: Any, names: dict[str, Any]) -> dict[str, Any]:
    """Return the variables without those that IPython itself put there."""
    hidden = shell.user_ns_hidden
    return {n: v for n, v in names.items() if n not in hidden or hidden[n] is not v}


def _keep_partial(shell: Any, words: list[str], error: Any) -> None:
    """Bind `-o NAME` to what is finished when a run was stopped."""
    partial = getattr(error, "result", None)
    for flag, name in itertools.pairwise(words):
        if flag in {"-o", "--out"} and name.isidentifier() and partial is not None:
            partial.name = name
            shell.user_ns[name] = partial


def _ask_here(question: Any) -> Any:
    """Ask a person in the cell itself."""
    from bmad_nb.verbs.control import ask_here

    return ask_here(question)


class _Live:
    """What a cell with a person before it shows while it waits, and how it asks that person."""

    def __init__(self, space: Any, shell: Any, front: Any) -> None:
        self._space, self._shell, self._front = space, shell, front
        self._cell: Any = None

    def begin(self, *, silent: bool) -> None:
        """Listen to the workspace; nothing is imported before something takes its time."""
        if not is_live(self._shell):
            return
        from bmad_nb.live.mode import mode_of

        space = self._space
        if silent or mode_of(getattr(self._shell, "kernel", None)) == "static":
            space.on_question = _ask_here
            return
        space.watched, space.on_wait = True, self._tick
        space.on_question = self._asked
        self._front.hold = self._hold
        self._began = time.monotonic()

    def _tick(self, running: Any) -> None:
        if self._cell is None:
            if time.monotonic() - self._began < 0.3:
                return
            from bmad_nb.widgets.cell import LiveCell

            self._cell = LiveCell(self._space, lambda: self._shell.execution_count, _ask_here)
        self._cell.tick(running)

    def _asked(self, question: Any) -> Any:
        return None if self._cell is None else self._cell.question(question)

    def _hold(self, stopped: Any) -> bool:
        return self._cell is not None and bool(self._cell.hold(stopped))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Listen no more; of what was stopped, show what there is."""
        space = self._space
        space.on_wait = space.on_question = None
        space.watched = False
        self.end(getattr(error, "result", None))

    def end(self, result: Any) -> None:
        """Let what stays take the place of what was live."""
        cell, self._cell = self._cell, None
        if cell is not None:
            cell.freeze(result)


@context_matcher(identifier="bmad.magic")  # type: ignore[untyped-decorator]
def complete(context: Any) -> dict[str, Any]:
    """Complete verbs, options, LLM ids (in comma lists too) and names in `{{ }}`."""
    from bmad_nb.verbs import completion

    first, _, _ = context.full_text.partition("\n")
    found = _LINE.match(first)
    if found is None and not _LINE.match(context.line_with_cursor):
        return {"completions": []}
    before = context.line_with_cursor
    if context.cursor_line > 0 and first.lstrip().startswith("%%"):
        hole = _HOLE.search(before[: context.cursor_position])
        if hole is None:
            return {"completions": []}
        fragment = hole.group(1) or ""
        words = completion.variables(fragment, _namespace())
    else:
        match = _LINE.match(before[: context.cursor_position])
        if match is None:
            return {"completions": []}
        fragment, words = completion.complete(match.group("rest"), _namespace())
    return {
        "completions": [SimpleCompletion(text=word, type="bmad") for word in words],
        "matched_fragment": fragment,
        "suppress": bool(words),
        "ordered": True,
    }


def _namespace() -> dict[str, Any]:
    from IPython import get_ipython

    shell = get_ipython()
    return {} if shell is None else _own_names(shell, shell.user_ns)


def load(shell: Any) -> None:
    """Register the magic and its completion, once."""
    if not any(isinstance(each, BmadMagics) for each in shell.configurables):
        magics = BmadMagics(shell)
        shell.register_magics(magics)
        shell.configurables.append(magics)  # for %config
    matchers = shell.Completer.custom_matchers
    if complete not in matchers:
        matchers.append(complete)
    if silenced_alone not in shell.input_transformers_post:
        shell.input_transformers_post.append(silenced_alone)


def unload(shell: Any) -> None:
    """Take the magic and its completion away."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("bmad", None)
    shell.configurables[:] = [c for c in shell.configurables if not isinstance(c, BmadMagics)]
    if complete in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(complete)
    if silenced_alone in shell.input_transformers_post:
        shell.input_transformers_post.remove(silenced_alone)
