"""What people write: a workflow of tasks, checked by one model in Python and in YAML alike.

The JSON Schema that editors read is generated from these classes, so that the two agree.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, WithJsonSchema

from bmad_nb import documents
from bmad_nb.documents import Document
from bmad_nb.errors import DefinitionError, Problem
from bmad_nb.workflow.original_shape import is_original
from bmad_nb.workflow.parts import (
    Approve,
    Check,
    Checkpoint,
    Collaborate,
    Input,
    Limits,
    Map,
    Params,
    Reduce,
    Refine,
    Retry,
    RouteField,
    Rung,
    Turn,
    listed,
    rung,
    short,
)
from bmad_nb.workflow.problems import problems_of
from bmad_nb.workflow.python_text import spelled
from bmad_nb.workflow.rules import ONE_OF, TAKEN_BY
from bmad_nb.workflow.values import (
    FUNCTION,
    VERBS,
    WORKFLOW_ID,
    Cache,
    Duration,
    Expression,
    InputType,
    Join,
    Name,
    Objective,
    Part,
    Priority,
    Strategy,
    Template,
    Verb,
    named_function,
    no_flag,
)


class Task(Part):
    """One task: exactly one verb, and what modifies it."""

    title: str = ""
    type: str = Field("", description="kind of task, read by routers, such as code_generation")
    prompt: Template | None = None
    system: Template | None = None
    messages: list[Turn] | None = Field(None, min_length=1)
    python: Annotated[
        Any,
        BeforeValidator(named_function),
        WithJsonSchema({"type": ["string", "null"], "pattern": FUNCTION}),
        Field(description="module:function; in Python also a function"),
    ] = None
    workflow: str | None = Field(None, description="id of a sub-workflow")
    approve: Approve | None = None
    set: dict[Name, Expression] | None = Field(None, min_length=1)
    reduce: Reduce | None = None
    arguments: dict[str, Any] = Field({}, alias="with", description="values, with holes in texts")
    needs: list[Name] = []
    when: Expression | None = None
    otherwise: Any = Field(None, alias="else", description="its value where `when` is false")
    join: Join = "all"
    llm: Annotated[list[str], BeforeValidator(listed, json_schema_input_type=str | list[str])] = (
        Field([], description="short form of route.models")
    )
    route: RouteField | None = None
    params: Params | None = None
    output: dict[str, Any] | None = Field(None, description="a JSON Schema, or {field: type}")
    checks: list[Check] = []
    map: Map | None = None
    refine: Refine | None = None
    collaborate: Collaborate | None = None
    limits: Limits | None = None
    retry: Retry | None = None
    timeout: Duration | None = Field(None, description="most time for one attempt")
    fallback: list[
        Annotated[
            Rung,
            BeforeValidator(rung, json_schema_input_type=Rung | Literal["skip", "stored"]),
        ]
    ] = []
    priority: Priority = "medium"
    cache: Cache | None = None
    checkpoint: list[Checkpoint] = []
    metadata: dict[str, Any] = {}

    @property
    def verb(self) -> Verb:
        """The one verb that the task has."""
        return next(v for v in typing.get_args(Verb) if getattr(self, v) is not None)

    @property
    def has_otherwise(self) -> bool:
        """Whether a value stands in where `when` is false."""
        return "otherwise" in self.model_fields_set


class Defaults(Part):
    """What a task has that says nothing of its own."""

    route: RouteField | None = None
    retry: Retry | None = None
    timeout: Duration | None = None
    cache: Cache | None = None
    params: Params | None = None


class Workflow(Part):
    """Tasks that read each other's results.

    >>> flow = Workflow("greet", inputs={"who": "text"})
    >>> _ = flow.task("hello", prompt="Greet {{ who }} in one sentence.")
    >>> sorted(flow.tasks)
    ['hello']

    Raises:
        DefinitionError: with every problem that the model finds; names are checked later, by
            `references.check`, for a task may be added after one that reads it.
    """

    id: str = Field(alias="workflow", pattern=WORKFLOW_ID)
    version: Annotated[Literal[1], BeforeValidator(no_flag)] = 1
    title: str = ""
    description: str = ""
    inputs: dict[
        Name,
        Annotated[Input, BeforeValidator(short("type"), json_schema_input_type=InputType | Input)],
    ] = {}
    strategy: Strategy | None = None
    objectives: list[Objective] | dict[Objective, Annotated[float, Field(ge=0)]] = []
    limits: Limits | None = None
    defaults: Defaults | None = None
    tasks: dict[Name, Task] = {}
    outputs: dict[Name, Expression] = Field({}, description="without any: what nobody reads on")
    metadata: dict[str, Any] = {}
    _source: Document | None = PrivateAttr(None)
    _read_as: dict[str, Any] = PrivateAttr({})

    def __init__(self, workflow: str | None = None, /, **fields: Any) -> None:
        """Take the id first, as people write it, and the fields as a document names them."""
        if workflow is not None:
            fields["workflow"] = workflow
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise DefinitionError(problems_of(error, fields, Workflow)) from None

    @property
    def source(self) -> Document | None:
        """The document that it was read from; None where it was built in Python."""
        return self._source

    def read_from(self, document: Document) -> None:
        """Remember the document, so that later problems and changes find their places in it."""
        self._source = document
        self._read_as = self.to_dict()

    def __eq__(self, other: object) -> bool:
        """Return whether both say the same, wherever they were read."""
        return isinstance(other, Workflow) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def task(self, task_id: str, /, **fields: Any) -> Task:
        """Add a task, or put it in the place of one with the same id; keys as in a document.

        Two keys are words of Python: write `arguments` for `with`, and `otherwise` for `else`.

        Raises:
            DefinitionError: the task is not one.
        """
        given = {_ALIASES.get(key, key): value for key, value in fields.items()}
        probe = Workflow(self.id, tasks={task_id: given})
        self.tasks[task_id] = probe.tasks[task_id]
        self.model_fields_set.add("tasks")  # so that it is spelled, like what was given at first
        return self.tasks[task_id]

    def to_dict(self) -> dict[str, Any]:
        """Return the definition as JSON values, as a document spells it, without defaults."""
        dumped = self.model_dump(mode="python", by_alias=True, exclude_unset=True)
        result: dict[str, Any] = _plain(dumped)
        return result

    def to_yaml(self) -> str:
        """Return the definition as a document that reads back to an equal workflow.

        One that was read from a document keeps its text; only what changed since is written anew.

        Raises:
            DefinitionError: a task calls a function that a document cannot name, or a value is
                none that a document can hold.
        """
        self._check_functions()
        said = self.to_dict()
        if self._source is None or is_original(self._source.data):
            return documents.write(said)
        changed = dict(_merged(self._read_as, said, self._source.data))
        changed.setdefault("workflow", self.id)  # it may have come from beside the text
        return documents.rewrite(self._source.text, changed)

    def to_python(self, name: str = "flow") -> str:
        """Return lines of Python that build an equal workflow and bind it to `name`.

        Raises:
            DefinitionError: a task calls a function that text cannot name.
        """
        self._check_functions()
        keys = {alias: key for key, alias in _ALIASES.items()}
        return spelled(self.to_dict(), keys, name)

    def _check_functions(self) -> None:
        """Refuse functions that a text cannot name.

        Raises:
            DefinitionError: with each of them.
        """
        unnamed = [
            Problem(0, 0, f"{_name_of(task.python)} has no name that could be imported.",
                    "Define it at the top of a module.", ("tasks", task_id, "python"))
            for task_id, task in self.tasks.items()
            if callable(task.python) and not _is_named(task.python)
        ]  # fmt: skip
        if unnamed:
            raise DefinitionError(unnamed, self.id)


_ALIASES = {
    name: field.alias for name, field in Task.model_fields.items() if field.alias is not None
}


def _merged(before: Any, after: Any, source: Any) -> Any:
    """Return what a document says, with its own spelling of all that is as it was before."""
    if before == after:
        return source
    if all(isinstance(each, Mapping) for each in (before, after, source)):
        return {
            key: _merged(before.get(key), value, source[key]) if key in source else value
            for key, value in after.items()
        }
    return after


def _plain(value: Any) -> Any:
    """Return values as JSON has them."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return _name_of(value) if callable(value) else value


