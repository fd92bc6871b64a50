"""Hostile expressions, templates and values, and a run of them all under an audit hook.

Run: python -m tests.hostile.expressions [planted]. It prints JSON: the outcome of each input, and
the audit events that were seen meanwhile; `planted` adds an import, a file and a text that is run.
"""

from __future__ import annotations

import collections
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bmad_nb import expressions, prompts
from bmad_nb.errors import TemplateError

ESCAPES = [
    "name.__class__", "name.__class__.__mro__[1].__subclasses__()", "answer.__class__",
    "answer._private", "().__class__.__bases__[0]", "''.__class__", "[].__class__.__base__",
    "len.__globals__", "len.__self__", "(1).__add__(1)", "1 .real", "name.__getattribute__('x')",
    "answer.__init__.__globals__['sys']", "__builtins__", "__import__('os').system('true')",
    "__name__", "_", "__", "globals", "vars", "builtins.open", "sys.modules", "os.environ['HOME']",
    "answer['__class__'].__name__", "json.__globals__", "json.loads", "csv.writer", "name.f_back",
    "(x for x in items).gi_frame", "[x for x in items].append", "answer.get('score')",
    "items.append(1)", "items.pop", "df.to_csv('x')", "df.__class__", "df.eval('n + 1')",
    "frame.f_globals", "lower.__call__('A')", "any.__self__.__import__('os')",
]  # fmt: skip
CALLS = [
    "open('/etc/passwd')", "eval('1')", "exec('1')", "compile('1', '', 'eval')", "input()",
    "getattr(name, 'upper')", "setattr(answer, 'a', 1)", "globals()", "locals()", "vars()", "dir()",
    "type(name)", "type('X', (), {})", "object()", "super()", "print(name)", "exit()", "quit()",
    "breakpoint()", "help()", "id(name)", "hash(name)", "iter(items)", "map(len, items)",
    "str(n)", "int('9' * 99)", "bytes(10)", "range(10**9)", "list(items)", "memoryview(items)",
    "pow(9, 99)", "divmod(1, 0)", "__import__('os')", "name.upper()", "items[0]()", "len(items)()",
    "(lambda: 1)()", "[len][0](items)", "(len if n else max)(items)", "len(*items)",
    "head(items, count=2)", "head(items, **answer)", "max(*items, key=len)", "sorted(items, key=len)",
    "head()", "head(items, 1, 2)", "coalesce()", "round(1, 2, 3)", "sum([items], [])", "len(len)",
]  # fmt: skip
NOT_IN_THE_LANGUAGE = [
    "lambda: 1", "lambda x: x", "(n := 4)", "[n := 4]", "[(y := x) for x in items]", "await n",
    "yield", "(yield n)", "(yield from items)", "*items", "[*items]", "(*items, 1)", "f'{name}'",
    "f'{name.__class__}'", "f'{name!r:>{n}}'", "{x: 1 for x in items}", "{x for x in items}",
    "{'a': 1}", "{1, 2}", "{**answer}", "...", "b'bytes'", "1j", "n ** 2", "n << 2", "n >> 2",
    "n | 1", "n & 1", "n ^ 1", "~n", "n @ n", "n is 3", "n is not items", "None is n", "n is name",
    "(x for x in items)", "max((x for x in items), 1)", "[x async for x in items]",
    "[x for answer.y in [items]]", "[x for items[0] in items]", "[x for (a, (b, c)) in items]",
    "[1 for () in items]", "[1 for *a, in items]", "[1 for _x in items]", "[true for true in items]",
    "[1 for len in items]", "items[::1]", "items[::10**20]", "items[0:9:99999999]", "items[1:2, 3]",
    "n; n", "n = 3", "n == 3 = 4", "import os", "del n", "assert n", "raise n", "pass", "if n: n",
    "while True: pass", "print name", "n if n", "else", "n!", "n?", "$n", "`n`", "n n", "@n", "{{ n }}",
]  # fmt: skip
FORMATS = [
    "'{0.__class__}'.format(name)", "'%s' % name", "'%(x)s' % answer", "'%999999999d' % 1",
    "name % n", "name % items", "'{}'.format", "name.format_map(answer)", "'a' + 1", "1 + 'a'",
    "'%*d' % (99999999, 1)",
]  # fmt: skip
BOMBS = [
    "9**9**9", "10**10**10", "'a' * 10**9", "'a' * 1000000000", "[0] * 1000000000", "name * n",
    "items * 2", "2 * items", "(1,) * 99999999", "big * 11", "huge + 1", "huge * huge", "-huge",
    "huge % 7", "round(huge)", "abs(huge)", "sum([huge, huge])", "json(huge)", "lower(huge)",
    "9" * 999, "0x" + "f" * 500, "1e999", "-1e999", "1e308 * 10", "1e308 + 1e308", "nan + 1",
    "sum([1e308, 1e308])", "infinite + 1", "1 / 0", "1 // 0", "1 % 0", "1.0 / 0.0", "0.0 % 0.0",
    "million * million * million * million * million * million",
    "[x for x in long for y in long]", "[[x for x in long] for y in long]",
    "sum(1 for x in long for y in long)", "sum(sum(y for y in long) for x in long)",
    "any(x < 0 for x in long for y in long)", "all(x >= 0 for x in long for y in long)",
    "sorted(x for x in long)", "max(long)", "sum(long)", "csv(long)", "json(long + long + long)",
    "long + long", "long == long", "long in [long, long]", "[long, long] == [long, long]",
    "text + text", "[text + 'a' for x in items for y in items for z in items for w in items]",
    "[upper(text) for x in long]", "csv([text for x in head(long, 5000)])",
    "json([text for x in head(long, 5000)])", "sum(len(text[1:]) for x in head(long, 4999))",
    "json(doubled)", "csv([doubled])", "doubled == doubled_too", "doubled in [doubled_too]",
    "sorted([doubled, doubled_too])", "max(doubled, doubled_too)", "coalesce(doubled)",
    "[x for x in head(long, 4000) if text[x:] == 'a']", "[coalesce(keys.key, 1) for x in long]", "[len(json(keys)) for x in long]", "circle == circle", "circle < circle",
    "json(circle)", "csv(circle)", "sorted(circle)", "json(deep)", "deep == deeper",
    "round(1, -999999999)", "round(n, 999999999)", "head(items, 10000000)",
    "max([a for a in long], [b for b in long])",
    "sum(1 " + "for a in items " * 60 + ")", "any(0 " + "for a in long " * 60 + ")",
    "[a" + " for a in a" * 90 + "]",
]  # fmt: skip
DEPTHS = [
    "(" * 400 + "n" + ")" * 400, "[" * 400 + "]" * 400, "len(" * 200 + "n" + ")" * 200,
    "n" + "[0]" * 300, "n" + ".a" * 499, "n" + "()" * 400, "-" * 900 + "1", "-" * 50_000,
    "-" * 50_000 + "1", "not " * 200 + "1", "~" * 900 + "n", "n" + " + n" * 200, "n" + "**n" * 300,
    "n if n else " * 80 + "n", "[x for x in " * 70 + "n" + "]" * 70, "lambda: " * 120 + "1",
    "(" * 999, "[" * 999, "{" * 999, "((" * 50_000, "not(" * 240 + "n" + ")" * 240,
    "f'" + "{f'" * 20, "'" * 999, '"' * 997, "\\" * 999, "\n" * 900 + "(", "x" * 10_000,
    "9" * 5_000, "3" + "<4" * 300 + "<'a'" + "<n" * 300,
    "n." * 499,
]  # fmt: skip
UNICODE = [
    "\x00", "n\x00", "'\x00", "\ud800", "n.\ud800", "'\ud800", "\udfff\ud800", "'\\N{nothing}'",
    "'\\ud800' + 1", "'\\U99999999'", "'\\x'", "ｅｖａｌ('1')", "answer.＿＿class＿＿",
    "＿＿import＿＿('os')", "name.__ｃlass__", "оpen('x')", "\u202en\u202c", "n\u200b", "n\u2028+1", "\ufeffn",
    "\u2066n\u2069", "n\u00ad", "١ + n n", "²", "½", "n\u037e n", "‘n’", "n\x0b\x0c\x1c n", "\x1b[31mn",
    "a\u0301b\u0301", "𝐥𝐞𝐧(1)", "\ue000", "\U0010ffff", "# only a comment", "n # a comment", "n # it's", "'#' # n", "\\\n", "n\\",
]  # fmt: skip
TYPES = [
    "nothing.x", "nothing[0]", "nothing['x']", "nothing < 3", "'a' < 1", "3 > 'a'", "nothing + 1",
    "true + 1", "-true", "true * 3", "answer + answer", "answer < answer", "items < 3", "-name",
    "+items", "1 in 2", "1 in nothing", "1 in 'a'", "items in name", "items - items", "name - name",
    "items + (1,)", "items + name", "abs(name)", "abs(true)", "round(name)", "round(1.5, 'x')",
    "round(1.5, true)", "sum(name)", "sum(items)", "sum(n)", "max(items, n)", "max([])", "min(nothing)",
    "min(name)", "max(name, 1)", "sorted([1, 'a'])", "sorted(n)", "sorted(name)", "any(n)", "all(nothing)",
    "any(name)", "len(n)", "len(nothing)", "lower(items)", "upper(nothing)", "lower(answer)",
    "head(n, 2)", "head(answer, 2)", "head(items, -1)", "head(items, 'x')", "head(items, true)",
    "json(df)", "json(view)", "csv(n)", "csv(name)", "csv(nothing)", "[x for x in n]", "[x for x in name]",
    "[x for x in nothing]", "[a for a, b in items]", "[a for a, b in [[1, 2, 3]]]", "items['x']",
    "items[0.0]", "items[items]", "items[nothing]", "answer[items]", "df[df]", "df.shape", "name.upper",
    "n.real", "items[3]", "items[-4]", "items['a':]", "items[0.5:]", "items[true:]", "n[1:]",
    "answer[1:]", "nothing[:]", "nme", "answer.scor", "df.nothing", "items[10**30]", "if_", "len",
    "array and 1", "array == array", "not array", "1 if df else 2", "df == df", "df and df",
    "raising", "raising.x", "skipped.out.deep",
]  # fmt: skip
EMPTY = ["", " ", "\n\t", "\u3000"]
EXPRESSIONS = {
    "sandbox escapes": ESCAPES,
    "calls": CALLS,
    "not in the language": NOT_IN_THE_LANGUAGE,
    "formats": FORMATS,
    "bombs": BOMBS,
    "depths and lengths": DEPTHS,
    "unicode": UNICODE,
    "types": TYPES,
    "empty": EMPTY,
}
"""Expressions of which each must end in a typed error, by kind."""

