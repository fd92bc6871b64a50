"""Examples of every verb, to be copied: `%bmad help VERB` and `--help` show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EXAMPLES: Mapping[str, Sequence[str]] = {
    "ask": ("%%bmad ask -m local -o r\nWhy does ice float?",
            "%%bmad ask -m sim/careful --chat trip\nWhere is it warm in May?"),
    "compare": (("%%bmad compare -m local,sim/careful,sim/hasty -n 3 --budget 0.05 -o r\n"
                 "Why does ice float?"),
                "%%bmad compare -m sim/* --over cases --reference right -o r\n{{ question }}"),
    "vote": ("%%bmad vote -m sim/careful,sim/hasty,sim/librarian -o r\nIs 91 prime?",),
    "consensus": (("%%bmad consensus -m sim/careful,sim/hasty,sim/librarian --threshold 0.6 -o r\n"
                   "What is the capital of Australia?"),),
    "best-of": ('%%bmad best-of -m sim/hasty -n 3 --judge "Is it short?" -o r\nName a tea.',),
    "ensemble": ("%%bmad ensemble -m sim/careful,sim/hasty -o r\nList three rivers.",),
    "review": ("%%bmad review -m sim/careful,sim/hasty -o r\nWrite a notice of two sentences.",),
    "consult": (('%%bmad consult -m sim/careful --expert "law@sim/librarian=a lawyer" -o r\n'
                 "May I fly a drone here?"),),
    "debate": ("%%bmad debate -m sim/careful,sim/hasty --rounds 2 -o r\nTabs or spaces?",),
    "cascade": (("%%bmad cascade -m sim/hasty,sim/calculator --strong sim/careful -o r\n"
                 "What is 17 * 3?"),),
    "refine": ("%%bmad refine -m sim/hasty --until 'score >= 0.9' --max 3 -o r\nWrite a haiku.",),
    "map": ("%%bmad map -m sim/hasty --over cases -o r\nSum up {{ text }}",),
    "plan": ("%bmad plan summary -p topic=ice --strategy adaptive",),
    "run": ("%bmad run summary -p topic=ice --budget 0.05 -o r",
            "%bmad run summary.yaml --dry-run"),
    "resume": ("%bmad resume 6b166d55 --budget +0.10",),
    "sweep": ("bmad sweep notebooks/05_papermill.ipynb --grid grid.yaml --budget-usd 0.50",
              "bmad sweep study.ipynb --grid grid.yaml --executor dask --parallel 4",
              "%bmad sweep study.ipynb --grid grid.yaml -o s"),
    "pause": ("%bmad pause 6b166d55",),
    "cancel": ("%bmad cancel 6b166d55",),
    "approve": ("%bmad approve 6b166d55", "%bmad approve 6b166d55 signoff accept"),
    "fork": ("%bmad fork 6b166d55 --at review -m sim/hasty=sim/careful -o r2",),
    "runs": ("%bmad runs --limit 5",),
    "show": ("%bmad show 1a2b3c4d -o r", "%bmad show r --only disagree --sort disagreement",
             "%bmad show r --baseline sim/hasty"),
    "diff": ("%bmad diff 1a2b3c4d 5e6f7a8b -o d",),
    "cost": ("%bmad cost", "%bmad cost --by day", "%bmad cost 1a2b3c4d --by task"),
    "chat": ("%bmad chat", "%bmad chat trip --show", "%bmad chat trip --drop 2",
             "%bmad chat trip --clear"),
    "judge": ("%bmad judge 1a2b3c4d -m sim/careful --pairwise",),
    "rate": ("%bmad rate 1a2b3c4d sim/careful 0.9", "%bmad rate r --blind",
             "%bmad rate r --blind A --best -o r"),
    "learned": ("%bmad learned", "%bmad learned --rollback 12"),
    "models": ("%bmad models", "%bmad models list sim/*"),
    "models list": ("%bmad models list openai",),
    "models check": ("%bmad models check ollama/llama3.2",),
    "models install": ("bmad models install smollm2-135m",),
    "models verify": ("%bmad models verify",),
    "doctor": ("%bmad doctor",),
    "demo": ("bmad demo --simulated",),
    "lab": ("bmad lab notebooks/00_quickstart.ipynb",),
    "status": ("%bmad", "bmad status --json"),
    "help": ("%bmad help", "%bmad help compare"),
    "build": ("%bmad build", "%bmad build summary.yaml"),
    "display": ("%bmad display static",),
    "trace": ("bmad trace 6b166d55 --endpoint http://127.0.0.1:4318/v1/traces",),
    "traceback": ("%bmad traceback", "%bmad --traceback"),
    "workflow": (("%%bmad workflow summary\ninputs: {topic: text}\n"
                  'tasks:\n  facts: {prompt: "Name a fact about {{ topic }}."}'),),
    "workflow execute": ("bmad workflow execute --definition summary.yaml --resume",),
    "workflow resume": ("bmad workflow resume 6b166d55",),
    "workflow validate": ("bmad workflow validate summary.yaml",),
    "workflow schema": ("bmad workflow schema",),
    "workflow pause": ("bmad workflow pause 6b166d55",),
    "workflow cancel": ("bmad workflow cancel 6b166d55",),
    "workflow approve": ("bmad workflow approve 6b166d55 signoff accept",),
    "workflow create": ("bmad workflow create --list",
                        "bmad workflow create --template code-review --set language=python"),
    "workflow import": ("bmad workflow import greenfield-service.yaml -o service.yaml",),
    "workflow analyze": ("bmad workflow analyze 6b166d55 --bottlenecks",),
    "completion": ("bmad completion fish",),
    "export": ("bmad workflow export --results 6b166d55 --format html --to run.html",),
    "import": ("bmad import run.json",),
    "metrics": ("bmad workflow metrics --execution-time --cost-efficiency",),
    "record": (("%%bmad record --over cases -m local,sim/careful --reference answer -o rec\n"
        "{{ question }}"),),
    "replay": ("%bmad replay rec --routers task-mean,learned -o found",
               "bmad replay answers.csv --train older.csv --plot prices"),
    "route": ("%bmad route summary --tasks auto --capabilities-aware",),
    "store": ("bmad store",),
    "store backup": ("bmad store backup backups/monday.db",),
    "store check": ("bmad store check",),
    "store prune": ("bmad store prune --older-than 30d --dry-run",),
    "store sizes": ("bmad store sizes --json",),
    "workflow collaborate": (('bmad workflow collaborate --task "Why does ice float?" '
        '--llms sim/careful,sim/hasty'),),
    "workflow consensus": (("bmad workflow consensus --results 1a2b3c4d,5e6f7a8b "
        "--method weighted --weights 0.9,0.6"),),
    "workflow ensemble": (("bmad workflow ensemble --results 1a2b3c4d --combine-outputs "
        "--quality-threshold 0.8"),),
    "workflow export": ("bmad workflow export --results 6b166d55 --format html --to run.html",),
    "workflow metrics": ("bmad workflow metrics --execution-time --cost-efficiency",),
    "workflow monitor": ("bmad workflow monitor --real-time --alerts-enabled --until-idle",),
    "workflow optimize": (("bmad workflow optimize --definition mail.yaml "
        "--objective cost --maintain-quality 0.8"),
        ("bmad workflow optimize --definition mail.yaml --trials-usd 0.05 --over cases.csv "
         "--reference right -m sim/hasty")),
    "workflow route": ("%bmad route summary --tasks auto --capabilities-aware",),
    "workflow status": ("bmad workflow status --active",),
}  # fmt: skip
"""Cells and lines by verb; a cell's text stands below its first line."""


def epilog(verb: str) -> str:
    """Return what stands below the help of a verb, so that click leaves its lines as they are."""
    lines = ["Examples:"]
    for example in EXAMPLES.get(verb, ()):
        lines += [f"  {line}" for line in example.splitlines()]
    if len(lines) == 1:
        return ""
    lines.append("--python and --cli print the equivalent instead of doing it.")
    lines.append("In a notebook --python --below puts it into a new cell.")
    return "\b\n" + "\n".join(lines)
