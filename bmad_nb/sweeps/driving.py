"""`bmad_nb.sweep`: looks at what it is given, readies the folder, and lets a driver begin."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from bmad_nb._files import Claim, network_filesystem, private_folder
from bmad_nb.budget import parse_usd
from bmad_nb.errors import StoreLocked, UsageProblem
from bmad_nb.sweeps import clusters, grids
from bmad_nb.sweeps.driver import PRIVATE, Driver
from bmad_nb.sweeps.executors import Executor, Local
from bmad_nb.sweeps.grids import Grid
from bmad_nb.sweeps.ledger import write
from bmad_nb.sweeps.outcome import Sweep
from bmad_nb.workspace import Workspace, default_workspace


def sweep(
    notebook: str | Path,
    grid: Grid,
    executor: Any = "local",
    *,
    parameters: Mapping[str, Any] | None = None,
    parallel: int | None = None,
    out: str | Path | None = None,
    budget_usd: float | str | Decimal | None = None,
    workspace: Workspace | None = None,
    say: Callable[[str], None] | None = print,
) -> Sweep:
    """Execute a notebook for each point of a grid, through papermill, and return how each ended.

    Run it again to go on: a notebook that is completed is not executed again, and of one that was
    stopped or failed no stored call is made again. A notebook that fails is a row with its error.

    Args:
        notebook: path of the notebook; its parameters cell names what can be swept.
        grid: values by parameter, all of whose combinations are run; or a list of cases; or
            `{"grid": ..., "cases": ...}` for both; or the path of a YAML file with one of these.
        executor: `local` (kernels of this machine), `dask` (a cluster of this machine), the address
            of a dask scheduler, or a `distributed.Client`.
        parameters: what all notebooks are given.
        parallel: most notebooks at a time; None is one for each core, or thread of the workers.
        out: folder of the executed notebooks; None is the notebook's name and `-sweep`.
        budget_usd: hard limit in US dollars on all that the sweep of this folder spends, earlier
            runs of it among them; simulated money has a purse of its own with the same limit.
        workspace: whose stored answers serve, and whose store gets the new ones.
        say: told a line for each notebook as it ends; None is silent.

    Raises:
        UsageProblem: the notebook or the grid cannot be used, or a parameter looks like a key.
        RunPaused: interrupted; `result` is the sweep as far as it is.
        StoreError: something could not be written down.
    """
    limit = None if budget_usd is None else parse_usd(budget_usd)
    path, source = Path(notebook), _source(Path(notebook))
    cases = grids.cases_of(grid, parameters or {}, source, grids.parameters_in(json.loads(source)))
    if parallel is not None and parallel < 1:
        raise UsageProblem(f"parallel cannot be {parallel}.", hint="Use 1 or more.")
    folder = Path(out) if out is not None else Path(f"{path.stem}-sweep")
    _ready(folder)
    claim = _claimed(folder)
    try:
        driver = Driver(
            path, source.decode("utf-8"), cases, folder, limit_usd=limit,
            space=workspace or default_workspace(), say=say or (lambda _text: None),
        )  # fmt: skip
        return driver.run(functools.partial(_executor, executor, parallel, folder))
    finally:
        claim.close()


def _source(path: Path) -> bytes:
    """Return a notebook's text.

    Raises:
        UsageProblem: it cannot be read, or is none.
    """
    try:
        source = path.read_bytes()
        body = json.loads(source)
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise UsageProblem(f"{path} is no notebook: it is not JSON.") from None
    if not isinstance(body, dict) or not isinstance(body.get("cells"), list):
        raise UsageProblem(f"{path} is no notebook of version 4: it has no cells.")
    return source


def _ready(folder: Path) -> None:
    """Make the sweep's folder.

    Raises:
        StoreError: it cannot be made, or lies where stores cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageProblem(f"{folder} cannot be made: {error.strerror}.") from None
    kind = network_filesystem(folder)
    if kind:
        raise UsageProblem(
            f"{folder} lies on a network file system ({kind}), where the stores of notebooks are "
            "not safe.", hint="Name a folder on a local disk with --out.",
        )  # fmt: skip
    private_folder(folder / PRIVATE)


def _claimed(folder: Path) -> Claim:
    """Be the one driver of this folder.

    Raises:
        UsageProblem: another process is.
    """
    try:
        claim = Claim(folder / PRIVATE / "driver.lock", timeout_s=0)
    except StoreLocked:
        raise UsageProblem(
            f"Another sweep runs in {folder}.", hint="Wait for its end, or use another --out."
        ) from None
    token = folder / PRIVATE / clusters.TOKEN
    if not token.exists():
        write(token, uuid.uuid4().hex)
    return claim


def _executor(named: Any, parallel: int | None, folder: Path) -> Executor:
    """Return where notebooks are executed.

    Raises:
        UsageProblem: it is none of the known ones, or cannot be reached.
    """
    if named == "local":
        return Local(parallel)
    if named == "dask" or not isinstance(named, str) or "://" in named or ":" in named:
        return clusters.Dask(named, parallel, (folder / PRIVATE).resolve())
    raise UsageProblem(
        f"There is no executor {named!r}.",
        hint="Use local, dask, or the address of a scheduler, such as tcp://10.0.0.1:8786.",
    )
