"""Hostile documents, by category; none may do more than load or be refused."""

from __future__ import annotations

from collections.abc import Iterator

SIZE = 256 * 1024 - 64
"""Characters of the large ones, just under the limit."""
VALUES = {
    "a list": "[1, [2]]",
    "a mapping": "{q: {r: 1}}",
    "a number": "-7",
    "null": "null",
    "true": "true",
    "a text": "' {{ '",
}
"""What is put into every field of the model."""
FIELDS = {
    "top": "workflow version title description inputs strategy objectives limits defaults tasks "
    "outputs metadata",
    "task": "title type prompt system messages python workflow approve set reduce with needs when "
    "else join llm route params output checks map refine collaborate limits retry timeout fallback "
    "priority cache checkpoint metadata",
    "limits": "cost tokens calls time concurrency on_limit",
    "route": "models exclude capabilities min_quality max_cost max_latency context prefer policy "
    "cascade accept",
    "retry": "attempts backoff factor max_backoff jitter for",
    "refine": "until judge prompt max min_gain patience keep on_exhausted",
    "map": "over as max_items concurrency min_success key",
    "approve": "ask show options form timeout on_timeout",
    "collaborate": "type models n diverse method threshold quorum rounds stop_early judge anonymous "
    "weights synthesizer experts on_disagree",
    "reduce": "from prompt python batch",
    "params": "temperature top_p max_tokens seed extra",
}
"""Keys by the part that has them."""


