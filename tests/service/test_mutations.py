"""Five thousand mutated definitions: none is a 500, none is half written, none stays in memory."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
import requests
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.cluster import Host
from tests.coherence.conftest import StartHost, postgres, server, start_host, tools_dir
from tests.core.generated import values
from toolcatalog.core import json_text
from toolcatalog.settings import PROJECT_ROOT

__all__ = ["postgres", "server", "start_host", "tools_dir"]

_COUNT = 5_000
_SHIPPED = sorted((PROJECT_ROOT / "catalog").glob("*/*.yaml"))
_TYPES = {"yaml": "application/yaml", "json": "application/json"}


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    if isinstance(value, dict):
        return [here, *(path for key, one in value.items() for path in paths(one, (*here, key)))]
    if isinstance(value, list):
        return [here, *(path for place, one in enumerate(value) for path in paths(one, (*here, place)))]
    return [here]


@st.composite
def mutated_values(draw: st.DrawFn) -> Any:
    """A shipped definition with up to three values replaced, taken away or doubled."""
    document = yaml.safe_load(draw(st.sampled_from(_SHIPPED)).read_bytes())
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(paths(document)[1:]))
        holder = document
        for step in way:
            holder = holder[step]
        match draw(st.sampled_from(("replace", "remove", "nest", "rename"))):
            case "replace":
                holder[last] = draw(values)
            case "remove":
                del holder[last]
            case "nest":
                holder[last] = {"a": [holder[last]]}
            case "rename" if isinstance(holder, dict):
                holder[draw(st.text(min_size=1, max_size=5))] = holder.pop(last)
    return document


@st.composite
def mutated_texts(draw: st.DrawFn) -> bytes:
    """The bytes of a shipped definition with up to five places changed."""
    data = bytearray(draw(st.sampled_from(_SHIPPED)).read_bytes())
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(("byte", "cut", "double", "mark"))):
            case "byte":
                data[place] = draw(st.integers(0, 255))
            case "cut":
                del data[place : place + draw(st.integers(1, 200))]
            case "double":
                data[place:place] = data[place : place + draw(st.integers(1, 200))]
            case "mark":
                data[place:place] = draw(
                    st.sampled_from((b"&a ", b"*a", b"!!", b"- ", b"{", b'"', b"\t", b"\0", b"---\n"))
                )
        if not data:
            data += b"-"
    return bytes(data)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """A body and the name of its format."""
    if draw(st.booleans()):
        return draw(st.sampled_from(("yaml", "json"))), draw(mutated_texts())
    document = draw(mutated_values())
    if draw(st.booleans()):
        return "yaml", yaml.safe_dump(document, allow_unicode=True).encode(errors="replace")
    return "json", json_text.dumps(document).encode(errors="replace")


def memory(host: Host) -> int:
    """What the workers hold that no other process does, in bytes."""
    return sum(psutil.Process(pid).memory_full_info().uss for pid in host.workers())


@pytest.mark.slow
@pytest.mark.unhurried
def test_what_was_mutated_is_refused_or_taken_in_whole(start_host: StartHost) -> None:
    host = start_host(WORKERS="1", HOT_RELOAD="off", MAX_WRITES_PER_MINUTE="0")
    url = f"http://127.0.0.1:{host.port}/api/v1/tools"
    session = requests.Session()
    statuses: dict[int, int] = {}
    before: list[int] = []

    @seed(1)
    @settings(
        max_examples=_COUNT, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(bodies(), st.sampled_from(("", "import", "validate")))
    def send(body: tuple[str, bytes], where: str) -> None:
        kind, data = body
        if where == "" and kind == "yaml":
            where = "import"
        answer = session.post(
            f"{url}/{where}".rstrip("/"), data=data, headers={"Content-Type": _TYPES[kind]}, timeout=30
        )
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, (where, data)
        if answer.status_code >= 400:
            assert answer.json()["detail"]
        if sum(statuses.values()) == 500:  # imports, caches and pools are there by now
            before.append(memory(host))

    send()
    growth = memory(host) - before[0]
    print(f"{sum(statuses.values())} bodies: {statuses}; grew by {growth / 1e6:.1f} MB")
    assert sum(statuses.values()) >= _COUNT
    assert growth < 50_000_000
    check_whole(session, url)


def check_whole(session: requests.Session, url: str) -> None:
    """What is in the catalog can be read, each tool by itself, and goes out and in again unchanged."""
    names = [one["tool_name"] for one in session.get(f"{url}?fields=tool_name", timeout=30).json()]
    assert len(names) > 20
    changes = session.get(f"{url.replace('/tools', '')}/changes?limit=1000", timeout=30).json()["changes"]
    assert {change["tool_name"] for change in changes} >= set(names[:50]) or len(changes) == 1000
    exported = session.get(f"{url}/export", timeout=60).content
    imported = session.post(
        f"{url}/import?overwrite=true", data=exported, headers={"Content-Type": _TYPES["yaml"]}, timeout=60
    ).json()
    assert {one["result"] for one in imported["results"]} == {"unchanged"}, imported
