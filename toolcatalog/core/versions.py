"""The order of versions: PEP 440 or semver where a version parses as one, else as text.

Versions that are neither come before all that are: a number is a promise of order, a word is not.
"""

from __future__ import annotations

import re
from typing import Any

from packaging.utils import canonicalize_version
from packaging.version import InvalidVersion, Version

# semver.org, clause 9: a pre-release is a series of dot-separated identifiers after a hyphen.
_SEMVER = re.compile(r"v?([0-9]+\.[0-9]+\.[0-9]+)-([0-9A-Za-z.-]+)(?:\+[0-9A-Za-z.-]+)?")


def sort_key(version: str) -> tuple[Any, ...]:
    """Return a key that puts older versions first; equal keys mean the same release spelled twice."""
    try:
        return (1, Version(version), ())
    except InvalidVersion:
        return _semver_key(version) or (0, version)


def _semver_key(version: str) -> tuple[Any, ...] | None:
    """Place a pre-release that PEP 440 has no name for just below its release's other pre-releases."""
    match = _SEMVER.fullmatch(version)
    if match is None:
        return None
    identifiers = match[2].split(".")
    # semver.org, clause 11: numeric identifiers compare as numbers, and below words.
    ranks = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in identifiers)
    return (1, Version(f"{match[1]}.dev0"), ranks)


def key(version: str) -> str:
    """Return the same text for all spellings of a release, of which none is newer than another."""
    try:
        return canonicalize_version(Version(version))
    except InvalidVersion:
        return _semver_spelling(version) or version


def _semver_spelling(version: str) -> str | None:
    """Write a pre-release without what its order does not heed: zeros in front, the "v", the build.

    No version of another kind has the result for its key: PEP 440's have no hyphen, and this is no mere text.
    """
    match = _SEMVER.fullmatch(version)
    if match is None:
        return None
    release, pre_release = (
        ".".join(str(int(part)) if part.isdigit() else part for part in dotted.split("."))
        for dotted in match.groups()
    )
    return f"{release}-{pre_release}"


def is_same_release(one: str, other: str) -> bool:
    """Tell whether two versions are one release, spelled alike or not: `1.0`, `1.0.0`, `v1.0`."""
    return key(one) == key(other)


def is_newer(version: str, than: str) -> bool:
    """Tell whether one version comes after another."""
    return sort_key(version) > sort_key(than)