RIGHT = {
    "answer['__class__']": "only a key",
    "head(long, 3)[999999999999999999999999:]": [],
    "items[-99999999999999999999:99999999999999999999]": ["x", "y", "z"],
    "'#' + name": "#Ada",
    "'%s{0}' + '{{ n }}'": "%s{0}{{ n }}",
    "'\u202e' + name": "\u202eAda",
    "len('\\ud800')": 1,
    "big * 10": 10**30,
    "1 / 0 if false else 10": 10,
    "true or 1 / 0": True,
    "nan == nan": False,
    "nan < 1": False,
    "circle is None": False,
    "raises is None": False,
    "coalesce(nme, nothing.x, 3)": 3,
    "ｌｅｎ(items)": 3,
    "𝔫𝔬𝔱𝔥𝔦𝔫𝔤": None,
    "any(x == 0 for x in long)": True,
    "[x for x in " * 15 + "items" + "]" * 15 + "[0][0]": "x",
    "n" + "<n" * 300 + "<'a'": False,
    "skipped.out": None,
    "1 in array": True,
    "len(text) + len(long)": 1_000_000,
}
"""Expressions that look hostile and have a right value."""

TEMPLATES = [
    "{{ }}", "{{}}", "{{ n", "{{ n }", "}} {{", "{{ {{ n }} }}", "{{ n }}}}", "{{{ n }}}",
    "{{ '}}' + 1 }}", "{{ it's }}", "{{ 'a }} b {{ n }}", '{{ "a }}', "{{ # }}", "{{ n }}" * 1001,
    "{{ text }}" * 30, "{{" * 50_000, "}}" * 50_000, "{{ '" * 50_000, "{{ '" * 50_000 + "}}",
    "{{ ' }}" * 900 + "'" * 90_000, "{{ \\' }}" + "\\'" * 90_000, "{{ " + '"' * 90_000 + " }}",
    "{{" + "}" * 100_000, "{{" * 50_000 + "}}", "{" * 100_000, "{{ n" + " " * 100_000 + "}}",
    "{{ n" + "\n" * 900_000, "a" * 1_000_001, "{{ n.__class__ }}", "{% for x in y %}", "${n}",
    "{{ n | upper }}", "{{ n }}{% raw %}", "<%= n %>", "{{ 9**9**9 }}", "{{ json({'a':1}) }}",
    "{{\x00}}", "{{ \ud800 }}", "{{ raising }}", "{{ circle }}", "{{ doubled }}", "{{ deep }}",
    "{{ huge }}", "{{ df }}", "{{ [nan, infinite] }}", "{{ [df, df] }}", "{{ ''' }} ''' }}",
    "{{ '\\'}}' }}", "{{ n # ' }}{{ n # ' }}", "{{ n # ' }}" * 900 + "'a" * 400_000, "{{ -" + "-" * 50_000 + " }}",
]  # fmt: skip
"""Templates of which each must end in a text or a typed error."""

