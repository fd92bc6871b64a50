"""The verb that tries routers on recorded answers: `replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab.picturing import KINDS
from bmad_nb.verbs.asking import model_option
from bmad_nb.verbs.base import Front, bound, json_option, out_option, shown
from bmad_nb.verbs.running import without_body


@click.command()
@click.argument("table", metavar="TABLE|QUERIES+CALLS")
@click.option(
    "--routers", metavar="NAME[,NAME…]",
    help="routers by name, or variables that hold one; all of the laboratory without",
)  # fmt: skip
@click.option(
    "--train", metavar="TABLE", help="another table to learn from; cross-validation without"
)
@click.option("--folds", type=click.IntRange(2), help="of the cross-validation; 5 without")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="the same seed, the same result")  # fmt: skip
@model_option
@click.option(
    "--plot", type=click.Choice(list(KINDS)), help="show this chart in place of the table"
)
@out_option
@json_option
@click.pass_obj
def replay(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, table: str, routers: str | None, train: str | None, folds: int | None,
    seed: int, models: tuple[str, ...], plot: str | None, out: str | None, as_json: bool,
) -> Any:  # fmt: skip
    """Try routers on recorded answers: what they would choose, and what it would be worth.

    Nobody is asked. A table is a variable with a recording, two DataFrames as queries+calls, or a
    file: answers.csv stands for answers.queries.csv and answers.calls.csv.
    """
    from bmad_nb import lab

    without_body(front)
    if plot and as_json:
        raise UsageProblem("--plot shows a chart, and --json numbers.", hint="Leave one out.")
    if train is not None and folds is not None:
        raise UsageProblem(
            "--folds is for a cross-validation, and with --train there is none.",
            hint="Leave one out.",
        )
    given: dict[str, Any] = {} if folds is None else {"folds": folds}
    found = lab.replay(
        *_table(front, table), routers=_routers(front, routers),
        train=None if train is None else tuple(_table(front, train)), seed=seed,
        llms=[each for text in models for each in text.split(",") if each] or None, **given,
    )  # fmt: skip
    bound(front, found, out)
    return found.plot(plot) if plot else shown(found, as_json=as_json)


def _table(front: Front, name: str) -> tuple[Any, Any]:
    """Return the queries and the calls that a word names.

    Raises:
        UnknownName: no variable, and no file.
        UsageProblem: it is no recorded table.
    """
    from bmad_nb import lab

    one, plus, two = name.partition("+")
    if plus and name not in front.names and not Path(name).exists():
        return _frame(front, one), _frame(front, two)
    held = front.names.get(name)
    if held is None:
        return lab.read(_file(front, name))
    if isinstance(held, tuple) and len(held) == 2:  # a recording is one
        return held[0], held[1]
    if hasattr(held, "columns"):
        return lab.read(held)
    raise UsageProblem(
        f"{name} is a {type(held).__name__}, no recorded table.",
        hint="Give what lab.record or lab.read returns, or queries+calls.",
    )


def _frame(front: Front, name: str) -> Any:
    from bmad_nb.lab import files

    held = front.names.get(name)
    return files.read(Path(_file(front, name))) if held is None else held


def _file(front: Front, name: str) -> str:
    """Return the name of a file; a word without an ending must be a variable.

    Raises:
        UnknownName: it is none.
    """
    if front.kind != "shell" and not Path(name).suffix:
        raise UnknownName("variable", name, [n for n in front.names if not n.startswith("_")])
    return name


def _routers(front: Front, names: str | None) -> list[Any] | None:
    """Return routers by name, and those that variables hold."""
    if names is None:
        return None
    from bmad_nb.routers.choice import HOMES

    found = [each.strip() for each in names.split(",") if each.strip()]
    if not found:
        raise UsageProblem("--routers names none.", hint="Write --routers task-mean,learned.")
    known = {*HOMES, "oracle"}
    return [each if each in known else front.names.get(each, each) for each in found]
