"""The way in: `bmad demo` runs the quickstart through papermill, `bmad lab` opens notebooks."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bmad_nb import _assets
from bmad_nb.errors import BmadError, LocalModelUnavailable, UsageProblem
from bmad_nb.results import MIME, Text
from bmad_nb.settings import DEFAULT_LLM
from bmad_nb.workspace import Workspace

NOTEBOOK = "00_quickstart.ipynb"


def demo(
    space: Workspace, folder: Path, say: Callable[[str], None], *, simulated: bool = False
) -> Text:
    """Execute the quickstart and return what it showed, what it cost, and where things are.

    Args:
        space: whose store the notebook's kernel uses too.
        folder: where the executed notebook goes; made if need be.
        say: shows a line while it works.
        simulated: use a simulated LLM in the embedded model's place.

    Raises:
        LocalModelUnavailable: the embedded model cannot run here.
        BmadError: a cell of the notebook failed.
    """
    if not simulated:
        _ready_model(say)
    target = (folder / NOTEBOOK).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    before = {run.run_id for run in space.store.runs()}
    say(f"Running {NOTEBOOK} through papermill …")
    parameters = {"local_llm": "sim/hasty"} if simulated else {}
    shown = _execute(space, target, parameters)
    calls = space.calls()
    new = calls[~calls["run_id"].isin(before)]
    made = new[~new["from_store"]]
    return Text(
        "\n".join([*shown, "", *_money(new, made), *_places(space, target)]),
        {
            "notebook": str(target),
            "store": str(space.store.path),
            "calls_made": len(made),
            "answers_from_store": int(new["from_store"].sum()),
            "cost_usd": float(new.loc[~new["simulated"], "cost_usd"].sum()),
        },
    )


def _ready_model(say: Callable[[str], None]) -> None:
    from bmad_nb.llms import local, weights

    missing, remedy = local.unavailable()
    if missing:
        raise LocalModelUnavailable(
            f"The embedded model cannot run here: {missing}.",
            hint=f"{remedy} Or run: bmad demo --simulated",
        )
    name = DEFAULT_LLM.partition("/")[2]
    if weights.path_of(name) is None:
        weights.install(name, say)


def _execute(space: Workspace, target: Path, parameters: dict[str, Any]) -> list[str]:
    """Run the notebook with this workspace's store; return the text of its comparisons."""
    import papermill

    previous = os.environ.get("BMAD_STORE")
    os.environ["BMAD_STORE"] = str(space.store.path)  # the kernel may start in another folder
    try:
        notebook = papermill.execute_notebook(
            str(_assets.notebook(NOTEBOOK)),
            str(target),
            parameters=parameters,
            kernel_name="python3",
            progress_bar=sys.stderr.isatty(),
            extra_arguments=["--IPKernelApp.log_level=40"],  # a newcomer has no use for its notes
            cwd=str(Path.cwd()),
        )
    except papermill.PapermillExecutionError as error:
        raise BmadError(
            f"Cell {error.exec_count} of {NOTEBOOK} failed: {error.ename}: {error.evalue}",
            hint=f"The notebook as far as it got: {target}",
        ) from None
    finally:
        if previous is None:
            os.environ.pop("BMAD_STORE", None)
        else:
            os.environ["BMAD_STORE"] = previous
    bundles = [out.get("data", {}) for cell in notebook.cells for out in cell.get("outputs", [])]
    texts = [b["text/plain"] for b in bundles if b.get(MIME, {}).get("verb") == "compare"]
    return ["\n\n".join(text if isinstance(text, str) else "".join(text) for text in texts)]


def _money(new: Any, made: Any) -> list[str]:
    if made.empty:
        first = f"No LLM call was made: all {len(new)} answers came from the store."
    else:
        stored = int(new["from_store"].sum())
        first = f"{len(made)} LLM calls were made, {stored} answers came from the store."
    real = new[~new["simulated"]]
    invented = float(new.loc[new["simulated"], "cost_usd"].sum())
    return [
        first,
        f"Cost: ${float(real['cost_usd'].sum()):.5f} in real money, ${invented:.5f} simulated.",
    ]


def _places(space: Workspace, target: Path) -> list[str]:
    inside = target.relative_to(Path.cwd()) if target.is_relative_to(Path.cwd()) else target
    command = Path(sys.executable).with_name("bmad")
    if command.is_relative_to(Path.cwd()):
        command = command.relative_to(Path.cwd())
    return [
        f"Notebook: {target}",
        f"Store:    {space.store.path}",
        f"Open both in JupyterLab: {shlex.join([str(command), 'lab', str(inside)])}",
    ]


def lab(notebook: Path | None, options: Sequence[str] = ()) -> NoReturn:
    """Replace this process by JupyterLab with a notebook open.

    Raises:
        UsageProblem: the notebook is not there.
    """
    chosen = notebook or Path("bmad-demo") / NOTEBOOK
    if not chosen.exists():
        raise UsageProblem(
            f"There is no notebook {chosen}.", hint="Run bmad demo first, or name one."
        )
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", str(chosen), *options])  # noqa: S606