FORMS = [
    "v", "v.x", "v['x']", "v[0]", "v[-1]", "v[1:2]", "w[v]", "w[v:]", "v + 1", "1 + v", "v + v",
    "v * 2", "v / v", "v % 2", "-v", "not v", "v == v", "v == w", "w != v", "v < v", "v >= 1",
    "v in v", "1 in v", "v in w", "'a' not in v", "v is None", "v and 1", "v or 1", "1 if v else 2",
    "[x for x in v]", "[a + b for a, b in v]", "[a for a, b in [v, w]]", "[v, v]", "(v, [v])",
    "any(x for x in v)", "any(x == v for x in w)", "abs(v)", "all(v)", "any(v)", "coalesce(v.x, v)",
    "csv(v)", "csv([v])", "csv([w, v])", "head(v)", "head(v, 2)", "head(w, v)", "json(v)", "json([v])",
    "len(v)", "lower(v)", "max(v)", "max(v, v)", "min([v, v])", "round(v)", "round(v, 1)",
    "round(1, v)", "sorted(v)", "sorted([v, v])", "sum(v)", "sum([v])", "upper(v)",
]  # fmt: skip
"""Expressions that are tried with each of the hostile values as `v` and a list as `w`."""


def _raise(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a hostile object was touched")


class Raising:
    """Raises from everything that Python asks an object."""

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _raise
    __len__ = __getitem__ = __iter__ = __contains__ = __bool__ = __repr__ = __str__ = _raise
    __add__ = __radd__ = __mul__ = __neg__ = __abs__ = __round__ = __int__ = __float__ = _raise


class RaisingList(list[Any]):
    """A list that raises when it is read."""

    __eq__ = __len__ = __getitem__ = __iter__ = __add__ = __repr__ = _raise
    __hash__ = None  # type: ignore[assignment]


class RaisingMapping(Mapping[str, Any]):
    """A mapping that raises when it is read."""

    __getitem__ = __len__ = __iter__ = __contains__ = _raise
    spelled = property(_raise)
    absent = property(_raise)


class Endless(collections.UserList[Any]):
    """A list that says three and never ends."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield 1


class Result(dict[str, Any]):
    """A task's result, as the engine gives it to expressions."""

    def __init__(self, spelled: str, *, absent: bool = False, **fields: Any) -> None:
        super().__init__(**fields)
        self.spelled = spelled
        self.absent = absent


class BadText(Exception):
    """An error whose text is another error."""

    __str__ = __repr__ = _raise


def _nested(levels: int, *, twice: bool = False) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value, value] if twice else [value]
    return value


