"""API keys: making them, revoking them, and telling whose a key is.

A key is `tc_<id>_<secret>`: 8 and 64 hexadecimal digits. The id says which row to compare with.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select, text, update
from sqlalchemy.orm import Session

from toolcatalog.errors import AlreadyExists, InvalidQuery, NotFound
from toolcatalog.models import ApiKey
from toolcatalog.models.keys import SCOPES
from toolcatalog.services.changes import OWN_ACTORS, drop_caches

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_KEY = re.compile(r"tc_([0-9a-f]{8})_[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is compared with one that is presented."""

    name: str
    scope: str
    sha256: bytes
    is_revoked: bool

    def opens(self, scope: str) -> bool:
        """Tell whether its scope is this one, or one that includes it."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


Keys = dict[str, Key]


def make(session: Session, name: str, scope: str) -> str:
    """Make a key and return it: this is the only time that it can be seen. Flushes.

    Raises:
        InvalidQuery: when the name could not stand in a log line or an audit trail as it is.
        AlreadyExists: when the name stands for another actor in the audit trail, also for a revoked key.
    """
    if not _NAME.fullmatch(name):
        raise InvalidQuery(f"The name {name[:80]!r} of a key has to be 1 to 63 of A-Z a-z 0-9 . _ @ -")
    _check_is_new(session, name)
    identity = secrets.token_hex(4)
    key = f"tc_{identity}_{secrets.token_hex(32)}"
    session.add(ApiKey(id=identity, name=name, scope=scope, sha256=_sha256(key)))
    session.flush()
    _tell(session)
    return key


def _check_is_new(session: Session, name: str) -> None:
    """Refuse a name that the audit trail has for another actor; nobody else makes a key until the commit."""
    if name.lower() in OWN_ACTORS:
        raise AlreadyExists(
            f"The name {name} is reserved: {', '.join(OWN_ACTORS)} are in the audit trail for changes "
            "that are made without a key. Choose another name."
        )
    session.execute(text("LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE"))
    # A living one first: databases of earlier releases have revoked ones of the same name.
    found = (
        select(ApiKey.revoked_at).where(ApiKey.name == name).order_by(ApiKey.revoked_at.desc().nulls_first())
    )
    row = session.execute(found.limit(1)).first()
    if row is not None:
        state = "There is" if row.revoked_at is None else f"Until {row.revoked_at:%Y-%m-%d} there was"
        raise AlreadyExists(
            f"{state} a key {name}, and in the audit trail a name stands for one key. Choose another name."
        )


def revoke(session: Session, name: str) -> None:
    """Revoke the living key of that name.

    Raises:
        NotFound: when there is none.
    """
    living = (ApiKey.name == name) & ApiKey.revoked_at.is_(None)
    if (
        session.scalar(update(ApiKey).where(living).values(revoked_at=func.now()).returning(ApiKey.id))
        is None
    ):
        raise NotFound(f"There is no key {name} that is not revoked.")
    _tell(session)


def _tell(session: Session) -> None:
    """Have every process read the keys again, as it does when it is told to forget its answers."""
    drop_caches(session, known_drops=0)


def list_all(connection: Connection) -> list[Row[Any]]:
    """Return all keys, also the revoked ones, the newest first."""
    return list(connection.execute(select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.id)))


def load(connection: Connection) -> Keys:
    """Return all keys by their id."""
    return {
        row.id: Key(row.name, row.scope, row.sha256, is_revoked=row.revoked_at is not None)
        for row in list_all(connection)
    }


def find(keys: Keys, presented: str) -> Key | None:
    """Find the key that is presented, revoked or not; compares in constant time."""
    matched = _KEY.fullmatch(presented)
    known = keys.get(matched[1]) if matched else None
    return known if known is not None and hmac.compare_digest(known.sha256, _sha256(presented)) else None


def _sha256(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
