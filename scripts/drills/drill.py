"""What all drills share: the scene, the measure, the verdict."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from scripts.drills.service import Service, Writer, free_port

Say = Callable[[str], None]


@dataclass
class Scene:
    """Where a drill takes place: a folder that goes away with it, and what it has to end.

    `seconds` is how long the client writes before the disaster; `tools` is how many tools there are besides
    those that ship.
    """

    folder: Path
    stack: ExitStack
    seconds: float
    tools: int
    say: Say
    begun: float = 0.0

    def step(self, what: str) -> None:
        """Say what is done next, and when, counted from the disaster."""
        at = f"{time.monotonic() - self.begun:6.2f} s  " if self.begun else "          "
        self.say(f"{at}{what}")

    def disaster(self, what: str) -> None:
        """Say that it has happened: the time runs from here."""
        self.begun = time.monotonic()
        self.step(what)

    def service(self, folder: Path, database_url: str, port: int | None = None) -> Service:
        """Make a service of the project in a folder, on any port or on that which another had."""
        return Service(folder, database_url, port or free_port(), self.folder)

    def writing(self, *services: Service) -> Writer:
        """Let a client write to the first service that takes it, until the scene ends."""
        services[0].import_tools(self.tools)
        writer = self.stack.enter_context(Writer([service.port for service in services]))
        self.step(f"a client writes for {self.seconds:g} s")
        time.sleep(self.seconds)
        return writer


@dataclass(frozen=True)
class Outcome:
    """What came of a drill; `lost` are the acknowledged changes that are gone."""

    name: str
    limit_seconds: float
    recovery_seconds: float
    acknowledged: int
    lost: list[int] = field(default_factory=list)

    @property
    def is_passed(self) -> bool:
        """Whether it was in time, and nothing is gone."""
        return self.recovery_seconds <= self.limit_seconds and not self.lost

    def __str__(self) -> str:
        verdict = "passed" if self.is_passed else "FAILED"
        limit = f"limit {self.limit_seconds / 60:g} min"
        changes = f"{self.acknowledged} changes acknowledged, {len(self.lost)} lost"
        return f"{verdict}: {self.name}: back after {self.recovery_seconds:.1f} s ({limit}); {changes}"


@dataclass(frozen=True)
class Drill:
    """A disaster: its limit, and the function that makes it and recovers; that returns the URL to look in."""

    name: str
    limit_seconds: float
    play: Callable[[Scene], tuple[Writer, str]]

    def run(self, seconds: float = 3.0, tools: int = 0, say: Say = print) -> Outcome:
        """Run it from the beginning to the verdict."""
        with tempfile.TemporaryDirectory(prefix="toolcatalog-drill-") as folder, ExitStack() as stack:
            Path(folder).chmod(0o755)  # as root, PostgreSQL runs as another user
            scene = Scene(Path(folder), stack, seconds, tools, say)
            scene.step(f"{self.name}: the scene is set")
            writer, url = self.play(scene)
            writer.wait_for_acknowledgement()
            time.sleep(1)  # it has to last
            writer.stop()
            recovery_seconds = writer.back_at(scene.begun) - scene.begun
            return Outcome(
                self.name, self.limit_seconds, recovery_seconds, len(writer.acknowledged), writer.lost(url)
            )


def main(*drills: Drill) -> int:
    """Run drills from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=", ".join(drill.name for drill in drills))
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to write before the disaster")
    parser.add_argument("--tools", type=int, default=0, help="how many tools to have besides those that ship")
    given = parser.parse_args()
    outcomes = []
    for drill in drills:
        outcomes.append(drill.run(given.seconds, given.tools))
        print(outcomes[-1], flush=True)
    return 0 if all(outcome.is_passed for outcome in outcomes) else 1


def run_alone(drill: Drill) -> None:
    """Run one drill as a program."""
    sys.exit(main(drill))