def _circle() -> list[Any]:
    circle: list[Any] = [1]
    circle.append(circle)
    return circle


VALUES: dict[str, Any] = {
    "name": "Ada",
    "n": 3,
    "items": ["x", "y", "z"],
    "answer": {"score": 0.5, "__class__": "only a key", "a": {"b": [7]}},
    "nothing": None,
    "df": pd.DataFrame({"q": ["one", "two"], "n": [1, 2]}),
    "array": np.arange(6).reshape(2, 3),
    "long": list(range(100_000)),
    "text": "t" * 900_000,
    "keys": {f"key{n}": n for n in range(1000)},
    "big": 10**29,
    "million": 10**6,
    "huge": 10**5000,
    "nan": float("nan"),
    "infinite": float("inf"),
    "view": {1: 2}.values(),
    "circle": _circle(),
    "doubled": _nested(60, twice=True),
    "doubled_too": _nested(60, twice=True),
    "deep": _nested(100_000),
    "deeper": _nested(100_000),
    "raises": Raising(),
    "skipped": Result("", absent=True),
}
"""What the hostile expressions and templates are evaluated over."""

OBJECTS: dict[str, Any] = {
    **{name: value for name, value in VALUES.items() if not name.startswith("doubled")},
    "raising list": RaisingList([1, 2]),
    "raising mapping": RaisingMapping(),
    "endless": Endless([1]),
    "result": Result("a text", score=1),
    "bad error": BadText(),
    "bool": True,
    "float": -0.0,
    "empty": [],
    "surrogate": "\ud800\x00",
    "bytes": b"\xff",
    "set": {1, "a"},
    "generator": iter([1, 2]),
    "numpy number": np.int64(3),
    "numpy bool": np.bool_(True),
    "numpy nan": np.float32("nan"),
    "column": pd.Series([1, None]),
    "missing": pd.NA,
    "time": pd.Timestamp("2026-01-01"),
    "class": Raising,
    "function": _raise,
    "rows": [{"a": "=1"}, {"b": -1}],
    "keys": {1: 2, None: 3, (1, 2): 4},
    "complex": 1j,
}
"""Each of them is put into every form."""


