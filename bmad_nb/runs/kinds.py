"""What kind untyped tasks of a workflow are, told from the scored answers of the store."""

from __future__ import annotations

from collections.abc import Iterable

from bmad_nb import prompts
from bmad_nb.plan import root_of
from bmad_nb.store import scores
from bmad_nb.store.journal import Store
from bmad_nb.workflow.model import Workflow

MOST_TEXTS = 2_000
"""Newest scored answers that are looked at."""


def kinds_of(store: Store, flow: Workflow, names: Iterable[str]) -> dict[str, tuple[str, float]]:
    """Return the kind of tasks that name none, and how sure it is, where it can be told.

    A task's text is that of its newest call, else its prompt without holes. Known are the prompts
    of scored answers whose kind is known.

    Args:
        store: the store.
        flow: the workflow.
        names: ids of the tasks.

    Returns:
        By task: kind, and its share in [0, 1] of what the most similar prompts say.
    """
    wanted = [name for name in names if not flow.tasks[name].type]
    known = _known(store) if wanted else {}
    if not known:
        return {}
    from bmad_nb.routers.kinds import Kinds

    judge = Kinds(list(known), list(known.values()))
    asked = _asked(store, flow, set(wanted))
    found = {}
    for name in wanted:
        task = flow.tasks[name]
        bare = task.prompt or " ".join(str(each.content) for each in task.messages or ())
        kind, share = judge.tell(asked.get(name) or prompts.HOLE.sub(" ", bare))
        if kind:
            found[name] = kind, share
    return found


def _known(store: Store) -> dict[str, str]:
    """Return prompts of scored answers with their kind, the newest last."""
    rows = [row for row in scores.to_learn(store) if row.task_type][-MOST_TEXTS:]
    kinds = {row.request_key: row.task_type for row in rows}
    found: dict[str, str] = {}
    for run_id in dict.fromkeys(row.run_id for row in rows):
        for call in store.calls(run_id):
            if call.request_key in kinds and call.messages:
                found[call.messages[-1].text] = kinds[call.request_key]
    return found


def _asked(store: Store, flow: Workflow, names: set[str]) -> dict[str, str]:
    """Return the text that each task asked last."""
    found: dict[str, str] = {}
    newest = [row.run_id for row in store.runs() if row.workflow == flow.id][-3:]
    for run_id in newest:
        for call in store.calls(run_id):
            task = root_of(call.task)
            if task in names and call.messages:
                found[task] = call.messages[-1].text
    return found
