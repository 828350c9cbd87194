"""The rules of the definition format as a table: what each field may be, and what is said otherwise."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from toolcatalog.core import definition as format_
from toolcatalog.core.definition import read
from toolcatalog.errors import Path, dotted

Document = dict[str, Any]

SMALLEST: Document = {"tool_name": "grep", "description": "Find text"}
TOOL: Document = {
    **SMALLEST,
    "platform": "linux",
    "category": "system",
    "capabilities": {"text_search": {"patterns": {"search_files": {"description": "Search files"}}}},
}
CAPABILITY: Path = ("capabilities", "text_search")
PATTERN: Path = (*CAPABILITY, "patterns", "search_files")
POLICY, PREFERENCE = (*PATTERN, "policy"), (*PATTERN, "preference_match")
INPUT, OPTIONAL = (*PATTERN, "required_inputs", 0), (*PATTERN, "optional_inputs", 0)
OUTPUT, EXAMPLE = (*PATTERN, "expected_outputs", 0), (*PATTERN, "examples", 0)
DEPENDENCY: Path = ("dependencies", 0)

TYPES = "string, integer, number, boolean, array, object"
NO_TEXT = "has to be a string, not a number: put it in quotes"
NULL = "leave the field out, or give it a value"
LABEL = "printable characters, without a slash or spaces at the ends"


def having(path: Path, value: Any) -> Document:
    """A tool with a value at one place, and what has to be around it."""
    document = copy.deepcopy(TOOL)
    here: Any = document
    for step, following in itertools.pairwise(path):
        if isinstance(step, str):
            here = here.setdefault(step, [{"name": "x"}] if isinstance(following, int) else {})
        else:
            here = here[step]
    here[path[-1]] = value
    if path[:-1] == EXAMPLE:
        here.pop("name", None)
    return document


def without(path: Path) -> Document:
    document = having(path, None)
    here: Any = document
    for step in path[:-1]:
        here = here[step]
    del here[path[-1]]
    return document


def found(document: object) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The errors and the warnings of a document, as path and message."""
    definition, report = read(document)
    assert (definition is None) == bool(report.errors)
    errors, warnings = (
        [(dotted(each.path), each.message) for each in some] for some in (report.errors, report.warnings)
    )
    return errors, warnings


def shares(field: Path) -> tuple[Path, list[Any], list[tuple[Any, str]]]:
    wrong = [
        (-0.01, '"-0.01" is out of range: 0 to 1'),
        (2, '"2" is out of range: 0 to 1'),
        ("0.5", "has to be a number, not a string"),
    ]
    return field, [0, 0.25, 1, 1.0], [*wrong, (True, "has to be a number, not true or false")]


def from_zero(field: Path) -> tuple[Path, list[Any], list[tuple[Any, str]]]:
    wrong = [(-1, '"-1" is out of range: 0 or more'), ("5", "has to be a number, not a string")]
    return field, [0, 2.5, 10**400], [*wrong, (None, f"has to be a number, not null: {NULL}")]


def flags(field: Path) -> tuple[Path, list[Any], list[tuple[Any, str]]]:
    wrong = [("yes", "has to be true or false, not a string"), (1, "has to be true or false, not a number")]
    return field, [True, False], [*wrong, (None, f"has to be true or false, not null: {NULL}")]


def texts(field: Path, *, blank: bool = False) -> tuple[Path, list[Any], list[tuple[Any, str]]]:
    wrong: list[tuple[Any, str]] = [(7, NO_TEXT), (1.5, NO_TEXT), (["x"], "has to be a string, not a list")]
    return field, ["x", " 🦊\n", *[""] * blank], wrong if blank else [*wrong, ("", "is empty")]


def choices(field: Path, values: str) -> tuple[Path, list[Any], list[tuple[Any, str]]]:
    wrong: list[tuple[Any, str]] = [("", f'"" is not one of {values}'), ("X", f'"X" is not one of {values}')]
    return field, values.split(", "), [*wrong, (7, NO_TEXT)]


def lists(field: Path) -> tuple[Path, list[Any], list[tuple[Any, str]]]:
    return (
        field,
        [[], ["x", "y"]],
        [("x", "has to be a list, not a string"), ({}, "has to be a list, not a map")],
    )


def maps(field: Path) -> tuple[Path, list[Any], list[tuple[Any, str]]]:
    return field, [{}], [([], "has to be a map, not a list"), (None, f"has to be a map, not null: {NULL}")]


def anything(field: Path) -> tuple[Path, list[Any], list[tuple[Any, str]]]:
    return (
        field,
        [None, True, 0, 1.5, "", [None], {"x": {"": []}}, nested(40)],
        [(nested(41), "is nested more than 40 deep")],
    )


def nested(depth: int) -> Any:
    value: Any = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"x": value}
    return value


def estimates(field: Path) -> tuple[Path, list[Any], list[tuple[Any, str]]]:
    allowed = "+ - * / // % **, parentheses and the functions"
    return (
        field,
        [0, 1.5, "50 + 0.02 * file_count", "log2(N) // 2", "1".ljust(500)],
        [
            (-1, '"-1" is out of range: 0 or more'),
            (True, "has to be a number, not true or false"),
            ([1], "has to be a number, not a list"),
            ("1".ljust(501), "too long: 501 characters, and at most 500 are allowed"),
            (
                " ",
                f"empty text: allowed are numbers, variables, {allowed} abs, ceil, floor, log, log10, log2,"
                " max, min, round, sqrt; in conditions also < <= > >= == !=, and, or, not, true, false",
            ),
        ],
    )


