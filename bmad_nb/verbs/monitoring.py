"""The verb that follows runs of any process, and says when one needs a person: `monitor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from bmad_nb.alerts import Alert, Limits
from bmad_nb.monitoring import Happening, Monitor, Webhook
from bmad_nb.render.base import plain
from bmad_nb.results import Text
from bmad_nb.verbs.base import Front, json_option, shown
from bmad_nb.verbs.running import without_body


@click.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@click.option("--real-time", is_flag=True, help="go on: a line for each thing that happens")
@click.option("--alerts-enabled", is_flag=True, help="say when a run needs a person")
@click.option("--until-idle", is_flag=True, help="end as soon as no run runs")
@click.option("--for", "seconds", type=click.FloatRange(0), metavar="S", help="end after S seconds")
@click.option("--spend", type=click.FloatRange(0), default=0.8, show_default=True, metavar="SHARE",
              help="alert: share of the limit that is spent")  # fmt: skip
@click.option("--error-rate", type=click.FloatRange(0, 1), default=0.3, show_default=True,
              metavar="SHARE", help="alert: share of the newest calls that failed")  # fmt: skip
@click.option("--latency-slo", type=click.FloatRange(0), metavar="S",
              help="alert: one answer of ten takes longer")  # fmt: skip
@click.option("--stall", type=click.FloatRange(0), default=60, show_default=True, metavar="S",
              help="alert: nothing happens for S seconds")  # fmt: skip
@click.option("--quality-drop", type=click.FloatRange(0, 1), default=0.2, show_default=True,
              metavar="D", help="alert: scores fall by D")  # fmt: skip
@click.option("--bell", is_flag=True, help="ring the terminal's bell with each alert")
@click.option("--webhook", metavar="URL", help="send each alert there as JSON, by POST")
@json_option
@click.pass_obj
def monitor(front: Front, /, run_ids: tuple[str, ...], **given: Any) -> Any:
    """Follow runs, in whatever process they are: what happens, and what needs a person.

    With RUN it ends when those runs are over; else with Ctrl-C, or as --until-idle and --for say. A
    run whose process dies is followed on when it is resumed. Happenings go to standard output,
    alerts to standard error.
    """
    without_body(front)
    store = front.workspace.store
    named = [store.run(run_id).run_id for run_id in run_ids]
    limits = Limits(
        spend=given["spend"], errors=given["error_rate"], latency_s=given["latency_slo"],
        stall_s=given["stall"], drop=given["quality_drop"],
    )  # fmt: skip
    sinks = _sinks(front, bell=given["bell"], webhook=given["webhook"])
    watching = Monitor(store, named, limits if given["alerts_enabled"] else None)
    counts = {"happenings": 0, "alerts": 0}
    as_json = given["as_json"]
    seconds = given["seconds"] if given["real_time"] else 0.0
    for happened, alerts in watching.follow(seconds=seconds, until_idle=given["until_idle"]):
        counts["happenings"] += len(happened)
        counts["alerts"] += len(alerts)
        for each in happened:
            _show(front, each, as_json=as_json)
        for alert in alerts:
            for sink in sinks:
                sink(alert)
    if as_json:
        return None
    running = sum(each.run.status == "running" for each in watching.watched.values())
    facts = {"followed": len(watching.watched), "running": running, **counts}
    if not watching.watched:
        return shown(Text("No run runs or waits.", facts), as_json=False)
    front.say(f"{facts['followed']} runs followed, {running} running, {counts['alerts']} alerts")
    return None


def _show(front: Front, each: Happening, *, as_json: bool) -> None:
    """Print what happened at once: a line, or a line of JSON."""
    line = json.dumps(each.to_json()) if as_json else each.line
    if front.kind == "shell":
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    else:
        front.say(line)


def _sinks(front: Front, *, bell: bool, webhook: str | None) -> list[Callable[[Alert], None]]:
    """Return where alerts go."""
    sinks: list[Callable[[Alert], None]] = [lambda alert: front.say(plain(alert.line))]
    if bell and front.kind == "shell" and sys.stderr.isatty():
        sinks.append(lambda _alert: _ring())
    if webhook is not None:
        hook = Webhook(webhook)

        def send(alert: Alert) -> None:
            wrong = hook.send(alert)
            if wrong:
                front.say(f"{alert.rule}: {wrong}")

        sinks.append(send)
    return sinks


def _ring() -> None:
    sys.stderr.write("\a")
    sys.stderr.flush()
