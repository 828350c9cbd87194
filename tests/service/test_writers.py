"""200 clients that write at the same moment, over HTTP, to both workers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.conftest import tool
from tests.service.conftest import Service

WRITERS = 200


def test_all_of_them_succeed_and_the_feed_has_each_once_in_order(service: Service) -> None:
    api = f"{service.url}/api/v1"
    before = requests.get(f"{api}/changes?since={2**62}", timeout=30).json()["revision"]
    barrier = threading.Barrier(WRITERS)

    def write(number: int) -> int:
        barrier.wait()
        return requests.post(f"{api}/tools", json=tool(f"writer {number}"), timeout=60).status_code

    with ThreadPoolExecutor(WRITERS) as pool:
        assert list(pool.map(write, range(WRITERS))) == [201] * WRITERS
    changes = requests.get(f"{api}/changes?since={before}", timeout=30).json()["changes"]
    assert [one["revision"] for one in changes] == list(range(before + 1, before + 1 + WRITERS))
    assert {one["tool_name"] for one in changes} == {f"writer {number}" for number in range(WRITERS)}