RULES: list[tuple[Path, list[Any], list[tuple[Any, str]]]] = [
    (("version",), ["2", "1.10.0-rc.1", "x" * 20], [
        (1.0, NO_TEXT),
        ("", "is empty"),
        ("x" * 21, "is 21 characters long; 20 are allowed"),
        ("1/0", f'"1/0" is not allowed: {LABEL}'),
    ]),
    (("platform",), list(format_.PLATFORMS), [
        (7, NO_TEXT),
        ("x" * 51, "is 51 characters long; 50 are allowed"),
        ("a/b", f'"a/b" is not allowed: {LABEL}'),
    ]),
    (("category",), list(format_.CATEGORIES), [
        ({}, "has to be a string, not a map"),
        ("x" * 51, "is 51 characters long; 50 are allowed"),
        ("a ", f'"a " is not allowed: {LABEL}'),
    ]),
    texts(("description",)),
    choices(("status",), "active, deprecated, disabled, testing, draft"),
    flags(("enabled",)),
    maps(("defaults",)),
    (("defaults", "accuracy_level"), ["real-time", "cached", "estimated"], [(1, NO_TEXT), ("", "is empty")]),
    (("defaults", "freshness"), ["live", "recent", "historical"], [(1, NO_TEXT), ("", "is empty")]),
    texts(("defaults", "data_source")),
    anything(("defaults", "free")),
    maps(("metadata",)),
    anything(("metadata", "free")),
    anything(("examples", 0)),
    *(
        (field, [[]], [({}, "has to be a list, not a map"), ("x", "has to be a list, not a string")])
        for field in [("examples",), *(each[:-1] for each in (DEPENDENCY, INPUT, OPTIONAL, OUTPUT, EXAMPLE))]
    ),
    *(
        (place, [{"name": "x"}], [([], "has to be a map, not a list"), (7, "has to be a map, not a number")])
        for place in (DEPENDENCY, INPUT, OPTIONAL, OUTPUT)
    ),
    texts((*DEPENDENCY, "name")),
    choices((*DEPENDENCY, "type"), "service, package, permission, network, filesystem, platform"),
    flags((*DEPENDENCY, "required")),
    texts((*DEPENDENCY, "version"), blank=True),
    (("capabilities",), [{}], [("x", "has to be a map or a list, not a string")]),
    texts((*CAPABILITY, "description"), blank=True),
    ((*CAPABILITY, "patterns"), [{"x": {"description": "x"}}], [
        ({}, "is empty: at least 1 is needed"),
        ([], "is empty: at least 1 is needed"),
        (None, f"has to be a map or a list, not null: {NULL}"),
    ]),
    (PATTERN, [{"description": "x"}], [("x", "has to be a map, not a string")]),
    texts((*PATTERN, "description")),
    lists((*PATTERN, "typical_use_cases")),
    texts((*PATTERN, "typical_use_cases", 0)),
    estimates((*PATTERN, "time_estimate_ms")),
    estimates((*PATTERN, "cost_estimate")),
    shares((*PATTERN, "complexity_score")),
    texts((*PATTERN, "scope")),
    texts((*PATTERN, "completeness")),
    lists((*PATTERN, "limitations")),
    texts((*PATTERN, "limitations", 0)),
    maps(POLICY),
    from_zero((*POLICY, "max_cost")),
    flags((*POLICY, "requires_approval")),
    flags((*POLICY, "production_safe")),
    from_zero((*POLICY, "max_execution_time")),
    lists((*POLICY, "allowed_environments")),
    ((*POLICY, "requires_background_if"), ["N > 1000 and pages >= 10", "true"], [
        (True, "has to be a string, not true or false: put it in quotes"),
        ("N +", 'a value is missing at the end, after "+"'),
    ]),
    from_zero((*POLICY, "max_N_immediate")),
    anything((*POLICY, "free")),
    maps(PREFERENCE),
    *(shares((*PREFERENCE, name)) for name in ("speed", "accuracy", "cost", "complexity", "completeness")),
    *(texts((*place, "name")) for place in (INPUT, OPTIONAL, OUTPUT)),
    *(choices((*place, "type"), TYPES) for place in (INPUT, OPTIONAL, OUTPUT)),
    *(texts((*place, "description"), blank=True) for place in (INPUT, OPTIONAL, OUTPUT, EXAMPLE)),
    *(
        ((*place, "validation"), ["", "^[a-z]{1,9}$", r"\d+", "a" * 2000], [
            (7, NO_TEXT),
            ("(", "is not a regular expression: missing ), unterminated subpattern at position 0"),
            ("a{99999999999}", "is not a regular expression: the repetition number is too large"),
            ("a" * 2001, "is 2001 characters long; 2000 are allowed"),
            ("(" * 900 + ")" * 900, "is nested too deeply: its groups enclose one another too often"),
        ])
        for place in (INPUT, OPTIONAL)
    ),
    *(anything((*place, "default")) for place in (INPUT, OPTIONAL)),
    *(anything((*EXAMPLE, name)) for name in ("input", "output", "free")),
    ((*PATTERN, "output_schema"), [{}, {"type": "object", "properties": {"x": {}}}], [
        (True, "has to be a map, not true or false"),
    ]),
    anything((*PATTERN, "output_schema", "free")),
]  # fmt: skip
