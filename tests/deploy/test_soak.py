"""One minute of what `make soak` does for ten."""

from __future__ import annotations

import pytest

from tests.deploy import soak


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_while_things_break() -> None:
    made = soak.run(60)
    print(made)
    assert made.lost == []
    assert made.acknowledged > 300
    assert len(made.faults) == 4
    assert made.slowest_recovery_seconds < 20
    assert made.growth_mb < 30
    # Nobody is told of an error of ours; what was lost is the connection to a worker that was killed.
    lost_connections = {"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "IncompleteRead"}
    assert {failure.split()[1] for failure in made.failures} <= {"503"} | lost_connections
