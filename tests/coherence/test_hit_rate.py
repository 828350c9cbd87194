"""A write ends what it touches and leaves the rest: the cache goes on answering."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import pytest

from tests.cluster import Host, eventually
from tests.coherence.conftest import StartHost
from tests.conftest import tool

TOOLS = "/api/v1/tools"
PLATFORMS = ("linux", "windows", "network", "container", "kubernetes", "database", "cloud", "monitoring")
WORDS = ("disk", "service", "network", "process", "memory")


def questions(random_: random.Random) -> str:
    """A question of the mix that the load test asks: lists, names, single tools, filters, searches."""
    kind = random_.random()
    if kind < 0.35:
        return f"{TOOLS}?view=summary"
    if kind < 0.55:
        return f"{TOOLS}/search?q={random_.choice(WORDS)}&fields=tool_name"
    if kind < 0.85:
        return f"{TOOLS}/tool-{random_.randrange(200)}"
    return f"{TOOLS}?platform={random_.choice(PLATFORMS)}&enabled=true&view=summary"


def ask(host: Host, seed: int, ended: threading.Event, seen: Counter[str]) -> None:
    random_, client = random.Random(seed), host.client()
    while not ended.is_set():
        answer = client.get(questions(random_))
        assert answer.status == 200
        seen[answer.headers["Cache-Status"].split(";")[1].strip()] += 1


@pytest.mark.slow
def test_one_write_a_second_among_200_tools_leaves_the_hit_rate_above_95_percent(
    start_host: StartHost,
) -> None:
    host = start_host(WORKERS="2")
    client = host.client()
    tools = [
        tool(f"tool-{n}", platform=PLATFORMS[n % 8], description=f"{WORDS[n % 5]} tool") for n in range(200)
    ]
    assert client.call("POST", f"{TOOLS}/import", tools).status == 200
    for each in host.clients_of_all_workers():
        eventually(lambda each=each: "hit" in each.get(TOOLS).headers["Cache-Status"])
    seen: Counter[str] = Counter()
    ended = threading.Event()
    threads = [threading.Thread(target=ask, args=(host, seed, ended, seen)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for second in range(10):
        time.sleep(1)
        changed = client.call("PATCH", f"{TOOLS}/tool-{second * 7}", {"description": f"disk {second}"})
        assert changed.status == 200
    ended.set()
    for thread in threads:
        thread.join()
    rate = seen["hit"] / seen.total()
    print(f"{seen.total()} reads with a write a second: hit rate {rate:.3f}")
    assert rate > 0.95
