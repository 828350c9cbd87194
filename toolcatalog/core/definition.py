"""The tool definition: its fields, their rules, and the way in from and out to plain documents.

The classes are the format: each field's metadata says of which kind it is, and reading, writing and the
JSON Schema all follow from that. A document is what YAML or JSON gives: dicts, lists, strings, numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from toolcatalog.core import kinds, soundness
from toolcatalog.core.kinds import Described, Kind, ListOf, Map, Number, Report, Text
from toolcatalog.errors import InvalidDefinition, Path

Document = dict[str, Any]

PLATFORMS = (
    "linux", "windows", "macos", "network", "scheduler", "container", "kubernetes", "database", "cloud",
    "monitoring", "multi-platform", "custom",
)  # fmt: skip
CATEGORIES = (
    "system", "network", "automation", "monitoring", "security", "database", "cloud", "container", "asset",
    "communication",
)  # fmt: skip
STATUSES = ("active", "deprecated", "disabled", "testing", "draft")
VALUE_TYPES = ("string", "integer", "number", "boolean", "array", "object")
DEPENDENCY_TYPES = ("service", "package", "permission", "network", "filesystem", "platform")

_SHARE = Number(minimum=0, maximum=1)
_FROM_ZERO = Number(minimum=0)
_LABEL_HINT = "printable characters, without a slash or spaces at the ends"
_VALUE_TYPE = Text(choices=VALUE_TYPES, name="ValueType")

POLICY = Map(
    {
        "max_cost": Described("The highest cost at which it may run.", _FROM_ZERO),
        "requires_approval": Described("Whether a person has to agree before it runs.", kinds.Flag()),
        "production_safe": Described("Whether it may run where others depend on the system.", kinds.Flag()),
        "max_execution_time": Described("The longest that it may run, in seconds.", _FROM_ZERO),
        "allowed_environments": Described(
            "The environments in which it may run, such as staging.", ListOf(Text())
        ),
        "requires_background_if": Described(
            "A condition over the variables of the estimates under which it has to run in the background.",
            kinds.CONDITION,
        ),
        "max_N_immediate": Described("The largest N with which it may run at once.", _FROM_ZERO),
    },
    free=True,
    name="Policy",
    description="Under which conditions a pattern may run. Other fields are kept as they are written.",
)
PREFERENCES = Map(
    {
        "speed": Described("How well it serves a caller who wants speed, 0 to 1.", _SHARE),
        "accuracy": Described("How well it serves a caller who wants accuracy, 0 to 1.", _SHARE),
        "cost": Described("How well it serves a caller who wants low cost, 0 to 1.", _SHARE),
        "complexity": Described("How well it serves a caller who wants simplicity, 0 to 1.", _SHARE),
        "completeness": Described("How well it serves a caller who wants all results, 0 to 1.", _SHARE),
    },
    name="Preferences",
    description="How well a pattern matches what a caller cares about, each from 0 to 1.",
)
INPUT = Map(
    {
        "name": Described("The name by which the value is given.", Text()),
        "type": Described("The JSON type of the value.", _VALUE_TYPE),
        "description": Described("What the value means.", Text(blank=True)),
        "validation": Described("A regular expression that the value has to match.", kinds.REGEX),
        "default": Described("The value where none is given.", kinds.Anything()),
    },
    required=("name",),
    name="Input",
    description="A value that a pattern is given.",
)
OUTPUT = Map(
    {
        "name": Described("The name of the value.", Text()),
        "type": Described("The JSON type of the value.", _VALUE_TYPE),
        "description": Described("What the value means.", Text(blank=True)),
    },
    required=("name",),
    name="Output",
    description="A value that a pattern gives back.",
)
DEPENDENCY = Map(
    {
        "name": Described("What is needed, such as the name of a package.", Text()),
        "type": Described("What kind of thing it is.", Text(choices=DEPENDENCY_TYPES, name="DependencyType")),
        "required": Described("Whether the tool cannot work without it.", kinds.Flag()),
        "version": Described("The version that is needed.", Text(blank=True)),
    },
    required=("name",),
    name="Dependency",
    description="Something that a tool needs on the system where it runs.",
)
EXAMPLE = Map(
    {
        "description": Described("What the example shows.", Text(blank=True)),
        "input": Described("What is given.", kinds.Anything()),
        "output": Described("What comes back.", kinds.Anything()),
    },
    free=True,
    name="Example",
    description="One use of a pattern. Other fields are kept as they are written.",
)
DEFAULTS = Map(
    {
        "accuracy_level": Described(
            "How exact the results are.", Text(known=("real-time", "cached", "estimated"))
        ),
        "freshness": Described("How recent the results are.", Text(known=("live", "recent", "historical"))),
        "data_source": Described("Where the results come from.", Text()),
    },
    free=True,
    name="Defaults",
    description="What holds for all patterns of a tool. Other fields are kept as they are written.",
)


def _field(kind: Kind, default: Any = None, *, says: str, required: bool = False) -> Any:
    metadata = {"kind": Described(says, kind), "required": required}
    if required:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=type(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One way of using a capability: when to choose it, what it takes, under which policy it may run."""

    description: str = _field(Text(), required=True, says="What it does.")
    typical_use_cases: list[str] = _field(
        ListOf(Text()), [], says="How somebody asks for it who does not know the tool's name."
    )
    time_estimate_ms: str | float | None = _field(
        kinds.Estimate(),
        says="How long it takes, in milliseconds: a number, or an expression such as 50 + 0.02 * file_count.",
    )
    cost_estimate: str | float | None = _field(
        kinds.Estimate(), says="What it costs: a number, or an expression over the caller's variables."
    )
    complexity_score: float | None = _field(_SHARE, says="How difficult it is to use, from 0 (simple) to 1.")
    scope: str | None = _field(Text(), says="How much it covers; usually single_item, batch or exhaustive.")
    completeness: str | None = _field(
        Text(), says="How much of the result comes back; usually complete, partial or summary."
    )
    limitations: list[str] = _field(ListOf(Text()), [], says="What it cannot do.")
    policy: Document = _field(POLICY, {}, says="Under which conditions it may run.")
    preference_match: Document = _field(
        PREFERENCES, {}, says="How well it matches what a caller cares about."
    )
    required_inputs: list[Document] = _field(ListOf(INPUT), [], says="The values that it has to be given.")
    optional_inputs: list[Document] = _field(ListOf(INPUT), [], says="The values that it may be given.")
    expected_outputs: list[Document] = _field(ListOf(OUTPUT), [], says="The values that it gives back.")
    output_schema: Document | None = _field(
        Map(free=True, name="OutputSchema", description="A JSON Schema."), says="What its output looks like."
    )
    examples: list[Document] = _field(ListOf(EXAMPLE), [], says="Uses of it, with input and output.")


