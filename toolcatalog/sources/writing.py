"""Writing documents as YAML that the reader here, and any other, reads back as the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Writer(_Dumper):  # type: ignore[misc]
    """Puts in quotes what a YAML 1.2 reader would take for a number; PyYAML itself minds YAML 1.1."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value again where it occurs again: an alias is short, and hard to read."""
        return True


_Writer.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|0o[0-7]+$|0x[0-9a-fA-F]+$"),
    list("-+.0123456789"),
)


def _float(writer: Any, value: float) -> Any:
    """Write a float as Python does: PyYAML writes 1e+16 in a way that YAML 1.2 reads as a string."""
    return writer.represent_scalar("tag:yaml.org,2002:float", repr(value))


_Writer.add_representer(float, _float)

# Line breaks to YAML 1.1, where PyYAML folds; characters like others to YAML 1.2; refused by the reader here.
_SEPARATORS = re.compile("[\x85\u2028\u2029]")


def _text(writer: Any, value: str) -> Any:
    """Write a text as PyYAML does, and what two readers would not take alike as escapes in double quotes."""
    style = '"' if _SEPARATORS.search(value) else None
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Writer.add_representer(str, _text)


def yaml_texts(documents: Iterable[Any]) -> Iterator[str]:
    """Yield each document as YAML text, with the `---` that separates it from the one before."""
    for document in documents:
        yield "---\n" + yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=110)
