"""The verb that looks after the store: `store`, with `check`, `backup` and `prune`."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import click

from bmad_nb.errors import StoreCorrupt, UsageProblem
from bmad_nb.reports import Report
from bmad_nb.results import Text
from bmad_nb.verbs.base import Front, Tree, json_option, shown
from bmad_nb.verbs.running import without_body

_AGE = re.compile(r"(\d{1,6})(h|d|w)")
_HOURS = {"h": 1, "d": 24, "w": 168}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size_of(count: float) -> str:
    """Return a number of bytes as people read it.

    >>> size_of(512), size_of(2_500_000)
    ('512 B', '2.4 MiB')
    """
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.1f} {_UNITS[unit]}" if unit else f"{count:.0f} {_UNITS[0]}"


@click.group(cls=Tree, invoke_without_command=True)
@json_option
@click.pass_context
def store(context: click.Context, as_json: bool) -> Any:
    """Show how large this project's store is; check it, copy it, and let old runs go."""
    if context.invoked_subcommand is None:
        return context.invoke(sizes, as_json=as_json)
    return None


@store.command()
@json_option
@click.pass_obj
def sizes(front: Front, *, as_json: bool) -> Any:
    """Show where the store lies, how large it is, and what it has."""
    from bmad_nb.store import keeping

    without_body(front)
    found = keeping.sizes(front.workspace.store)
    rows = [{"table": name, "rows": count} for name, count in found["rows"].items()]
    if not rows:
        return shown(Text(f"There is no store yet: {found['path']}", found), as_json=as_json)
    title = f"{found['path']}: {size_of(found['bytes'])}"
    notes = ("Prompts and answers are kept in clear text. Old runs go with: bmad store prune",)
    return shown(Report(title, {"What it has": rows}, notes, found), as_json=as_json)


@store.command()
@json_option
@click.pass_obj
def check(front: Front, *, as_json: bool) -> Any:
    """Check that the store is sound, and that every run of it can be read."""
    from bmad_nb.store import keeping

    without_body(front)
    path = front.workspace.store.path
    wrong = keeping.check(front.workspace.store)
    if wrong:
        raise StoreCorrupt("\n".join([f"{path} is not sound:", *wrong]),
                           hint="Put a copy back (bmad store backup makes them).")  # fmt: skip
    return shown(Text(f"{path} is sound.", {"path": str(path), "sound": True}), as_json=as_json)


@store.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="overwrite the file")
@json_option
@click.pass_obj
def backup(front: Front, file: Path, *, force: bool, as_json: bool) -> Any:
    """Copy the store to a file, while runs go on; BMAD_STORE=FILE reads it."""
    from bmad_nb.store import keeping

    without_body(front)
    size = keeping.backup(front.workspace.store, file, force=force)
    facts = {"file": str(file), "bytes": size}
    return shown(Text(f"Copied to {file}: {size_of(size)}", facts), as_json=as_json)


@store.command()
@click.option(
    "--older-than", "age", metavar="AGE", help="runs that ended before, such as 30d or 12h"
)
@click.option("--keep", type=click.IntRange(0), metavar="N", help="all but the newest N runs")
@click.option("--dry-run", is_flag=True, help="say what would go, and remove nothing")
@json_option
@click.pass_obj
def prune(front: Front, *, age: str | None, keep: int | None, dry_run: bool, as_json: bool) -> Any:
    """Remove old runs that are over, with their prompts and answers. Scores stay.

    Equal requests are asked, and paid for, anew after that. A run whose answers a newer one reads
    stays with it.
    """
    from bmad_nb.store import keeping

    without_body(front)
    space = front.workspace
    if age is None and keep is None:
        raise UsageProblem("It is not said which runs may go.",
                           hint="Write --older-than 30d, or --keep 100, or both.")  # fmt: skip
    rows = space.store.runs()
    before = _before(age) if age else None
    old = rows[: max(0, len(rows) - keep)] if keep is not None else rows
    chosen = [r.run_id for r in old if before is None or (r.ended_utc and r.ended_utc < before)]
    found = keeping.prune(space.store, chosen, dry_run=dry_run)
    facts = {
        "runs": list(found.runs), "kept": list(found.kept), "calls": found.calls,
        "texts": found.texts, "bytes_before": found.bytes_before,
        "bytes_after": found.bytes_after, "dry_run": dry_run,
    }  # fmt: skip
    many = f"{len(found.runs)} of {len(rows)} runs with {found.calls} calls"
    said = f"{many} would go; nothing was removed." if dry_run else (
        f"{many} are gone: {size_of(found.bytes_before)} became {size_of(found.bytes_after)}."
    )  # fmt: skip
    if found.kept:
        said += f"\n{len(found.kept)} stay: they are not over, or a newer run reads their answers."
    return shown(Text(said, facts), as_json=as_json)


def _before(age: str) -> str:
    """Return the time that lies an age back, as the store spells times.

    Raises:
        UsageProblem: it is none.
    """
    match = _AGE.fullmatch(age)
    if match is None:
        raise UsageProblem(f"--older-than cannot be {age!r:.40}.", hint="Write 12h, 30d or 8w.")
    hours = int(match[1]) * _HOURS[match[2]]
    now = datetime.datetime.now(datetime.UTC)
    try:
        return (now - datetime.timedelta(hours=hours)).isoformat(timespec="microseconds")
    except OverflowError:
        raise UsageProblem(f"--older-than {age} is too long ago.") from None
