"""What a provider's prompt cache could serve if it stood first: advice, nothing is changed.

Providers bill the beginning that a prompt has in common with an earlier one at a fraction of the
price. In a mapped task all that stands in front of the item's hole is such a beginning, and what
stands behind it never is.
"""

from __future__ import annotations

from collections.abc import Iterator

from bmad_nb import prompts
from bmad_nb.errors import TemplateError
from bmad_nb.plan import Plan, Step

LEAST = 800
"""Characters below which nothing is advised; providers cache from some 1,000 tokens on."""


def order_advice(plan: Plan) -> list[str]:
    """Return a sentence for each mapped task whose prompt could be cached better."""
    return [said for step in plan.steps for said in _of(step)]


def split(step: Step) -> tuple[str, str, str] | None:
    """Return the prompt of a mapped task before its first varying hole, that hole, and the rest.

    The messages are read as one text. None where nothing in it varies, or nothing is mapped.
    """
    if step.repeat is None:
        return None
    text = "\n".join(template for _, template in step.turns)
    for hole in prompts.HOLE.finditer(text):
        if step.repeat.item in prompts.holes(hole.group(0)):
            return text[: hole.start()], hole.group(0), text[hole.end() :]
    return None


def _of(step: Step) -> Iterator[str]:
    try:
        found = split(step)
        if found is None or step.repeat is None:
            return
        _, hole, behind = found
        same = [h for h in _paragraphs(behind) if step.repeat.item not in prompts.holes(h)]
    except TemplateError:  # said where it is filled
        return
    fixed = len(prompts.HOLE.sub("", behind).strip())
    if fixed < LEAST and not same:
        return
    counted = f"{fixed:,} characters" if fixed >= LEAST else ""
    what = " and ".join(filter(None, (counted, *same[:3])))
    yield (
        f"Task {step.id!r}: {what} stand behind {hole}, and are the same for each item. In front "
        "of it, or as system text, a provider's prompt cache serves them for less."
    )


def _paragraphs(text: str) -> list[str]:
    """Return the holes that stand alone in their line, as long texts do."""
    lines = [each.strip() for each in text.splitlines()]
    return [each for each in lines if (found := prompts.HOLE.match(each)) and found[0] == each]
