"""Hostile texts on the way that they really take: from an LLM through a run into a cell's output.

Used inside of a notebook's kernel; every function displays what a person would see there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from IPython import get_ipython
from IPython.display import display

from bmad_nb.errors import BmadError
from bmad_nb.workspace import default_workspace


def _fails(messages: Any) -> str:
    raise RuntimeError(messages[-1].text)


def answers(texts: Sequence[str]) -> None:
    """Compare two LLMs over cases: texts are prompts, answers, references, labels and errors."""
    space = default_workspace()
    space.add_llm("echo", lambda messages: messages[-1].text)
    space.add_llm("fails", _fails)
    cases = pd.DataFrame({"task": texts, "right": texts}, index=pd.Index(texts, name=texts[0]))
    found = space.compare("{{ task }}", "own/echo,own/fails", over=cases, reference="right")
    display(found)
    display(found.df)
    display(found.plot())
    print(found)
    for text in texts[:3]:
        display(space.ask(text, "own/echo", raw=True))
        try:
            space.ask(text, "own/fails", raw=True)
        except BmadError:
            get_ipython().showtraceback()


def names(texts: Sequence[str]) -> None:
    """Compare LLMs whose ids are the texts; ids that are refused are shown as errors."""
    space = default_workspace()
    taken = []
    for text in texts:
        try:
            taken.append(space.add_llm(f"x/{text}", lambda messages: "the same"))
        except BmadError:
            get_ipython().showtraceback()
    if taken:
        found = space.compare("Say it.", taken)
        display(found)
        display(found.plot())
        display(found.df)


def workflows(texts: Sequence[str]) -> None:
    """Plan and run a workflow with the texts as titles, prompts, inputs, outputs and answers."""
    from bmad_nb.workflow.model import Workflow

    texts = [
        text.encode("utf-8", "replace").decode() for text in texts
    ]  # half characters are refused
    space = default_workspace()
    space.add_llm("echo", lambda messages: messages[-1].text)
    space.add_llm("fails", _fails)
    flow = Workflow("hostile", title=texts[0], inputs={"given": "text"})
    for n, text in enumerate(texts):
        flow.task(
            f"t{n}", title=text, prompt="{{ given }}", llm="own/echo" if n % 3 else "own/fails"
        )
    space.define(flow)
    display(get_ipython().run_line_magic("bmad", "plan hostile"))
    try:
        done = space.run(flow, {"given": texts[0]})
    except BmadError as error:
        get_ipython().showtraceback()
        done = space.run_of(error.run_id)
    display(done)
    display(done.tasks)
    display(done.plot())
    print(done)
