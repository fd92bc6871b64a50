"""What works of each LLM: is its key there, is it reached, is its model listed. Costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bmad_nb import _loop
from bmad_nb._nearest import nearest
from bmad_nb.errors import LLMError
from bmad_nb.llms.base import Card
from bmad_nb.settings import EndpointSettings
from bmad_nb.workspace import Workspace

WAIT_S = 5.0
"""Most seconds for the list of models of one endpoint."""
COLUMNS = ("llm", "works", "format", "key", "models", "price", "streams", "found", "what_to_do")
ANY = "-"
"""Stands for the model where only an endpoint was named."""


def check(space: Workspace, specs: Sequence[str]) -> pd.DataFrame:
    """Return a row for each LLM or endpoint: what works, and what is missing.

    Only lists of models are asked for, which no provider charges for.

    Args:
        space: the workspace.
        specs: ids of LLMs, or names of endpoints; all endpoints and the default LLM where there
            are none.
    """
    names = list(specs) or [*space.settings.endpoints, space.settings.engine.default_llm]
    rows = _loop.run(_all(space, names))
    return pd.DataFrame(rows, columns=list(COLUMNS))


async def _all(space: Workspace, names: Sequence[str]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(_row(space, name) for name in names)))


async def _row(space: Workspace, name: str) -> dict[str, Any]:
    endpoint, _, model = name.partition("/")
    settings = space.settings.endpoints.get(endpoint)
    if settings is None:
        llm = space.catalog.llm(space.catalog.choose(name)[0].llm_id)
        return {**_facts(space, llm.card, settings), **_said(llm.card, works=not llm.card.missing)}
    llm = space.catalog.llm(f"{endpoint}/{model or ANY}")
    facts = _facts(space, llm.card, settings)
    facts["llm"] = name
    if llm.card.missing:
        return {**facts, **_said(llm.card, works=False)}
    try:
        async with asyncio.timeout(WAIT_S):
            listed = await llm.model_names()  # type: ignore[attr-defined]
    except LLMError as error:
        what = error.what.replace(f"{endpoint}/{ANY}", endpoint)
        return {**facts, "works": "no", "found": what, "what_to_do": error.hint}
    except TimeoutError:
        said = f"no answer within {WAIT_S:g} s"
        return {**facts, "works": "no", "found": said, "what_to_do": "Check the base_url."}
    return {**facts, **_listed(listed, model), "models": len(listed)}


def _facts(space: Workspace, card: Card, settings: EndpointSettings | None) -> dict[str, Any]:
    """Return what is known without asking."""
    price = space.catalog.price(card) if card.model != ANY else None
    key = "needs none" if settings is None or settings.api_key is None else "found"
    return {
        "llm": card.id,
        "works": "yes",
        "format": settings.kind if settings else "here",
        "key": "missing" if settings and card.missing else key,
        "models": None,
        "price": "" if card.model == ANY else price.source if price else "unknown",
        "streams": "yes" if settings and settings.stream else "no",
        "found": "",
        "what_to_do": "",
    }


def _said(card: Card, *, works: bool) -> dict[str, str]:
    verdict = "yes" if works else "no"
    return {"works": verdict, "found": card.missing or "ready", "what_to_do": card.remedy}


def _listed(listed: Sequence[str], model: str) -> dict[str, str]:
    """Return what a list of models says about one of them."""
    if not model or model in listed or f"{model}:latest" in listed:
        return {"works": "yes", "found": "reached" if not model else "reached, and listed"}
    near = nearest(model, listed)
    hint = f"Did you mean {near!r}?" if near else "It may work all the same; ask it once."
    return {"works": "perhaps", "found": f"reached; {model!r} is not listed", "what_to_do": hint}
