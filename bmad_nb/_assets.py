"""Finds the files that lie beside the code in a checkout and inside the package in a wheel.

The browser halves of the widgets are plain ES modules. A front end loads a widget from one text, in
which a relative import cannot be resolved, so `esm` links a module and what it imports into one.
Nothing is built: the linked text is made when a widget is first used.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path, PurePosixPath

from bmad_nb.errors import UsageProblem

_PACKAGE = Path(__file__).parent
_IMPORT = re.compile(
    r"^import \{ (?P<names>[\w$]+(?: as [\w$]+)?(?:, [\w$]+(?: as [\w$]+)?)*) \} "
    r'from "(?P<path>\.{1,2}/[\w./-]+\.js)";$',
    re.MULTILINE,
)
_EXPORT = re.compile(
    r"^export (?=(?:async function\*?|function\*?|class|const) ([\w$]+))", re.MULTILINE
)
_STATEMENT = re.compile(r"^[ \t]*(?:import\b(?!\.)|export\b).*$", re.MULTILINE)


def notebook(name: str) -> Path:
    """Return the path of one of our notebooks.

    Raises:
        UsageProblem: this installation does not have it.
    """
    return _found("notebooks", name)


def css(name: str) -> str:
    """Return the style of a widget: the common one, and its own where it has one.

    Raises:
        UsageProblem: this installation does not have it.
    """
    base = _found("widgets", "base.css")
    own = base.with_name(f"{name}.css")
    return "\n".join(each.read_text("utf-8") for each in (base, own) if each.is_file())


@functools.cache
def esm(name: str) -> str:
    """Return the ES module of a widget, with all that it imports in one text.

    Raises:
        UsageProblem: this installation does not have it, or an import or export has a form that
            the linker does not know.
    """
    folder = _found("widgets", f"{name}.js").parent
    linked: dict[str, str] = {}
    entry = _link(folder, f"{name}.js", linked, ())
    return "\n".join([*linked.values(), entry])


def _found(folder: str, name: str) -> Path:
    # in an editable install the packaged folder does not exist beside the imported code
    for place in (_PACKAGE / "_shared" / folder, _PACKAGE.parent / folder):
        if (place / name).is_file():
            return place / name
    raise UsageProblem(
        f"{folder}/{name} is not part of this installation.",
        hint="Install bmad-nb again, or run from a checkout.",
    )


def _link(folder: Path, path: str, linked: dict[str, str], way: tuple[str, ...]) -> str:
    """Return the text of a module whose imports are names; what it imports goes into `linked`.

    The only forms are `import { a, b as c } from "./lib/x.js";` on one line, and `export` before a
    function, a class or a const at the start of a line. Each imported file has a scope of its own.
    """
    if path in way:
        raise UsageProblem(f"widgets/{path} imports itself by a detour: {' > '.join(way)}.")
    source = _found("widgets", path).read_text("utf-8")

    def named(found: re.Match[str]) -> str:
        target = _joined(PurePosixPath(path).parent, found["path"])
        if target not in linked:
            text = _link(folder, target, linked, (*way, path))
            names = ", ".join(_EXPORT.findall(text))
            body = _EXPORT.sub("", text)
            linked[target] = (
                f"const {_scope(target)} = (() => {{\n{body}\nreturn {{ {names} }};\n}})();"
            )
        return f"const {{ {found['names'].replace(' as ', ': ')} }} = {_scope(target)};"

    text = _IMPORT.sub(named, source)
    known = [each.end() for each in _EXPORT.finditer(text)]
    for left in _STATEMENT.finditer(text):
        entry = not way and left[0].startswith("export default ")
        if not entry and not any(left.start() <= end <= left.end() for end in known):
            raise UsageProblem(f"widgets/{path}: the linker does not know the form of {left[0]!r}.")
    return text


def _joined(folder: PurePosixPath, path: str) -> str:
    """Return a relative path from the folder of the widgets on."""
    parts: list[str] = []
    for part in (*folder.parts, *PurePosixPath(path).parts):
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _scope(path: str) -> str:
    """Return the name under which a linked file stands."""
    return "_" + re.sub(r"\W", "_", path.removesuffix(".js"))