@cache
def _map_of(cls: type, name: str) -> Map:
    """The fields of a class as a kind; made once, since it does not change."""
    fields = dataclasses.fields(cls)
    required = tuple(field.name for field in fields if field.metadata["required"])
    description = (cls.__doc__ or "").partition("\n")[0]
    return Map(
        {field.name: field.metadata["kind"] for field in fields}, required, name=name, description=description
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """What a tool can do, as one name, and the patterns that do it. `patterns` is in written order."""

    description: str | None = _field(Text(blank=True), says="What can be done.")
    patterns: dict[str, Pattern] = _field(
        kinds.NamedMaps("pattern_name", _map_of(Pattern, "Pattern"), least=1),
        required=True,
        says="The ways of doing it: a map from name to pattern, or a list of patterns with pattern_name.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A tool at one version, as its author wrote it. `capabilities` is in written order."""

    tool_name: str = _field(
        Text(max_length=100, pattern=kinds.TOOL_NAME, hint=f"{_LABEL_HINT}, and not digits alone"),
        required=True,
        says="The name of the tool, unique in the catalog together with the version.",
    )
    version: str = _field(
        Text(max_length=20, pattern=kinds.LABEL, hint=_LABEL_HINT),
        "1.0",
        says="The version of the definition, in quotes; ordered as PEP 440 or semver where it is one.",
    )
    description: str = _field(Text(), required=True, says="What the tool does.")
    platform: str | None = _field(
        Text(max_length=50, pattern=kinds.LABEL, hint=_LABEL_HINT, known=PLATFORMS),
        says="The platform that the tool is for.",
    )
    category: str | None = _field(
        Text(max_length=50, pattern=kinds.LABEL, hint=_LABEL_HINT, known=CATEGORIES),
        says="The kind of work that the tool does.",
    )
    status: str = _field(
        Text(choices=STATUSES, name="Status"), "active", says="Where the tool is in its life."
    )
    enabled: bool = _field(kinds.Flag(), True, says="Whether the tool may be used.")  # noqa: FBT003 - the default
    defaults: Document = _field(DEFAULTS, {}, says="What holds for all patterns of the tool.")
    capabilities: dict[str, Capability] = _field(
        kinds.NamedMaps("capability_name", _map_of(Capability, "CapabilityDefinition")),
        {},
        says="What the tool can do: a map from name to capability, or a list of them with capability_name.",
    )
    dependencies: list[Document] = _field(
        ListOf(DEPENDENCY), [], says="What the tool needs on the system where it runs."
    )
    metadata: Document = _field(
        Map(free=True, name="Metadata", description="What is said of a tool besides; any fields."),
        {},
        says="Free; usually author, created, updated, tags, documentation_url, source_code_url.",
    )
    examples: list[Any] = _field(ListOf(kinds.Anything()), [], says="Uses of the tool, kept as written.")

    @property
    def tags(self) -> list[str]:
        """The words that the tool is found by."""
        return tags(self.metadata)


def tags(metadata: Document) -> list[str]:
    """Return the words in `metadata.tags` that tools are found by; what is not a short string is left out."""
    given = metadata.get("tags")
    if not isinstance(given, list):
        return []
    return [tag for tag in given if isinstance(tag, str) and 0 < len(tag) <= MAX_TAG_LENGTH]


MAX_TAG_LENGTH = 100  # an index row of PostgreSQL holds 2.7 KB; a tag is a word
# What the catalog adds to a definition in its answers. A client may send it back; it is ignored.
ADDED_FIELDS = (
    "id", "revision", "is_latest", "created_at", "updated_at", "created_by", "updated_by", "source",
)  # fmt: skip
FIELD_NAMES = tuple(field.name for field in dataclasses.fields(Definition))


def read(document: object, *, stored: bool = False) -> tuple[Definition | None, Report]:
    """Read a plain document; None in place of a definition when the report has errors.

    What is `stored` was allowed when it was written: what it contradicts itself in is a warning.
    """
    report = Report()
    values = _map_of(Definition, "").read(document, (), report)
    if report.errors:
        return None, report
    definition = Definition(**values | {"capabilities": _capabilities(values.get("capabilities", {}))})
    _warn_of_gaps(definition, report)
    note = report.warn if stored else report.error
    for finding in soundness.check(definition):
        note(_as_written(finding.path, document), finding.message)
    return (None if report.errors else definition), report


def _as_written(path: Path, document: Any) -> Path:
    """Lead by number to a capability or pattern that was written in a list, and has its name in the path."""
    if not path:
        return ()
    step, *rest = path
    if isinstance(document, list) and isinstance(step, str):
        step = next(number for number, item in enumerate(document) if step in _names(item))
    return (step, *_as_written(tuple(rest), document[step]))


def _names(item: Document) -> tuple[Any, Any]:
    return item.get("capability_name"), item.get("pattern_name")


def from_document(document: object, *, stored: bool = False) -> Definition:
    """Read a definition from a plain document, as `read` does.

    Raises:
        InvalidDefinition: with a finding for each thing that is wrong.
    """
    definition, report = read(document, stored=stored)
    if definition is None:
        count = len(report.errors)
        raise InvalidDefinition(f"The definition has {count} error{'s' if count > 1 else ''}.", report.errors)
    return definition


def _capabilities(read: Mapping[str, Document]) -> dict[str, Capability]:
    return {
        name: Capability(**capability | {"patterns": _patterns(capability["patterns"])})
        for name, capability in read.items()
    }


def _patterns(read: Mapping[str, Document]) -> dict[str, Pattern]:
    return {name: Pattern(**pattern) for name, pattern in read.items()}


Record = TypeVar("Record", Definition, Capability, Pattern)


def to_document(record: Definition | Capability | Pattern) -> Document:
    """Write a definition, or a part of one, as a plain document.

    Fields are in the format's order, `capabilities` and `patterns` are maps by name, and what is unset, or
    empty as it is by default, is left out; reading the result gives an equal value.
    """
    return {
        name: _written(value)
        for name, is_left_out_empty in _FIELDS[type(record)]
        if (value := getattr(record, name)) is not None and (value or not is_left_out_empty)
    }


# Of each record the fields, and whether one is left out when it is empty: to ask `dataclasses` takes long.
_FIELDS = {
    kind: [
        (field.name, field.default_factory is not dataclasses.MISSING) for field in dataclasses.fields(kind)
    ]
    for kind in (Definition, Capability, Pattern)
}
_RECORDS = (Capability, Pattern)


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: to_document(item) if isinstance(item, _RECORDS) else item for name, item in value.items()
        }
    return value


def _warn_of_gaps(definition: Definition, report: Report) -> None:
    for name in ("platform", "category"):
        if getattr(definition, name) is None:
            report.warn((name,), f"is missing: nobody who filters by {name} will find this tool")
    if not definition.capabilities:
        report.warn(("capabilities",), "are missing: nobody who asks what can be done will find this tool")
    if definition.metadata.get("tags", []) != definition.tags:
        report.warn(("metadata", "tags"), "is not a list of words: tools are found only by tags that are")


def json_schema() -> dict[str, Any]:
    """Describe the format as JSON Schema (2020-12), for editors and clients."""
    schema = kinds.hoisted(_map_of(Definition, "").schema())
    for field in dataclasses.fields(Definition):
        if isinstance(field.default, str | bool):
            schema["properties"][field.name]["default"] = field.default
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tool definition",
        **schema,
        "description": "One operational tool: what it can do, how it is called, what it needs and takes.",
    }
