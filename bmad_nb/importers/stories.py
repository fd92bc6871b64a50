"""`stories.yaml` of BMAD: an ordered list of stories, each built on what is there before it.

A checkpoint becomes a question to a person: after `stop` nothing of what follows is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bmad_nb import documents
from bmad_nb.errors import DefinitionError, Problem
from bmad_nb.importers.base import ROLES, Imported, made, slug, text_of

_STORY = {"id", "title", "description", "spec_checkpoint", "done_checkpoint", "invoke_dev_with"}


def is_stories(data: Mapping[str, Any]) -> bool:
    """Return whether a document is a list of stories."""
    found = data.get("", data.get("stories"))
    return isinstance(found, list) and all(isinstance(e, dict) and "id" in e for e in found)


def read(text: str | bytes, name: str = "") -> Imported:
    """Return the workflow that a list of stories amounts to.

    Args:
        text: its YAML: a list, or a mapping with `stories:`.
        name: what problems are said to be in, such as the file's name.

    Raises:
        DefinitionError: it is no list of stories; with line and column.
    """
    document = documents.read(text, name, listed=True)
    key = "" if "" in document.data else "stories"
    stories: Any = document.data.get(key)
    unmapped = [f"{each}: is not known." for each in document.data if each != key]
    if not isinstance(stories, list) or not stories:
        hint = 'Begin each with - id: "1".'
        raise DefinitionError([Problem(1, 1, "This is no list of stories.", hint)], name)
    tasks: dict[str, dict[str, Any]] = {}
    gate = built = ""
    for index, story in enumerate(stories):
        where = (key, index)
        if not isinstance(story, dict) or "id" not in story:
            said, place = "A story must be a mapping with an id.", document.position(where)
            raise DefinitionError([Problem(*place, said, 'Write id: "1".', where)], name)
        unmapped += [f"Story {index + 1}: {each!r} is not known." for each in story
                     if each not in _STORY]  # fmt: skip
        words = {each: text_of(story.get(each), document, (*where, each)) for each in _STORY}
        built, gate = _story(tasks, words, built, gate)
    data = {
        "workflow": "stories", "title": "Stories, one after the other", "strategy": "sequential",
        "inputs": {"project": {"type": "text", "default": ""}}, "tasks": tasks,
    }  # fmt: skip
    return made(data, unmapped, document)


def _story(
    tasks: dict[str, dict[str, Any]], words: dict[str, str], built: str, gate: str
) -> tuple[str, str]:
    """Add the tasks of one story.

    Args:
        tasks: those before it.
        words: what is said of it.
        built: the task that built the story before it; empty of the first.
        gate: the condition on which it begins; empty for none.

    Returns:
        The task that builds it, and the condition on which the next one begins.
    """
    head = f"Story {words['id']}: {words['title']}\n{words['description']}".strip()
    stem = f"story {words['id']}"[:30]
    shown = f"\n\nWhat is there:\n{{{{ {built}.text }}}}" if built else ""
    about = f"The project: {{{{ project }}}}\n\n{head}{shown}"
    spec = slug(f"{stem} spec", tasks)
    tasks[spec] = {
        "title": f"Specification of story {words['id']}", "system": ROLES["sm"],
        "prompt": f"{about}\n\nWrite how it will be known that this story is done.",
    }  # fmt: skip
    if gate:
        tasks[spec]["when"] = gate
    agreed = ""
    if _is_on(words["spec_checkpoint"]):
        agreed = _gate(tasks, f"{stem} spec ok", f"{head} Is its specification good?", spec)
    build = slug(f"{stem} build", tasks)
    mind = f"\n\nMind: {words['invoke_dev_with']}" if words["invoke_dev_with"] else ""
    tasks[build] = {
        "title": words["title"] or f"Story {words['id']}", "type": "dev", "system": ROLES["dev"],
        "prompt": f"{about}\n\nIts specification:\n{{{{ {spec}.text }}}}\n\nBuild it.{mind}",
    }  # fmt: skip
    if agreed:
        tasks[build]["when"] = agreed
    done = _is_on(words["done_checkpoint"])
    return build, _gate(tasks, f"{stem} done ok", f"{head} Is it done?", build) if done else ""


def _gate(tasks: dict[str, dict[str, Any]], words: str, ask: str, shown: str) -> str:
    name = slug(words, tasks)
    tasks[name] = {
        "approve": {"ask": ask.replace("\n", " "), "show": f"{shown}.text",
                    "options": ["go", "stop"]}
    }  # fmt: skip
    return f"{name}.choice == 'go'"


def _is_on(word: str) -> bool:
    return word.lower() not in ("", "false", "no", "none", "off")
