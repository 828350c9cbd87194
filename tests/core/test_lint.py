"""What `validate --strict` refuses, and what it lets pass."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import tool
from toolcatalog.core import definition as definitions
from toolcatalog.core import lint
from toolcatalog.errors import dotted

PATTERN = {
    "description": "Shows how full the file systems are",
    "typical_use_cases": ["server is out of disk space"],
    "time_estimate_ms": "20 + 5 * mount_count",
    "policy": {"production_safe": True},
    "required_inputs": [{"name": "path"}],
}
WHERE = "capabilities.disk_usage.patterns.show_free_space"


def found(*documents: dict[str, Any]) -> list[tuple[str, str]]:
    read = [definitions.from_document(document) for document in documents]
    return [(dotted(finding.path), finding.message) for _, finding in lint.strict(read)]


def df(
    name: str = "df", *, pattern_name: str = "show_free_space", command: str | None = None, **fields: Any
) -> dict[str, Any]:
    pattern = {**PATTERN, **fields}
    commands = {} if command is None else {"commands": {pattern_name: command}}
    return tool(
        name,
        description=f"Reports about disks, as {name} does",
        capabilities={"disk_usage": {"patterns": {pattern_name: pattern}}},
        metadata=commands,
    )


def test_a_good_definition_passes() -> None:
    assert found(df(command="df -h -- {path}"), df("du", description="Adds up what folders take")) == []


@pytest.mark.parametrize("case", ["df", "use df", "DF command", "run  df.", "how to use df?"])
def test_a_use_case_that_is_only_the_name_is_refused(case: str) -> None:
    [(path, message)] = found(df(typical_use_cases=["disk is full", case]))
    assert path == f"{WHERE}.typical_use_cases.1"
    assert "says nothing" in message


@pytest.mark.parametrize(
    "verb", ["delete", "removes", "dropping", "Kill", "stopped", "restarts", "formatting", "pruned"]
)
def test_what_destroys_is_not_safe(verb: str) -> None:
    assert found(df(description=f"Shows and {verb} things")) == [
        (f"{WHERE}.description", f'says "{verb.lower()}", and yet is production_safe')
    ]
    assert found(df(description=f"Shows and {verb} things", policy={"production_safe": False})) == []
    assert found(df(description="Shows information about stopwords and dropouts")) == []
    [(path, _)] = found(df(pattern_name="drain_node"))
    assert path == "capabilities.disk_usage.patterns.drain_node"


def test_two_tools_are_not_described_in_the_same_words() -> None:
    one, other = (
        df(),
        df("du", description="Adds up what folders take", typical_use_cases=["what fills the disk"]),
    )
    assert found(one, {**other, "description": one["description"].upper() + "."}) == [
        ("description", 'is word for word that of "df"')
    ]


def test_the_same_use_case_on_two_tools_needs_a_difference() -> None:
    [(path, message)] = found(df(), df("du"))
    assert path == f"{WHERE}.typical_use_cases.0"
    assert 'is also one of "df"' in message
    assert found(df(), df("du", description="Adds up what folders take")) == []


def test_a_condition_is_over_what_is_known() -> None:
    def policy(condition: str) -> dict[str, Any]:
        return {"production_safe": True, "requires_background_if": condition}

    assert found(df(policy=policy("mount_count > 100 or path > 1"))) == []
    assert found(df(policy=policy("mounts > 100"))) == [
        (
            f"{WHERE}.policy.requires_background_if",
            'names "mounts", which neither an estimate nor an input does',
        )
    ]


def test_commands_patterns_and_inputs_belong_together() -> None:
    assert found(df(command="df -h {folder} | awk '{ print $1 }'")) == [
        ("metadata.commands.show_free_space", 'has "{folder}", which is no input of the pattern'),
        (WHERE, 'has the input "path", which its command does not use'),
    ]
    assert found({**df(), "metadata": {"commands": {"show_all": "df"}}}) == [
        ("metadata.commands.show_all", "is of a pattern that is not there"),
        (WHERE, "has no command in metadata.commands"),
    ]
