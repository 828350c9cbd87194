"""The settings: read once from the environment and `.env`, checked, and frozen.

Only `app` and `cli` read settings; everything below is handed the values that it needs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

Network = IPv4Network | IPv6Network

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class InvalidSetting(ValueError):
    """A setting has a value that it may not have. One line: the setting, the value, what is allowed."""

    def __init__(self, name: str, value: str, allowed: str) -> None:
        super().__init__(f"{name}={value!r} is not allowed: {allowed}")


@dataclass(frozen=True, slots=True)
class _Rule:
    parse: Callable[[str], Any]
    allowed: str


def _integer(minimum: int, maximum: int) -> _Rule:
    def parse(text: str) -> int:
        value = int(text)
        if not minimum <= value <= maximum:
            raise ValueError
        return value

    return _Rule(parse, f"it has to be a whole number from {minimum} to {maximum}")


def _choice(*choices: str) -> _Rule:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return _Rule(parse, f"it has to be one of {', '.join(choices)}")


def _switch() -> _Rule:
    words = {
        "true": True,
        "1": True,
        "on": True,
        "yes": True,
        "false": False,
        "0": False,
        "off": False,
        "no": False,
    }
    return _Rule(lambda text: words[text.lower()], "it has to be true or false")


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(","))


def _origins(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(","))
    if not all(re.fullmatch(r"https?://[^/\s*]+", origin) for origin in found):
        raise ValueError
    return found


def _url(text: str) -> str:
    return normalised_url(text)


def normalised_url(text: str) -> str:
    """Name the driver in a PostgreSQL URL: SQLAlchemy reads a bare `postgresql://` as psycopg 3.

    Several hosts, as libpq writes them (`//one:5432,two:5432/`), become what SQLAlchemy reads.
    """
    url = make_url(_several_hosts(text))
    if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg2"):
        raise ValueError
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


_SEVERAL_HOSTS = re.compile(
    r"(?P<before>[^:/]+://(?:[^@]*@)?)(?P<hosts>[^@/?]*,[^@/?]*)(?P<path>(?:/[^?]*)?)(?P<query>(?:\?.*)?)"
)


def _several_hosts(text: str) -> str:
    found = _SEVERAL_HOSTS.fullmatch(text)
    if found is None:
        return text
    hosts = "&".join(f"host={host}" for host in found["hosts"].split(","))
    rest = found["query"].replace("?", "&", 1)
    return f"{found['before']}{found['path'] or '/'}?{hosts}{rest}"


def _setting(default: Any, rule: _Rule) -> Any:
    return field(default=default, metadata={"rule": rule})


_TEXT = _Rule(lambda text: text, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is the setting of the same name in capitals; `.env.example` says what each is for."""

    database_url: str | None = _setting(
        None, _Rule(_url, "it has to look like postgresql://user:password@host:5432/database")
    )
    host: str = _setting("127.0.0.1", _TEXT)
    port: int = _setting(3005, _integer(1, 65_535))
    workers: int = _setting(2, _integer(1, 256))
    threads: int = _setting(64, _integer(1, 256))
    tools_dir: Path = _setting(PROJECT_ROOT / "catalog", _Rule(Path, ""))
    hot_reload: str = _setting("on", _choice("on", "polling", "off"))
    cache_max_size: int = _setting(1_000, _integer(1, 1_000_000))
    cache_ttl_seconds: int = _setting(300, _integer(1, 86_400))
    db_pool_size: int = _setting(8, _integer(1, 1_000))
    db_max_overflow: int = _setting(0, _integer(0, 1_000))
    db_statement_timeout_ms: int = _setting(10_000, _integer(1, 3_600_000))
    auth: str = _setting("off", _choice("off", "writes", "all"))
    max_writes_per_minute: int = _setting(6_000, _integer(0, 1_000_000))
    trusted_proxies: tuple[Network, ...] = _setting(
        (), _Rule(_networks, "it has to be addresses or networks, separated by commas")
    )
    cors_origins: tuple[str, ...] = _setting(
        (), _Rule(_origins, "it has to be origins such as https://ops.example.com, separated by commas")
    )
    max_waiters: int = _setting(4, _integer(1, 256))
    max_header_bytes: int = _setting(8_190, _integer(1_024, 65_536))
    max_body_bytes: int = _setting(5_000_000, _integer(1_000, 1_000_000_000))
    # As much as the reader of YAML takes: what an export gives goes back in.
    max_import_bytes: int = _setting(67_108_864, _integer(1_000, 1_000_000_000))
    require_if_match: bool = _setting(False, _switch())  # noqa: FBT003 - the default value, not an argument
    log_level: str = _setting("INFO", _choice("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = _setting("console", _choice("console", "json"))
    log_requests: str = _setting("changes", _choice("changes", "all"))

    @property
    def waiting_places(self) -> int:
        """How many threads of a worker may wait for changes: none where there are too few to spare."""
        return min(self.max_waiters, self.threads // 4)

    @property
    def database_places(self) -> int:
        """How many threads of a worker may wait for the database; the others answer what does not need it."""
        return max(1, self.threads - self.waiting_places - min(4, self.threads // 4))

    def shown(self) -> dict[str, object]:
        """Return the settings as they may be logged, under their names, without passwords."""
        found = {field.name.upper(): getattr(self, field.name) for field in fields(self)}
        if self.database_url is not None:
            found["DATABASE_URL"] = make_url(self.database_url).render_as_string(hide_password=True)
        return {
            name: value if isinstance(value, str | int | None) else _shown(value)
            for name, value in found.items()
        }

    def check_exposure(self, addresses: Iterable[str]) -> None:
        """Refuse to serve without keys where other machines can reach it.

        Raises:
            InvalidSetting: when `AUTH` is off and one of the addresses is not of this machine alone.
        """
        for address in addresses:
            if self.auth == "off" and not _is_loopback(address):
                raise InvalidSetting(
                    "AUTH",
                    "off",
                    f"other machines can reach {address}: set AUTH=writes or AUTH=all, and make keys with "
                    "`toolcatalog keys add`",
                )


def _shown(value: Path | tuple[object, ...]) -> str:
    return str(value) if isinstance(value, Path) else ",".join(map(str, value))


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; the environment wins over `.env` in the working folder.

    An empty value means the default.

    Raises:
        InvalidSetting: for the first value that is not allowed.
    """
    if environment is None:
        environment = {**{k: v for k, v in dotenv_values(".env").items() if v is not None}, **os.environ}
    given = {field.name: environment.get(field.name.upper(), "") for field in fields(Settings)}
    return Settings(
        **{
            field.name: _parsed(field.name, given[field.name], field.metadata["rule"])
            for field in fields(Settings)
            if given[field.name]
        }
    )


def _parsed(name: str, text: str, rule: _Rule) -> Any:
    try:
        return rule.parse(text)
    except (ValueError, KeyError, ArgumentError) as error:
        # A URL may hold a password, and this line goes to terminals and logs.
        shown = "…" if name == "database_url" else text
        raise InvalidSetting(name.upper(), shown, rule.allowed) from error
