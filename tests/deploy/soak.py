"""Mixed load on two hosts over one PostgreSQL, while things break: `make soak`.

The second host's log goes to a full disk, the first one's clock is stepped, workers are killed, and
PostgreSQL is stopped as by a power cut. Afterwards every write that was acknowledged has to be in the
history, both hosts have to show the same as the database, and nothing may have grown.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.cluster import Host, Postgres, empty_catalog, eventually, kill, running_host, running_postgres
from tests.deploy.load import Load, load
from toolcatalog.settings import PROJECT_ROOT

_SECONDS_BETWEEN_FAULTS = 5.0
_SECONDS_OF_OUTAGE = 2.0
_LIBRARY = "faketime/libfaketimeMT.so.1"


@dataclass
class Soak:
    """What became of it. `growth_mb` is of the largest worker, from the second round of faults to the end."""

    faults: Counter[str] = field(default_factory=Counter)
    slowest_recovery_seconds: float = 0.0
    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    saved: int = 0
    growth_mb: float = 0.0

    def __str__(self) -> str:
        faults = ", ".join(f"{count} times {fault}" for fault, count in self.faults.items())
        failures = ", ".join(f"{count} times {failure}" for failure, count in self.failures.most_common())
        return (
            f"{self.answered} answered; {faults}; back after {self.slowest_recovery_seconds:.1f} s at most; "
            f"failed: {failures or 'none'}; writes acknowledged {self.acknowledged}, lost {len(self.lost)}; "
            f"files saved {self.saved}; the largest worker grew by {self.growth_mb:.1f} MB"
        )


@dataclass
class _Scene:
    """Two hosts, and what is done to them."""

    postgres: Postgres
    stepped: Host
    without_log: Host
    clock: Path

    @property
    def hosts(self) -> tuple[Host, Host]:
        return self.stepped, self.without_log

    def faults(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Each kind of fault in turn, without end."""
        steps = itertools.cycle(["+2h", "-1d", "+0"])
        while True:
            yield "a worker killed", lambda: kill(self.stepped.workers()[0])
            yield "the clock stepped", lambda: self._step(next(steps))
            yield "PostgreSQL stopped and started", self._restart_postgres
            yield "a worker killed that cannot log", lambda: kill(self.without_log.workers()[-1])

    def _step(self, offset: str) -> None:
        _set_clock(self.clock, offset)

    def _restart_postgres(self) -> None:
        self.postgres.stop()
        time.sleep(_SECONDS_OF_OUTAGE)
        self.postgres.start()

    def is_well(self) -> bool:
        return all(len(host.workers()) == 2 and _is_ready(host) for host in self.hosts)

    def largest_worker_mb(self) -> float:
        """Its own memory, in MB."""
        pids = [pid for host in self.hosts for pid in host.workers()]
        return max(psutil.Process(pid).memory_full_info().uss for pid in pids) / 1e6


def _set_clock(clock: Path, offset: str) -> None:
    following = clock.with_suffix(".next")
    following.write_text(offset)
    following.rename(clock)


def _is_ready(host: Host) -> bool:
    client = host.client()
    try:
        return client.get("/health/ready").status == 200
    except OSError:
        return False
    finally:
        client.close()
        host.clients.remove(client)


@contextmanager
def _scene(folder: Path) -> Iterator[_Scene]:
    clock, tools_dir = folder / "clock", folder / "tools"
    tools_dir.mkdir()
    _set_clock(clock, "+0")
    (library,) = Path("/usr/lib").glob(f"*/{_LIBRARY}")
    # libfaketime refuses the kind of sleep that Python asks for.
    (folder / "sitecustomize.py").write_text(
        "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)\n"
    )
    stepped = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "PYTHONPATH": f"{folder}:{PROJECT_ROOT}",
    }  # fmt: skip
    with ExitStack() as stack:
        postgres = stack.enter_context(empty_catalog(stack.enter_context(running_postgres())))
        hosts = [
            stack.enter_context(
                running_host(postgres.url, tools_dir, output, MAX_WRITES_PER_MINUTE="0", **settings)
            )
            for output, settings in ((folder / "log.txt", stepped), (Path("/dev/full"), {}))
        ]
        yield _Scene(postgres, *hosts, clock)


def run(seconds: float, say: Callable[[str], None] = print) -> Soak:
    """Soak two hosts for so long, and look at what is left of it; `say` hears of each fault as it is made."""
    soak = Soak()
    with tempfile.TemporaryDirectory(prefix="toolcatalog-soak-") as folder, _scene(Path(folder)) as scene:
        with ExitStack() as stack:
            loads = [
                stack.enter_context(load(host.port, 60, prefix=f"load-{number}"))
                for number, host in enumerate(scene.hosts)
            ]
            _break_things(scene, soak, time.monotonic() + seconds, say)
        _compare(scene, soak, loads)
    return soak


def _break_things(scene: _Scene, soak: Soak, end: float, say: Callable[[str], None]) -> None:
    first_round_mb = 0.0
    for count, (name, fault) in enumerate(scene.faults()):
        if time.monotonic() > end:
            break
        say(f"{name}; {end - time.monotonic():.0f} s to go")
        _save(scene.stepped.tools_dir, soak)
        fault()
        soak.faults[name] += 1
        recovery = eventually(scene.is_well, 60)
        soak.slowest_recovery_seconds = max(soak.slowest_recovery_seconds, recovery)
        time.sleep(_SECONDS_BETWEEN_FAULTS)
        if count == 7:
            first_round_mb = scene.largest_worker_mb()
    soak.growth_mb = scene.largest_worker_mb() - first_round_mb if first_round_mb else 0.0


def _save(tools_dir: Path, soak: Soak) -> None:
    """Save the definition of a tool in place of the one before, as somebody does with an editor."""
    soak.saved += 1
    following = tools_dir / ".saved"
    following.write_text(
        f"tool_name: saved\nversion: '1.0'\ndescription: '{soak.saved}'\n"
        "capabilities: {c: {patterns: {p: {description: One.}}}}\n"
    )
    following.rename(tools_dir / "saved.yaml")


def _compare(scene: _Scene, soak: Soak, loads: list[Load]) -> None:
    """Look whether what was acknowledged is in the history, and whether all show the same as it."""
    statement = "SELECT tool_name, after->>'description' FROM changes WHERE after IS NOT NULL"
    history = set(scene.postgres.query(statement, "for_one_test"))
    for made in loads:
        soak.answered += made.answered
        soak.failures.update(made.kinds_of_failures())
        soak.acknowledged += len(made.acknowledgements)
        soak.lost += [f"{name} {said}" for name, said in made.acknowledgements if (name, said) not in history]
    latest = "SELECT tool_name, description FROM tool_versions WHERE is_latest ORDER BY tool_name"
    expected = scene.postgres.query(latest, "for_one_test")
    assert ("saved", str(soak.saved)) in expected
    for host in scene.hosts:
        for client in host.clients_of_all_workers():
            shown = client.get("/api/v1/tools?limit=1000").json
            assert [(one["tool_name"], one["description"]) for one in shown] == expected


def main() -> None:
    """Soak for as long as is said, and exit with 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    soak = run(parser.parse_args().seconds)
    print(soak)
    if soak.lost:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