def _many(piece: str) -> str:
    return piece * (SIZE // len(piece))


def _counted(piece: str, size: int = SIZE) -> str:
    """Return a piece with a running number, as often as it fits."""
    return "".join(piece.format(n) for n in range(size // (len(piece) + 4)))


def _task(body: str) -> str:
    return f"workflow: w\ntasks:\n  a: {body}\n"


def bombs() -> dict[str, str | bytes]:
    """Return the documents that are made to take long or to take much."""
    lines = {
        "flow lists": "[" * 100_000,
        "flow lists in a value": "a: " + "[" * 100_000,
        "flow mappings": "{a: " * 50_000,
        "flow lists and lines": "[\n" * 100_000,
        "block lists": "- " * 100_000,
        "block mappings": "".join(" " * n + "a:\n" for n in range(600)),
        "questions": _many("? a\n"),
        "questions in one line": _many("? "),
        "questions in brackets": "a: {" + _many("? a, ")[:-8] + "}",
        "brackets as keys": "a: [" + _many("[]: b,")[:-8] + "]",
        "keys": _counted("k{}: 1\n"),
        "keys in brackets": "a: {" + _counted("k{}: 1, ", SIZE - 9_000) + "}",
        "keys without values": _counted("k{}:\n"),
        "equal keys": _many("a: 1\n"),
        "candidates for keys": "a: [" + _many("b, ")[:-8] + "]",
        "long keys": _counted("k" * 1000 + "{}: 1\n"),
        "a key of a megabyte": "k" * 1_000_000 + ": 1",
        "one key": "k" * (SIZE - 8) + ": 1",
        "items": "a:\n" + _many("- 1\n")[:-4],
        "empty items": _many("-\n"),
        "one plain text": "a: " + _many("b ")[:-4],
        "a plain text of many lines": "a: " + _many("b\n ")[:-4],
        "a quoted text": 'a: "' + "x" * (SIZE - 8) + '"',
        "a quoted text of many lines": 'a: "' + _many("x\n ")[:-9] + '"',
        "escapes": 'a: "' + _many("\\n")[:-8] + '"',
        "doubled quotes": "a: '" + _many("''")[:-8] + "'",
        "a quote that stays open": 'a: "' + _many("x\n ")[:-4],
        "a literal text": "a: |\n" + _many(" x\n")[:-6],
        "a folded text": "a: >\n" + _many(" x\n\n")[:-8],
        "blank lines": "a: |\n" + "\n" * (SIZE - 8) + "  x",
        "one comment": "a: 1 #" + "c" * (SIZE - 8),
        "comments": "a: 1\n" + _many("# c\n")[:-8],
        "comments in brackets": "a: [\n" + _many("b, # c\n")[:-8] + "]",
        "comments at stairs": "a:\n" + "".join(" " * (n % 300) + "#\n" for n in range(1500)),
        "commas": "a: [" + "," * (SIZE - 8),
        "colons": "a" + _many(": ")[:-4],
        "colons without blanks": "a: " + _many("b:")[:-4],
        "anchors": "a: [" + _many("&a b, ")[:-8] + "]",
        "aliases": "a: [" + _many("*a, ")[:-8] + "]",
        "an alias bomb": "a: &a [x]\n"
        + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
        ),
        "tags": "a: [" + _many("!x b, ")[:-8] + "]",
        "one tag": "a: !" + "x" * (SIZE - 8),
        "an escaped tag": "a: !<" + _many("%41")[:-8] + ">",
        "tag directives": _counted("%TAG !{}! x\n") + "---\na: 1",
        "directives": _many("%YAML 1.2\n"),
        "documents": _many("---\n"),
        "ends": "a: 1\n" + _many("...\n")[:-8],
        "digits": "a: " + "9" * (SIZE - 8),
        "hexadecimal digits": "a: 0x" + "f" * (SIZE - 8),
        "a float": "a: " + "1" * (SIZE - 8) + ".5",
        "carriage returns": "a: 1\n" + "\r" * (SIZE - 8),
        "NEL": "a: b\n" + "\x85" * (SIZE // 2 - 8),
        "too large": "a: " + "x" * 300_000,
        "dashes": "-" * SIZE,
        "dots": "." * SIZE,
    }
    return {**lines, **_names()}


def _names() -> dict[str, str | bytes]:
    """Return documents whose names are many, long, or read each other."""
    ring = "".join(f"  t{n}: {{prompt: '{{{{ t{n + 1} }}}}'}}\n" for n in range(3900))
    unknown = "".join(f"  t{n}: {{prompt: '{{{{ x{n} }}}}'}}\n" for n in range(4500))
    return {
        "a ring of tasks": "workflow: w\ntasks:\n" + ring + "  t3900: {prompt: '{{ t0 }}'}\n",
        "unknown names": "workflow: w\ntasks:\n" + unknown,
        "unknown needs": "workflow: w\ntasks:\n  a:\n    prompt: x\n    needs: ["
        + _counted("n{}, ", 100_000) + "]\n",
        "unknown keys": "workflow: w\ntasks:\n  a:\n" + _counted("    promt{}: 1\n", 200_000),
        "a name of 10,000 characters": "workflow: w\ntasks:\n  ? " + "a" * 10_000 + "\n  : {prompt: x}\n",
        "a need of 10,000 characters": _task("{prompt: x, needs: [" + "a" * 10_000 + "]}"),
        "an id of 10,000 characters": "workflow: " + "w" * 10_000 + "\ntasks: {a: {prompt: x}}\n",
        "holes": _task('{prompt: "' + "{{ a }}" * 30_000 + '"}'),
        "open holes": _task('{prompt: "' + "{{" * 100_000 + '"}'),
        "brackets in an expression": _task("{prompt: x, when: '" + "(" * 900 + "'}"),
        "nots in an expression": _task("{prompt: x, when: '" + "not " * 240 + "x'}"),
    }  # fmt: skip


def signs() -> dict[str, str | bytes]:
    """Return documents with characters and bytes that break readers."""
    return {
        "nothing": "", "blanks": "   \n  ", "a tab": "\t", "a mark": "\ufeff", "a comment": "# x",
        "NUL": "a: \x00", "NUL bytes": b"\x00" * 100, "bell": "a: \x07", "escape": "a: \x1b[2J",
        "DEL": "a: \x7f", "a lone surrogate": "a: \ud800", "half a pair": 'a: "\\ud800"',
        "no character": "a: \ufffe", "wrong UTF-8": b"a: \xff\xfe", "cut UTF-8": b"a: \xe2\x82",
        "long UTF-8": b"a: \xc0\xaf", "Latin-1": "a: ü".encode("latin-1"),
        "UTF-16 with a mark": "a: 1".encode("utf-16"), "UTF-16": "a: 1".encode("utf-16-be"),
        "UTF-32": "a: 1".encode("utf-32"), "marks inside": "a: \ufeff\ufeffb",
        "a wide escape": 'a: "\\UFFFFFFFF"', "a wrong escape": 'a: "\\q"', "a cut escape": 'a: "\\x',
        "an open list": "a: [", "an open mapping": "a: {", "an open quote": "a: 'x",
        "a closed list": "a: ]", "a closed mapping": "}", "tab indents": "a:\n\tb: 1\n",
        "a tab in a list": "a:\n-\tb\n\t- c\n", "wrong indent": "a:\n    b: 1\n  c: 2\n",
        "an at sign": "a: @b", "a backtick": "a: `b`", "a percent sign": "a: %b", "a bar": "a: |9x",
        "a star": "a: *", "an ampersand": "a: &", "an exclamation mark": "a: !", "two colons": "a: : b",
        "a question": "?", "a dash": "-", "an end": "...", "a beginning": "---",
        "two documents": "---\na: 1\n---\nb: 2\n", "YAML 9.9": "%YAML 9.9\n---\na: 1\n",
        "a directive": "%FOO\n---\na: 1\n", "a list": "- a", "a scalar": "a", "a number": "7",
    }  # fmt: skip


def attacks() -> dict[str, str | bytes]:
    """Return documents that want something to be run, read or reached."""
    tags = ["!!python/object:os.system", "!!python/object/apply:os.system ['id']", "!!python/name:os",
            "!!python/module:os", "!!python/object/new:os.system", "!!binary aGk=", "!!set {a}",
            "!!timestamp 2020-01-01", "!include /etc/passwd", "!ENV HOME", "!<tag:x,2002:y> z",
            "!!merge a", "!!str 5", "!!omap [a: 1]"]  # fmt: skip
    holes = ["a.__class__", "__import__('os')", "().__class__.__bases__", "open('/etc/passwd')",
             "a.text.__init__.__globals__", "lambda: 1", "[x for x in [1]]*10**9", "9**9**9",
             "'a'*10**9", "f'{a}'", "(yield)", "x := 1", "eval('1')", "a['__class__']", "*a"]  # fmt: skip
    values = {f"tag {n}": f"workflow: w\ntitle: {tag}\n" for n, tag in enumerate(tags)}
    values |= {
        f"hole {n}": _task(f'{{prompt: "{{{{ {hole} }}}}"}}') for n, hole in enumerate(holes)
    }
    values |= {f"condition {n}": _task(f'{{prompt: x, when: "{h}"}}') for n, h in enumerate(holes)}
    return {
        **values,
        "python os": _task("{python: 'os:system', with: {command: id}}"),
        "python without a colon": _task("{python: os.system}"),
        "python path": _task("{python: '../../evil.py:run'}"),
        "workflow path": _task("{workflow: ../../etc/passwd}"),
        "workflow url": _task("{workflow: 'http://192.0.2.1/x'}"),
        "id with a path": "workflow: ../../x\ntasks: {a: {prompt: x}}\n",
        "task with a path": "workflow: w\ntasks: {../a: {prompt: x}}\n",
        "task with NUL": 'workflow: w\ntasks: {"a\\0": {prompt: x}}\n',
        "reserved task": "workflow: w\ntasks: {import: {prompt: x}}\n",
        "reserved input": "workflow: w\ninputs: {len: text}\ntasks: {a: {prompt: x}}\n",
        "private task": "workflow: w\ntasks: {__class__: {prompt: x}}\n",
        "private key": "workflow: w\n__class__: x\n_source: y\nmodel_config: {}\ntasks: {a: {prompt: x}}\n",
        "self": "workflow: w\nself: x\ntasks: {a: {prompt: x, self: y}}\n",
        "a schema that reaches out": _task(
            "{prompt: x, output: {type: object, $ref: 'file:///etc'}}"
        ),
        "a slow pattern": _task("{prompt: x, output: {y: {type: string, pattern: '(a+)+$'}}}"),
        "types as a list": _task("{prompt: x, output: {y: {type: [string, integer], enum: [a]}}}"),
        "an enum that is none": _task("{prompt: x, output: {enum: x}}"),
        "infinity": _task("{prompt: x, params: {temperature: .inf}}"),
        "not a number": _task("{prompt: x, route: {min_quality: .nan}}"),
        "a huge exponent": _task("{prompt: x, params: {temperature: 1e999}}"),
        "a merge": "workflow: w\n<<: {tasks: {}}\n",
        "a merge in a task": _task("{<<: {prompt: x}}"),
        "a key that is true": _task("{prompt: x, true: y}"),
        "a key that is null": _task("{prompt: x, null: y}"),
        "a key that is a number": _task("{prompt: x, 1: y}"),
        "original without id": "tasks: [{name: x}]\n",
        "original with junk": "id: w\ntasks: [1, null, [x], {id: 5}, {id: a, inputs: [1]}]\n",
        "original with holes": "id: w\ntasks: [{id: 'a}} {{ b', dependencies: ['}} {{ 1']}]\n",
        "original with many": "id: w\ntasks:\n" + "- {id: a, dependencies: [a]}\n" * 2000,
    }


def misfits() -> Iterator[tuple[str, str]]:
    """Yield documents with a value of each kind in each field of the model."""
    for part, keys in FIELDS.items():
        for key in keys.split():
            for kind, value in VALUES.items():
                yield f"{part}.{key} is {kind}", _misfit(part, key, value)


def _misfit(part: str, key: str, value: str) -> str:
    if part == "top":
        rest = {"workflow": "w", "tasks": "{a: {prompt: x}}"}
        return "".join(f"{k}: {v}\n" for k, v in {**rest, key: value}.items())
    if part == "task":
        verb = "" if key == "prompt" else "prompt: x, "
        return _task(f"{{{verb}{key}: {value}}}")
    verb = "" if part in {"approve", "reduce"} else "prompt: x, "
    return _task(f"{{{verb}{part}: {{{key}: {value}}}}}")


def everything() -> dict[str, str | bytes]:
    """Return all hostile documents by name."""
    return {**bombs(), **signs(), **attacks(), **dict(misfits())}
