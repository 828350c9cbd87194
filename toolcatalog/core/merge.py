"""Changing and comparing plain documents: JSON merge patch, and the difference between two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolcatalog.core import json_text
from toolcatalog.errors import Path, dotted


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396): maps merge, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def is_same(old: Any, new: Any) -> bool:
    """Tell whether two values are written alike; to Python, 1, 1.0 and true are equal."""
    return old is new or json_text.dumps(old) == json_text.dumps(new)


def difference(old: Any, new: Any) -> list[dict[str, Any]]:
    """List what differs, as `{"op": "add" | "remove" | "replace", "path", "from", "to"}`.

    Maps are compared field by field, lists as a whole: of a list, the order is part of the value.
    """
    return list(_differences(old, new, ()))


def _differences(old: Any, new: Any, path: Path) -> Iterator[dict[str, Any]]:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if not is_same(old, new):
            yield {"op": "replace", "path": dotted(path), "from": old, "to": new}
        return
    for name in [*old, *(name for name in new if name not in old)]:
        here = (*path, name)
        if name not in new:
            yield {"op": "remove", "path": dotted(here), "from": old[name]}
        elif name not in old:
            yield {"op": "add", "path": dotted(here), "to": new[name]}
        else:
            yield from _differences(old[name], new[name], here)
