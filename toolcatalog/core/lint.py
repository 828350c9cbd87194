"""What the format lets a definition say, but a catalog that people act on should not: `validate --strict`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from toolcatalog.core import expressions
from toolcatalog.core.definition import Definition, Pattern
from toolcatalog.errors import Finding, Path

_DESTRUCTIVE = re.compile(
    r"(?:delet(?:e|es|ed|ing)|remov(?:e|es|ed|ing)|drop(?:s|ped|ping)?|kill(?:s|ed|ing)?|stop(?:s|ped|ping)?"
    r"|restart(?:s|ed|ing)?|reboot(?:s|ed|ing)?|format(?:s|ted|ting)?|truncat(?:e|es|ed|ing)"
    r"|overwrit(?:e|es|ing|ten)|revok(?:e|es|ed|ing)|disabl(?:e|es|ed|ing)|prun(?:e|es|ed|ing)"
    r"|drain(?:s|ed|ing)?)",
)
_WORD = re.compile(r"[a-z]+")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_FILLER = (
    "{}",
    "use {}",
    "run {}",
    "call {}",
    "execute {}",
    "{} command",
    "{} tool",
    "the {} command",
    "how to use {}",
)

Place = tuple[Path, str, Pattern]


def strict(definitions: Sequence[Definition]) -> Iterator[tuple[Definition, Finding]]:
    """Yield what is doubtful in definitions and between them, each with the definition that it is about."""
    for definition in definitions:
        for finding in _of_one(definition):
            yield definition, finding
    yield from _of_all(definitions)


def _of_one(definition: Definition) -> Iterator[Finding]:
    for path, name, pattern in _patterns(definition):
        yield from _filler(definition, path, pattern)
        yield from _harmless_by_name(path, name, pattern)
        yield from _unknown_variables(path, pattern)
    yield from _commands(definition)


def _of_all(definitions: Sequence[Definition]) -> Iterator[tuple[Definition, Finding]]:
    """Find what definitions say twice between them; it is the later that is told."""
    described: dict[str, Definition] = {}
    asked: dict[tuple[str, str], Definition] = {}
    for definition in definitions:
        first = described.setdefault(_plain(definition.description), definition)
        if first.tool_name != definition.tool_name:
            yield definition, Finding(("description",), f'is word for word that of "{first.tool_name}"')
        for path, _, pattern in _patterns(definition):
            for number, case in enumerate(pattern.typical_use_cases):
                other = asked.setdefault((_plain(case), _plain(pattern.description)), definition)
                if other.tool_name != definition.tool_name:
                    where = (*path, "typical_use_cases", number)
                    said = (
                        f'"{case}" is also one of "{other.tool_name}", which describes it in the same words'
                    )
                    yield definition, Finding(where, said)


def _patterns(definition: Definition) -> Iterator[Place]:
    for capability_name, capability in definition.capabilities.items():
        for name, pattern in capability.patterns.items():
            path = ("capabilities", capability_name, "patterns", name)
            yield path, name, pattern


def _filler(definition: Definition, path: Path, pattern: Pattern) -> Iterator[Finding]:
    name = definition.tool_name.lower()
    empty = {phrase.format(name) for phrase in _FILLER}
    for number, case in enumerate(pattern.typical_use_cases):
        if _plain(case) in empty:
            where = (*path, "typical_use_cases", number)
            yield Finding(where, f'"{case}" says nothing to somebody who does not know the tool\'s name')


def _harmless_by_name(path: Path, name: str, pattern: Pattern) -> Iterator[Finding]:
    if pattern.policy.get("production_safe") is not True:
        return
    for field, text in (("", name.replace("_", " ")), ("description", pattern.description)):
        for word in _WORD.findall(text.lower()):
            if _DESTRUCTIVE.fullmatch(word):
                where = (*path, field) if field else path
                yield Finding(where, f'says "{word}", and yet is production_safe')


def _unknown_variables(path: Path, pattern: Pattern) -> Iterator[Finding]:
    """A condition for the background can only be judged by what the estimates or the inputs know."""
    condition = pattern.policy.get("requires_background_if")
    if not isinstance(condition, str):
        return
    known = {one["name"] for one in (*pattern.required_inputs, *pattern.optional_inputs)}
    for estimate in (pattern.time_estimate_ms, pattern.cost_estimate):
        if isinstance(estimate, str):
            known |= expressions.compile_expression(estimate).variables
    for name in sorted(expressions.compile_condition(condition).variables - known):
        where = (*path, "policy", "requires_background_if")
        yield Finding(where, f'names "{name}", which neither an estimate nor an input does')


def _commands(definition: Definition) -> Iterator[Finding]:
    """The command templates and the patterns belong together, and so do placeholders and inputs."""
    commands = definition.metadata.get("commands")
    if not isinstance(commands, dict):
        return
    patterns = {name: (path, pattern) for path, name, pattern in _patterns(definition)}
    for name in commands:
        if name not in patterns:
            yield Finding(("metadata", "commands", str(name)), "is of a pattern that is not there")
    for name, (path, pattern) in patterns.items():
        command = commands.get(name)
        if not isinstance(command, str):
            yield Finding(path, "has no command in metadata.commands")
            continue
        inputs = {one["name"] for one in (*pattern.required_inputs, *pattern.optional_inputs)}
        used = set(_PLACEHOLDER.findall(command))
        for missing in sorted(used - inputs):
            yield Finding(
                ("metadata", "commands", name), f'has "{{{missing}}}", which is no input of the pattern'
            )
        for unused in sorted(inputs - used):
            yield Finding(path, f'has the input "{unused}", which its command does not use')


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".?!")
