"""`make bench` measures everything, into docs/performance.md and the baseline that `make bench-quick` holds.

Only figures of one run are compared with each other: machines are noisy, and no two are alike.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench import report
from tests.bench.measuring import CEILING, SERVICE, Bench, Figures
from tests.bench.servers import pin_this_process
from tests.cluster import running_postgres

SIZES = (200, 10_000, 100_000)
BASELINE = Path(__file__).with_name("baseline.json")
# A part of the ceiling below this much of what it was is a failure.
_KEPT = 0.85


def main(arguments: list[str]) -> int:
    """Measure, in a database of its own."""
    if not shutil.which("wrk"):
        return (
            say("wrk, which makes the load, is not installed. On Debian and Ubuntu: apt-get install wrk") or 1
        )
    with tempfile.TemporaryDirectory() as folder, running_postgres(fsync=True) as postgres:
        pin_this_process()
        bench = Bench(postgres, Path(folder), say)
        if arguments == ["--quick"]:
            return quick(bench)
        all_figures = [bench.whole(count, seconds=3) for count in SIZES]
        growth = bench.growth()
    print(report.tables(all_figures, growth))
    report.write(all_figures, growth)
    BASELINE.write_text(json.dumps(usual(all_figures), indent=2) + "\n")
    return 0


def quick(bench: Bench) -> int:
    """Compare what part of the ceiling cached answers reach with the baseline; 1 when one fell too far."""
    baseline = json.loads(BASELINE.read_text())

    def fallen(figures: Figures) -> list[str]:
        found = parts(figures)
        for case, part in found.items():
            say(f"{case:20} {part:.2f} of the ceiling, {baseline[case]:.2f} in the baseline")
        return [case for case, part in found.items() if part < _KEPT * baseline[case]]

    slow = bench.small(2, fallen)
    if slow:
        say(f"Twice slower by more than 15 % than the baseline: {', '.join(slow)}.")
    return 1 if slow else 0


def parts(figures: Figures) -> dict[str, float]:
    """What part of the ceiling each cached answer reaches."""
    return {
        case: round(median(report.ratios(speeds[SERVICE], speeds[CEILING])), 2)
        for case, speeds in figures.cached.items()
    }


def usual(all_figures: list[Figures]) -> dict[str, float]:
    """What part of the ceiling each cached answer usually reaches; it costs the same however many tools."""
    found = [parts(figures) for figures in all_figures]
    return {case: median(each[case] for each in found) for case in found[0]}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


sys.exit(main(sys.argv[1:]))
