"""The status screen, costs, conversations and completion of the session's verbs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bmad_nb.chats import Chats
from bmad_nb.errors import StoreError, UsageProblem
from bmad_nb.results import as_json
from bmad_nb.verbs.completion import complete
from bmad_nb.workspace import Workspace, default_workspace
from tests.verbs_of import typed

HOSTILE = "<script>alert(1)</script>\x1b[31m"


def test_the_screen_says_what_is_ready_and_what_can_go_on(ws: Workspace) -> None:
    """LLMs, money, runs and next steps; a key's name but never its value; nobody is asked."""
    first = typed(ws, "status")
    assert "sim/careful" in repr(first)
    assert "OPENAI_API_KEY" in repr(first)
    ws.compare(f"Why {HOSTILE}?", "sim/careful,sim/hasty")
    shown = typed(ws, "status")
    bundle = shown._repr_mimebundle_()
    assert "1 run" in bundle["text/plain"]
    assert "simulated" in bundle["text/plain"]
    assert "<script" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/plain"] + bundle["text/html"]
    facts = json.loads(as_json(shown))
    assert 1 == facts["runs"]
    assert "0" == facts["spent_today_usd"].rstrip("0").rstrip(".")
    assert 0 < float(facts["simulated_today_usd"])
    run = ws.store.runs()[-1].run_id
    assert f"%bmad show {run}" in facts["next"]


def test_the_screen_shows_a_key_but_not_its_value(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is set makes its endpoint ready, and stands nowhere."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-secret-123456")
    shown = typed(ws, "status")._repr_mimebundle_()
    assert "key found" in shown["text/plain"]
    assert "planted" not in str(shown)


def test_costs_are_summed_by_what_is_asked(ws: Workspace) -> None:
    """`cost` gives a frame by LLM, task or day, of a run or of all."""
    r = ws.compare("Where?", "sim/careful,sim/hasty")
    assert {"sim/careful", "sim/hasty"} == set(typed(ws, "cost")["by"])
    assert 1 == len(typed(ws, f"cost {r.id} --by day"))


def test_a_conversation_has_its_turns_as_context(ws: Workspace) -> None:
    """Turns go before the next question, are shown with it, and last beyond the process."""
    seen: list[list[str]] = []

    def echo(messages: list) -> str:
        seen.append([f"{m.role}: {m.text}" for m in messages])
        return f"answer {len(seen)}"

    ws.add_llm("echo", echo)
    typed(ws, "ask -m own/echo --chat trip --system Be-brief", "Where?")
    second = typed(ws, "ask -m own/echo --chat trip", "And when?")
    assert ["user: Where?", "assistant: answer 1", "user: And when?"] == seen[1]
    bundle = second._repr_mimebundle_()
    assert "Context sent: 1 earlier turn of chat trip" in bundle["text/plain"]
    assert "Context sent: 1 earlier turn of chat trip" in bundle["text/html"]
    assert "answer 1" in bundle["text/html"]
    again = Workspace(store=ws.store.path)
    assert ["Where?", "And when?"] == [turn.question for turn in again.chats.turns("trip")]
    again.close()
    typed(ws, "chat trip --drop 1")
    typed(ws, "ask -m own/echo --chat trip", "Who?")
    assert ["user: And when?", "assistant: answer 2", "user: Who?"] == seen[2]
    assert [2, 3] == [turn.number for turn in ws.chats.turns("trip")]
    typed(ws, "chat trip --clear")
    typed(ws, "ask -m own/echo --chat trip", "Alone?")
    assert ["user: Alone?"] == seen[3]
    assert ["trip"] == ws.chats.names()


def test_the_same_conversation_is_not_paid_twice(ws: Workspace) -> None:
    """Cleared and held again in the same words, it comes from the store."""
    for _ in range(2):
        ws.chats.clear("t")
        for question in ("What is 2 + 3?", "And twice that?"):
            last = ws.ask(question, "sim/careful", chat="t")
    assert [True] == [row.from_store for row in last.rows]


def test_wrong_names_and_turns_of_chats_are_errors(ws: Workspace, project: Path) -> None:
    """No name leads out of the folder; an unknown turn is named; nothing is written for them."""
    for name in ("../x", "a/b", "", ".", "x" * 64, "a b"):
        with pytest.raises(UsageProblem):
            ws.chats.turns(name)
        if name:
            with pytest.raises(UsageProblem):
                ws.ask("Where?", "sim/hasty", chat=name)
    with pytest.raises(UsageProblem, match="has no turn 7"):
        ws.chats.drop("trip", 7)
    assert [] == ws.chats.names()
    with pytest.raises(UsageProblem, match="Give one"):
        typed(ws, "chat trip --clear --drop 1")


def test_a_cut_line_is_left_out_and_a_damaged_one_is_said(ws: Workspace) -> None:
    """A line whose end was not written is no turn; one that is damaged in the middle is named."""
    ws.ask("Where?", "sim/hasty", chat="t")
    path = ws.store.path.parent / "chats" / "t.jsonl"
    assert 0o600 == path.stat().st_mode & 0o777
    whole = path.read_text()
    path.write_text(whole + '{"run": "1234')
    assert 1 == len(Chats(ws.store).turns("t"))
    path.write_text("[1]\n" + whole)
    with pytest.raises(StoreError, match="Line 1"):
        Chats(ws.store).turns("t")


def test_completion_of_the_new_verbs(project: Path) -> None:
    """Runs behind show and diff, chats, choices of options, verbs behind help, --python."""
    space = default_workspace()
    r = space.compare("Where?", "sim/careful,sim/hasty")
    space.ask("Where?", "sim/hasty", chat="trip")
    ids = [run.run_id for run in space.store.runs()]
    assert set(ids) <= set(complete(" show ", {})[1])
    assert "r" in complete(" show ", {"r": r})[1]
    assert set(ids) <= set(complete(f" diff {ids[0]} ", {})[1])
    assert ["trip"] == complete(" chat tr", {})[1]
    assert ["trip"] == complete(" ask --chat ", {})[1]
    assert ["day"] == complete(" cost --by d", {})[1]
    assert ["compare"] == complete(" help compa", {})[1]
    assert ["--python"] == complete(" compare --py", {})[1]
    assert ["disagree"] == complete(" show r --only d", {})[1]


def test_blind_rating_by_line(ws: Workspace) -> None:
    """`rate --blind` hides names, takes a letter, and stores whose it was."""
    r = ws.compare("What is 2 + 2?", "sim/careful,sim/hasty")
    shown = typed(ws, f"rate {r.id} --blind")
    assert "sim/" not in repr(shown)
    rated = typed(ws, f"rate {r.id} --blind A 0.5 -o q")
    assert "rated blind" == rated.scores["explanation"].iloc[-1]
    with pytest.raises(UsageProblem):
        typed(ws, f"rate {r.id}")
