"""The drills of the disasters: in time, and without a loss; and a loss would be noticed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scripts.drills import database_corrupted, failover, postgres, service_lost
from scripts.drills.drill import Drill, Outcome, Scene
from scripts.drills.service import Writer
from toolcatalog.settings import PROJECT_ROOT


@pytest.mark.slow
@pytest.mark.unhurried
@pytest.mark.parametrize(
    "drill", [service_lost.DRILL, database_corrupted.DRILL, failover.DRILL], ids=lambda drill: drill.name
)
def test_a_disaster_is_recovered_from_in_time_and_nothing_is_lost(drill: Drill) -> None:
    outcome = drill.run(seconds=2)
    print(outcome)
    assert outcome.lost == []
    assert outcome.acknowledged > 20
    assert 0.05 < outcome.recovery_seconds < 60 < drill.limit_seconds
    assert outcome.is_passed


@pytest.mark.slow
@pytest.mark.unhurried
def test_a_loss_is_noticed() -> None:
    def play(scene: Scene) -> tuple[Writer, str]:
        server = scene.stack.enter_context(postgres.make(scene.folder / "postgres"))
        server.start()
        writer = scene.writing(scene.stack.enter_context(scene.service(PROJECT_ROOT, server.url)))
        scene.disaster("somebody falsifies the history")
        server.query(
            "UPDATE changes SET after = '{\"description\": \"0\"}' WHERE after->>'description' = '7'"
        )
        return writer, server.url

    outcome = Drill("falsified", 60, play).run(seconds=2)
    assert outcome.lost == [7]
    assert str(outcome).startswith("FAILED: falsified: back after ")
    assert str(outcome).endswith(" changes acknowledged, 1 lost")


@pytest.mark.slow
@pytest.mark.unhurried
def test_a_drill_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.drills.service_lost", "--seconds", "1", "--tools", "1500"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("passed: service_lost: back after ")


@pytest.mark.parametrize(("seconds", "lost", "passed"), [(59, [], True), (61, [], False), (1, [3], False)])
def test_what_is_late_or_lost_fails(seconds: float, lost: list[int], *, passed: bool) -> None:
    assert Outcome("x", 60, seconds, 100, lost).is_passed is passed


def test_the_longest_time_without_an_acknowledgement_counts() -> None:
    writer = Writer([])
    writer.acknowledged = [(at, 0) for at in (9.0, 9.9, 10.1, 10.2, 14.0, 14.1)]
    assert writer.back_at(10.0) == 14.0