def outcome(do: Callable[[], Any]) -> str:
    """Return how a piece of work ended: the class and message of its error, or its value."""
    try:
        return f"value {expressions.brief(do())}"
    except TemplateError as error:
        return f"{type(error).__name__} {error.what}"
    except BaseException as error:
        return f"ESCAPED {type(error).__name__}"


def evaluated(source: str, values: Mapping[str, Any] = VALUES) -> Any:
    """Return the value of an expression."""
    return expressions.evaluate(expressions.parse(source), values)


def everything() -> dict[str, dict[str, str]]:
    """Return the outcome of each hostile input, by group."""
    sources = [source for group in EXPRESSIONS.values() for source in group]

    def formed(form: str, value: Any) -> str:
        values = {"v": value, "w": ["a", 1, value]}

        def work() -> str:
            tree = expressions.parse(form)
            json.dumps(expressions.shown_values(tree, values), allow_nan=False)
            return prompts.as_text(expressions.evaluate(tree, values))

        return outcome(work)

    return {
        "expressions": {s: outcome(lambda s=s: evaluated(s)) for s in sources},
        "right": {s: outcome(lambda s=s: evaluated(s)) for s in RIGHT},
        "templates": {t: outcome(lambda t=t: prompts.fill(t, VALUES)) for t in TEMPLATES},
        "forms": {f"{f} with {k}": formed(f, v) for k, v in OBJECTS.items() for f in FORMS},
    }


def main(planted: bool) -> None:
    """Run everything once to load what libraries load late, and again under the hook."""
    seen: list[str] = []
    listening = False

    def listen(event: str, _: tuple[Any, ...]) -> None:
        if listening and event != "compile":
            seen.append(event)

    sys.addaudithook(listen)
    found = {} if planted else everything()
    listening = True
    if planted:
        exec(compile("import colorsys", "planted", "exec"))
        Path(__file__).open().close()
    else:
        found = everything()
    listening = False
    print(json.dumps({"outcomes": found, "events": sorted(set(seen))}))


if __name__ == "__main__":
    main("planted" in sys.argv)