def _name_of(function: Any) -> str:
    owner = function if hasattr(function, "__qualname__") else type(function)
    return f"{owner.__module__}:{owner.__qualname__}"


def _is_named(function: Any) -> bool:
    """Return whether a function stands under its name in its module, as far as one can see."""
    name = getattr(function, "__qualname__", "<")
    return "<" not in name and not isinstance(function, types.MethodType)


def _with(key: str) -> dict[str, Any]:
    """Return the schema of a mapping that has a key with something in it."""
    return {"required": [key], "properties": {key: {"not": {"type": "null"}}}}


def _close(schema: Any) -> None:
    """Refuse keys that are no names, wherever a mapping says what its names look like."""
    if isinstance(schema, dict):
        if "patternProperties" in schema:
            schema["additionalProperties"] = False
        for each in schema.values():
            _close(each)
    elif isinstance(schema, list):
        for each in schema:
            _close(each)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a workflow document, for editors."""
    schema = Workflow.model_json_schema(by_alias=True, mode="validation")
    parts = schema["$defs"]
    task = parts["Task"]
    task["oneOf"] = [_with(verb) for verb in VERBS]
    task["dependentSchemas"] = {"else": _with("when")}
    task["allOf"] = [
        {"if": _with(key), "then": {"anyOf": [_with(verb) for verb in verbs]}}
        for key, verbs in TAKEN_BY.items()
    ]
    task["properties"]["needs"]["uniqueItems"] = True
    for name, keys in (("Rung", "fallback"), ("Judge", "judge"), ("Reduce", "reduce")):
        parts[name]["oneOf"] = [
            {"required": [key]} if key == "value" else _with(key) for key in ONE_OF[keys]
        ]
    parts["Check"]["anyOf"] = [_with("that"), _with("judge")]
    parts["Check"]["allOf"] = [{"if": _with("min"), "then": _with("judge")}]
    _close(schema)
    schema["required"] = ["workflow", "tasks"]
    schema["properties"]["tasks"]["minProperties"] = 1
    address = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": address, "$id": "https://bmad-nb.invalid/workflow-1.json", **schema}
