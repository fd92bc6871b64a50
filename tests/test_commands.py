"""Every verb and option is documented: its help, an example, and docs/commands.md; completion works."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from bmad_nb.errors import BmadError
from bmad_nb.verbs.base import Front
from bmad_nb.verbs.examples import EXAMPLES
from bmad_nb.verbs.manual import commands, page, said
from bmad_nb.verbs.tree import bmad, call
from bmad_nb.workspace import Workspace
from tests.kernel import ROOT
from tests.test_cli import environment
from tests.warm import Warm

EVERY = list(commands(bmad))
NO_JSON = {"lab", "schema", "completion", "build", "display", "help", "traceback"}
"""They print JSON, or a script, open something, or are about the session alone."""


def lacking(words: str, command: click.Command) -> list[str]:
    """Return what the documentation of a command lacks."""
    found = [] if said(command) else [f"{words}: help"]
    own = words.rsplit(maxsplit=1)[-1]
    examples = " ".join(EXAMPLES.get(words.partition(" ")[2], ()))
    found += [] if own in examples or own == "status" else [f"{words}: an example"]
    for param in command.params:
        if isinstance(param, click.Option) and not (param.help or "").strip():
            found.append(f"{words} {param.opts[0]}")
    json_there = any("--json" in p.opts for p in command.params)
    if not json_there and not isinstance(command, click.Group) and own not in NO_JSON:
        found.append(f"{words}: --json")
    return found


@pytest.mark.parametrize(("words", "command"), EVERY, ids=[words for words, _ in EVERY])
def test_each_verb_is_documented(words: str, command: click.Command) -> None:
    """Each verb has help and an example that names it, each option has help, and `--json` is there."""
    assert [] == lacking(words, command)


def test_what_lacks_documentation_is_found() -> None:
    """Planted: no help, no example, a silent option, and no `--json`."""
    silent = click.Command("hush", params=[click.Option(["--loud"])])
    assert 4 == len(lacking("bmad hush", silent))


def test_the_page_of_commands_is_current() -> None:
    """docs/commands.md is what `python -m bmad_nb.verbs.manual` prints, and names every option."""
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert page() == text, "Run: python -m bmad_nb.verbs.manual > docs/commands.md"
    assert 40 < len(EVERY)
    for words, command in EVERY:
        section = text.partition(f"## {words}\n")[2].partition("\n## ")[0]
        for param in command.params:
            if isinstance(param, click.Option):
                assert param.opts[0] in section, (words, param.opts)


def test_the_words_of_the_specification_exist() -> None:
    """Each command of the workflow group, with each of its options, is there under its name."""
    wanted = {
        "execute": "--definition --strategy -p --params --dry-run --resume --detach --show-progress",
        "status": "--active", "collaborate": "--task --llms",
        "consensus": "--results --method --weights",
        "ensemble": "--combine-outputs --quality-threshold",
        "optimize": "--objective --maintain-quality", "analyze": "--performance --bottlenecks",
        "monitor": "--real-time --alerts-enabled", "metrics": "--execution-time --cost-efficiency",
        "export": "--results --format", "pause": "--now", "resume": "--budget", "cancel": "",
        "approve": "--comment", "validate": "",
    }  # fmt: skip
    known = dict(EVERY)
    for name, options in wanted.items():
        command = known[f"bmad workflow {name}"]
        there = {opt for param in command.params for opt in param.opts}
        assert set(options.split()) <= there, name


@pytest.mark.parametrize("kind", ["line", "shell"])
def test_each_verb_says_its_help_in_a_notebook_and_a_shell(kind: str, ws: Workspace) -> None:
    """`--help` of every verb ends well in both places, and an unknown option names the nearest."""
    front = Front(ws, kind)  # type: ignore[arg-type]
    for words, command in EVERY:
        if isinstance(command, click.Group):
            continue
        assert 0 == call(front, [*words.split()[1:], "--help"])
        with pytest.raises(BmadError):
            call(front, [*words.split()[1:], "--nosuchoption"])


def test_a_shell_completes_verbs_options_runs_and_llms(project: Path) -> None:
    """What bash asks for is given: verbs, options, ids of runs, ids of LLMs in a comma list."""
    with Warm() as warm:
        asked = warm.run(
            project, environment(project), "ask", "-m", "sim/hasty", "--json", "What is 1 + 1?"
        )
        run_id = json.loads(asked.stdout)["run_id"]
        for words, wanted in (
            ("bmad workflow exec", "execute"),
            ("bmad workflow execute --det", "--detach"),
            (f"bmad show {run_id[:3]}", run_id),
            ("bmad ask -m sim/careful,sim/ha", "sim/careful,sim/hasty"),
            ("bmad workflow export --format ht", "html"),
        ):
            env = environment(project, _BMAD_COMPLETE="bash_complete", COMP_WORDS=words,
                              COMP_CWORD=str(len(words.split()) - 1))  # fmt: skip
            done = warm.run(project, env)
            assert f"plain,{wanted}" in done.stdout.splitlines(), (words, done.stderr)
        script = warm.run(project, environment(project), "completion", "zsh").stdout
        assert "#compdef bmad" in script
