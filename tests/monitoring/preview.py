"""Draws the dashboard, by its own queries on a real Prometheus, in its own grid: `make dashboard-preview`."""

from __future__ import annotations

import random
import re
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import matplotlib as mpl
import yaml
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle, Wedge

from tests.cluster import Host, running_host, running_postgres
from tests.conftest import tool
from tests.monitoring.prometheus import JOB, Asked, monitoring, shortened
from tests.monitoring.test_files import PANELS
from toolcatalog.settings import PROJECT_ROOT

SECONDS = 120
PICTURE = PROJECT_ROOT / "docs" / "images" / "dashboard.png"
BACKGROUND, PANEL, TEXT, FAINT = "#111217", "#181b1f", "#d8d9da", "#8e8e8e"
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442", "#D55E00", "#999999"]
Series = tuple[str, list[float], list[float]]


def main() -> None:
    """Run a service with some traffic under Prometheus for two minutes, and draw what it saw."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, tools_dir = Path(name), Path(name) / "tools"
        tools_dir.mkdir()
        for number in range(200):
            (tools_dir / f"{number}.yaml").write_text(yaml.safe_dump(tool(f"tool-{number}")))
        postgres = stack.enter_context(running_postgres())
        host = stack.enter_context(running_host(postgres.url, tools_dir, folder / "host.txt", WORKERS="4"))
        watched = stack.enter_context(monitoring(folder, {JOB: [f"127.0.0.1:{host.port}"]}))
        make_traffic(host, tools_dir)
        draw(watched.prometheus)
    print(f"Wrote {PICTURE.relative_to(PROJECT_ROOT)}")


def make_traffic(host: Host, tools_dir: Path) -> None:
    ended = threading.Event()
    threads = [threading.Thread(target=read, args=(host, seed, ended)) for seed in range(3)]
    for thread in threads:
        thread.start()
    writer = host.client()
    for second in range(SECONDS):
        print(f"\r{second + 1} of {SECONDS} seconds", end="", flush=True)
        writer.call("PATCH", f"/api/v1/tools/tool-{second}", {"description": f"at {second}"})
        if second % 20 == 10:
            text = "tool_name: [" if second == 50 else yaml.safe_dump(tool("tool-7", description=str(second)))
            (tools_dir / "7.yaml").write_text(text)
        time.sleep(1)
    print()
    ended.set()
    for thread in threads:
        thread.join()


def read(host: Host, seed: int, ended: threading.Event) -> None:
    random_, client = random.Random(seed), host.client()
    while not ended.is_set():
        kind = random_.random()
        if kind < 0.35:
            client.get("/api/v1/tools?view=summary")
        elif kind < 0.6:
            client.get(f"/api/v1/tools/search?q={random_.choice(['disk', 'files', 'error+message'])}")
        else:
            client.get(f"/api/v1/tools/tool-{random_.randrange(200)}")
        time.sleep(random_.random() * 0.05)


def draw(prometheus: Asked) -> None:
    """Draw all panels, each where the dashboard has it."""
    mpl.rcParams |= {"text.color": TEXT, "axes.labelcolor": TEXT, "xtick.color": FAINT, "ytick.color": FAINT}
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in PANELS)
    figure = plt.figure(figsize=(19.2, height * 0.36), facecolor=BACKGROUND)
    for panel in PANELS:
        place = panel["gridPos"]
        x, w = place["x"] / 24, place["w"] / 24
        y, h = 1 - (place["y"] + place["h"]) / height, place["h"] / height
        figure.add_artist(Rectangle((x + 0.002, y + 0.003), w - 0.004, h - 0.006, facecolor=PANEL, zorder=-1))
        figure.text(x + 0.008, y + h - 0.019, panel["title"], fontsize=12, weight="bold")
        is_series = panel["type"] == "timeseries"
        room = 0.4 if is_series else 0.12
        left = 0.035 if is_series else 0.01
        axes = figure.add_axes((x + left, y + h * room, w - 1.6 * left, h * (0.83 - room)))
        {"timeseries": draw_series, "stat": draw_stat, "gauge": draw_gauge}[panel["type"]](
            axes, panel, found(prometheus, panel)
        )
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=75, facecolor=BACKGROUND)


def found(prometheus: Asked, panel: dict[str, Any]) -> list[Series]:
    """Run the queries of a panel over the time of the traffic."""
    now, series = time.time(), []
    for target in panel["targets"]:
        expression = target["expr"].replace("$job", JOB).replace("$__rate_interval", "5m")
        asked = f"query={quote(shortened(expression))}&start={now - SECONDS + 5}&end={now}&step=1"
        for one in prometheus.get(f"/api/v1/query_range?{asked}")["data"]["result"]:
            labels = one["metric"]
            legend = re.sub(
                r"\{\{(\w+)\}\}", lambda m, labels=labels: labels.get(m[1], ""), target["legendFormat"]
            )
            values = [float(value) for _, value in one["values"]]
            series.append((legend, [at - now for at, _ in one["values"]], values))
    return series


def written(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.0f} s" if value >= 10 else f"{value * 1000:.1f} ms"
    if unit == "percentunit":
        return f"{value:.1%}"
    return f"{value:.3g}" + {"reqps": " req/s", "ops": " ops/s"}.get(unit, "")


def unit_of(panel: dict[str, Any], legend: str) -> tuple[str, bool]:
    """Return the unit of a series, and whether it is drawn on the right axis."""
    for override in panel["fieldConfig"]["overrides"]:
        kind, wanted = override["matcher"]["id"], override["matcher"]["options"]
        if (kind == "byName" and legend == wanted) or (kind == "byRegexp" and re.fullmatch(wanted, legend)):
            properties = {one["id"]: one["value"] for one in override["properties"]}
            return properties.get(
                "unit", panel["fieldConfig"]["defaults"]["unit"]
            ), "custom.axisPlacement" in properties
    return panel["fieldConfig"]["defaults"]["unit"], False


def fixed_colour(panel: dict[str, Any], legend: str) -> str | None:
    """Return the colour that the dashboard gives a series of this name; None where Grafana chooses."""
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byName", "options": legend}:
            for one in override["properties"]:
                if one["id"] == "color":
                    return str(one["value"]["fixedColor"])
    return None


def draw_series(axes: Axes, panel: dict[str, Any], series: list[Series]) -> None:
    right = axes.twinx()
    rows = []
    for number, (legend, at, values) in enumerate(series):
        unit, is_right = unit_of(panel, legend)
        colour = fixed_colour(panel, legend) or COLOURS[number % len(COLOURS)]
        clean = [value if value == value else 0.0 for value in values]
        (right if is_right else axes).plot(at, values, color=colour, linewidth=1.5)
        figures = (clean[-1], sum(clean) / len(clean), max(clean))
        rows.append((colour, [legend[:34], *(written(value, unit) for value in figures)]))
    for one in (axes, right):
        one.set_facecolor(PANEL)
        one.set_ylim(bottom=0)
        one.tick_params(labelsize=8, length=0)
        for spine in one.spines.values():
            spine.set_visible(False)
    right.set_yticks(
        [] if not any(unit_of(panel, legend)[1] for legend, _, _ in series) else right.get_yticks()
    )
    axes.grid(color="#2c2f36", linewidth=0.6)
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    if panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] != "off":
        axes.axhline(steps[-1]["value"], color=steps[-1]["color"], linewidth=1, linestyle="--")
    for column, title in enumerate(("", "last", "mean", "max")):
        axes.text(
            (0, 0.62, 0.78, 0.94)[column], -0.29, title, transform=axes.transAxes, fontsize=7.5, color=FAINT
        )
    for line, (colour, cells) in enumerate(rows[:5]):
        for column, cell in enumerate(cells):
            place = (0, 0.62, 0.78, 0.94)[column]
            axes.text(place, -0.42 - 0.115 * line, cell, transform=axes.transAxes, fontsize=8,
                      color=colour if column == 0 else TEXT)  # fmt: skip


def draw_stat(axes: Axes, panel: dict[str, Any], series: list[Series]) -> None:
    axes.axis("off")
    axes.set(xlim=(0, len(series)), ylim=(0, 1))
    for number, (legend, _, values) in enumerate(series):
        colour = colour_of(steps_of(panel, number), values[-1])
        axes.add_patch(Rectangle((number + 0.02, 0.02), 0.96, 0.96, facecolor=colour))
        text = {"System Health": "UP" if values[-1] else "DOWN"}.get(panel["title"], f"{values[-1]:.0f}")
        text = (
            "running"
            if legend.startswith("version")
            else f"{text} s"
            if legend.startswith("up for")
            else text
        )
        axes.text(
            number + 0.5, 0.62, text, ha="center", va="center", fontsize=22, weight="bold", color="white"
        )
        axes.text(number + 0.5, 0.22, legend, ha="center", va="center", fontsize=11, color="white")


def steps_of(panel: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Return the thresholds of a panel's query: its own where it has such, else the panel's."""
    reference = panel["targets"][min(number, len(panel["targets"]) - 1)]["refId"]
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byFrameRefID", "options": reference}:
            properties = {one["id"]: one["value"] for one in override["properties"]}
            return list(properties["thresholds"]["steps"])
    return list(panel["fieldConfig"]["defaults"]["thresholds"]["steps"])


def colour_of(steps: list[dict[str, Any]], value: float) -> str:
    """Return the colour that a value has by these thresholds."""
    return [str(step["color"]) for step in steps if step["value"] is None or value >= step["value"]][-1]


def draw_gauge(axes: Axes, panel: dict[str, Any], series: list[Series]) -> None:
    axes.axis("off")
    axes.set(xlim=(-1.15, 1.15), ylim=(-0.25, 1.1), aspect="equal")
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    value = series[0][2][-1] if series else 0.0
    for step, following in zip(steps, [*steps[1:], {"value": 1.0}], strict=True):
        low, high = step["value"] or 0.0, following["value"]
        axes.add_patch(
            Wedge((0, 0), 1.1, 180 - 180 * high, 180 - 180 * low, width=0.06, facecolor=step["color"])
        )
    colour = colour_of(steps, value)
    axes.add_patch(Wedge((0, 0), 1.0, 0, 180, width=0.28, facecolor="#2c2f36"))
    axes.add_patch(Wedge((0, 0), 1.0, 180 - 180 * value, 180, width=0.28, facecolor=colour))
    axes.text(0, 0.08, f"{value:.1%}", ha="center", fontsize=24, weight="bold", color=colour)


if __name__ == "__main__":
    main()
