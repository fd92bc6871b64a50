"""The notebooks of a sweep: what a grid says, checked before anything is run or written."""

from __future__ import annotations

import ast
import itertools
import keyword
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmad_nb import documents
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.messages import fingerprint
from bmad_nb.secrets import looks_secret

MOST = 10_000
"""Notebooks of one sweep."""
_UNSAFE = re.compile(r"[^a-z0-9]+")
_HOW = "Write a list of values for each parameter, such as topic: [ice, tea]."
Grid = str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """One notebook of a sweep."""

    number: int
    """Its place, from 1."""
    parameters: Mapping[str, Any]
    """What papermill puts into the notebook: JSON values by name."""
    key: str
    """The same for the same notebook with the same parameters."""

    @property
    def file(self) -> str:
        """Name of the executed notebook: letters, digits and dashes of its parameters, and a key.

        >>> Case(1, {"topic": "../Ice & tea"}, "0f" * 32).file
        'topic-ice-tea-0f0f0f0f0f.ipynb'
        """
        words = "-".join(f"{name} {value}" for name, value in self.parameters.items())
        slug = _UNSAFE.sub("-", words.lower().encode("ascii", "ignore").decode()).strip("-")
        return f"{slug[:60].rstrip('-') or 'plain'}-{self.key[:10]}.ipynb"


def cases_of(
    grid: Grid, common: Mapping[str, Any], source: bytes, parameters: Iterable[str] | None
) -> list[Case]:
    """Return the notebooks of a sweep, each with all of its parameters.

    Args:
        grid: values by parameter, all of whose combinations are run; a list of cases; or
            `{"grid": ..., "cases": ...}` for both; or the path of a YAML file with one of these.
        common: parameters that all of them have.
        source: the notebook's text, which makes their keys.
        parameters: names that the notebook's parameters cell sets; None where it has none.

    Raises:
        UsageProblem: the grid is no grid, or a parameter looks like a key.
        DefinitionError: the file is no YAML.
    """
    found: dict[str, Case] = {}
    text = fingerprint([source.decode("utf-8", "replace")])
    for each in _listed(_read(grid) if isinstance(grid, str | Path) else grid):
        given = {**common, **each}
        for name, value in given.items():
            _check(name, value, parameters)
        key = fingerprint([text, given])
        found.setdefault(key, Case(len(found) + 1, given, key))
        if len(found) > MOST:
            raise UsageProblem(f"The grid has more than {MOST:,} notebooks.", hint="Split it.")
    return list(found.values())


def _read(path: str | Path) -> Any:
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise UsageProblem(f"The grid {path} cannot be read: {error.strerror}.") from None
    data = documents.read(text, str(path), listed=True).data
    return data.get("", data)


def _listed(grid: Any) -> list[Mapping[str, Any]]:
    """Return the cases that a grid makes, in the order in which it is written."""
    if isinstance(grid, Mapping):
        if grid and grid.keys() <= {"grid", "cases"}:
            product = _product(grid["grid"]) if "grid" in grid else []
            return [*product, *(_cases(grid["cases"]) if "cases" in grid else [])]
        return _product(grid)
    return _cases(grid)


def _product(grid: Any) -> list[Mapping[str, Any]]:
    if not isinstance(grid, Mapping) or not grid:
        raise UsageProblem("The grid has no parameters.", hint=_HOW)
    values = [each if isinstance(each, list | tuple) else [each] for each in grid.values()]
    empty = [name for name, each in zip(grid, values, strict=True) if not each]
    if empty:
        raise UsageProblem(f"The grid has no value for {empty[0]!r}.", hint=_HOW)
    if math.prod(map(len, values)) > MOST:
        raise UsageProblem(f"The grid has more than {MOST:,} notebooks.", hint="Split it.")
    return [dict(zip(grid, each, strict=True)) for each in itertools.product(*values)]


def _cases(cases: Any) -> list[Mapping[str, Any]]:
    is_list = isinstance(cases, Sequence) and not isinstance(cases, str | bytes)
    if not is_list or not cases or not all(isinstance(each, Mapping) for each in cases):
        raise UsageProblem("The cases are no list of parameters.",
                           hint="Write - {topic: ice, llm: sim/hasty} for each.")  # fmt: skip
    return list(cases)


def _check(name: Any, value: Any, parameters: Iterable[str] | None) -> None:
    """Refuse what cannot be a parameter: papermill writes names into code, and values in clear.

    Raises:
        UsageProblem: it is none, or it looks like a key, which is not repeated.
    """
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise UsageProblem(f"{str(name)[:80]!r} cannot be the name of a parameter.", hint=_HOW)
    if parameters is not None and name not in parameters:
        raise UnknownName("parameter in the notebook", name, parameters)
    for inner, text in _texts(name, value):
        if looks_secret(name, text) or looks_secret(inner, text):
            raise UsageProblem(
                f"The parameter {name!r} looks like a key, and the notebooks would hold it.",
                hint='Give a reference instead: api_key = "env:NAME" in the settings.',
            )


def _texts(name: str, value: Any) -> Iterable[tuple[str, str]]:
    """Yield each text and number in a value, with the name that it has there.

    Raises:
        UsageProblem: it is no JSON value.
    """
    if isinstance(value, Mapping):
        for key, each in value.items():
            if not isinstance(key, str):
                raise UsageProblem(f"The parameter {name!r} has a key that is no text.")
            yield from _texts(key, each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(name, each)
    elif isinstance(value, float) and not math.isfinite(value):
        raise UsageProblem(f"The parameter {name!r} is no finite number.")
    elif value is None or isinstance(value, str | int | float):
        yield name, str(value)
    else:
        raise UsageProblem(
            f"The parameter {name!r} is a {type(value).__name__}.",
            hint="Use texts, numbers, yes or no, lists and mappings of them.",
        )


def parameters_in(notebook: Mapping[str, Any]) -> set[str] | None:
    """Return the names that a notebook's parameters cell sets; None if it has no such cell."""
    for cell in notebook["cells"]:
        if "parameters" in cell.get("metadata", {}).get("tags", ()):
            try:
                tree = ast.parse("".join(cell["source"]))
            except SyntaxError:
                return None  # magics or another language: papermill sets what is given
            targets = [t for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AnnAssign)
                       for t in getattr(node, "targets", None) or [node.target]]  # type: ignore[union-attr]  # fmt: skip
            return {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    return None
