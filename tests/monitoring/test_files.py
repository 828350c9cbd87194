"""The dashboard, the alerts and their routing: checked by their own tools, and held against the code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from itertools import combinations
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from toolcatalog import metrics
from toolcatalog.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "monitoring"
RULES = yaml.safe_load((FOLDER / "prometheus-alerts-tool-catalog.yml").read_text())
DASHBOARD = json.loads((FOLDER / "grafana-dashboard-tool-catalog.json").read_text())
PANELS = DASHBOARD["panels"]
BY_GROUP = {group["name"]: group["rules"] for group in RULES["groups"]}
ALERTS = {rule["alert"]: rule for rule in BY_GROUP["tool_catalog_alerts"]}
OPERATIONS = {rule["alert"]: rule for rule in BY_GROUP["tool_catalog_operations"]}
ALL_ALERTS = ALERTS | OPERATIONS
RECORDED = {rule["record"] for rule in BY_GROUP["tool_catalog_recording"]}
PRIORITIES = {
    "ToolCatalogServiceDown": "P1", "ToolCatalogNoTraffic": "P3", "ToolCatalogHighResponseTime": "P2",
    "ToolCatalogVeryHighResponseTime": "P1", "ToolCatalogSlowDatabaseQueries": "P2",
    "ToolCatalogUnusualTrafficSpike": "P2", "ToolCatalogHighErrorRate": "P2",
    "ToolCatalogCriticalErrorRate": "P1", "ToolCatalogLowCacheHitRate": "P2",
    "ToolCatalogVeryLowCacheHitRate": "P1", "ToolCatalogConnectionPoolExhausted": "P1",
    "ToolCatalogConnectionPoolLow": "P2", "ToolCatalogCacheMemoryHigh": "P2",
    "ToolCatalogFrequentHotReloads": "P2", "ToolCatalogHotReloadFailures": "P1",
    "ToolCatalogNoToolsLoaded": "P1", "ToolCatalogToolCountDropped": "P2", "ToolCatalogSLAViolation": "P1",
}  # fmt: skip
OPERATIONS_PRIORITIES = {
    "ToolCatalogDatabaseDown": "P1", "ToolCatalogInstanceDown": "P2", "ToolCatalogBackupTooOld": "P2",
    "ToolCatalogWorkerLags": "P2", "ToolCatalogRequestsRefused": "P2", "ToolCatalogThreadsExhausted": "P2",
    "ToolCatalogDiskNearlyFull": "P2", "ToolCatalogCertificateExpires": "P2",
}  # fmt: skip
ALL_PRIORITIES = PRIORITIES | OPERATIONS_PRIORITIES
# The threshold of each of the 18, and how long it has to last.
PROMISED = {
    "ToolCatalogServiceDown": ("== 0", "1m"), "ToolCatalogNoTraffic": ("== 0", "10m"),
    "ToolCatalogHighResponseTime": ("> 0.05", "5m"), "ToolCatalogVeryHighResponseTime": ("> 0.1", "2m"),
    "ToolCatalogSlowDatabaseQueries": ("> 0.05", "5m"), "ToolCatalogUnusualTrafficSpike": ("> 100", "5m"),
    "ToolCatalogHighErrorRate": ("> 0.01", "5m"), "ToolCatalogCriticalErrorRate": ("> 0.05", "2m"),
    "ToolCatalogLowCacheHitRate": ("< 0.8", "10m"), "ToolCatalogVeryLowCacheHitRate": ("< 0.5", "5m"),
    "ToolCatalogConnectionPoolExhausted": ("== 0", "2m"), "ToolCatalogConnectionPoolLow": ("< 0.2", "5m"),
    "ToolCatalogCacheMemoryHigh": ("> 900", "10m"), "ToolCatalogFrequentHotReloads": ("> 0.1", "10m"),
    "ToolCatalogHotReloadFailures": ("> 0", "2m"), "ToolCatalogNoToolsLoaded": ("== 0", "5m"),
    "ToolCatalogToolCountDropped": ("< -10", "5m"), "ToolCatalogSLAViolation": ("> 0.05", "15m"),
}  # fmt: skip
LINKS = ("tool_catalog_runbook", "tool_catalog_dashboard")
SEVERITIES = {"P1": "critical", "P2": "warning", "P3": "info"}


def checked(*command: str) -> str:
    """Run a checker in the folder; skip, with a line that says so, where it is not installed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (Debian: prometheus, prometheus-alertmanager)")
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_rules_and_configuration() -> None:
    assert "37 rules found" in checked("promtool", "check", "rules", "prometheus-alerts-tool-catalog.yml")
    checked("promtool", "check", "config", "prometheus.yml")


def test_every_alert_fires_when_it_should_and_not_when_it_should_not() -> None:
    checked("promtool", "test", "rules", "prometheus-alerts-tests.yml")
    tests = yaml.safe_load((FOLDER / "prometheus-alerts-tests.yml").read_text())["tests"]
    fires, quiet = Counter[str](), Counter[str]()
    for test in tests:
        cases = test.get("alert_rule_test", [])
        if not cases:
            continue
        kind = fires if any(case["exp_alerts"] for case in cases) else quiet
        kind[cases[0]["alertname"]] += 1
    assert set(fires) == set(quiet) == set(ALL_ALERTS)


def test_amtool_accepts_the_routing_and_routes_by_severity() -> None:
    assert "3 receivers" in checked("amtool", "check-config", "alertmanager.yml")
    for severity, receiver in (
        ("critical", "tool-catalog-on-call"), ("warning", "tool-catalog-team"), ("info", "tool-catalog-mail"),
    ):  # fmt: skip
        labels = ("component=tool-catalog", f"severity={severity}")
        routed = checked("amtool", "config", "routes", "test", "--config.file=alertmanager.yml", *labels)
        assert routed.strip() == receiver


def test_mail_is_not_sent_to_the_container_of_alertmanager() -> None:
    """The same file serves on a machine and in compose, where a loopback address is the container itself."""
    given = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())["global"]
    assert given["smtp_smarthost"].partition(":")[0] not in ("localhost", "127.0.0.1")


def test_an_alert_is_suppressed_only_by_one_of_its_own_job() -> None:
    """An alert of another job, or of another host's disk, is another fault."""
    rules = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())["inhibit_rules"]
    assert [rule["equal"] for rule in rules] == [["job"]] * len(rules)


def test_the_18_have_the_thresholds_and_durations_that_were_promised() -> None:
    assert {name: (PROMISED[name][0], rule["for"]) for name, rule in ALERTS.items()} == PROMISED
    for name, (threshold, _) in PROMISED.items():
        assert threshold in ALERTS[name]["expr"], name


def test_where_the_links_of_the_alerts_lead_is_said_once() -> None:
    for path in (FOLDER / "prometheus.yml", PROJECT_ROOT / "deploy" / "docker" / "prometheus.yml"):
        given = yaml.safe_load(path.read_text())
        assert tuple(given["global"]["external_labels"]) == LINKS
        [relabeling] = given["alerting"]["alert_relabel_configs"]
        assert relabeling["action"] == "labeldrop"
        assert all(re.fullmatch(relabeling["regex"], name) for name in LINKS)
    for name, rule in ALL_ALERTS.items():
        annotations = rule["annotations"]
        assert annotations["runbook_url"] == f"{{{{ $externalLabels.{LINKS[0]} }}}}#{name.lower()}"
        assert annotations["dashboard_url"] == f"{{{{ $externalLabels.{LINKS[1]} }}}}"
    [base] = [one for one in DASHBOARD["templating"]["list"] if one["name"] == "runbook"]
    assert (base["type"], base["query"]) == ("constant", base["current"]["value"])
    links = [link["url"] for panel in PANELS for link in panel["links"]]
    assert {link.partition("#")[0] for link in links} == {"${runbook}"}
    assert json.dumps(DASHBOARD).count("operations-runbook.md") == json.dumps(base).count(
        "operations-runbook.md"
    )


def test_the_alerts_are_the_18_and_those_of_operations_with_their_labels_and_words() -> None:
    assert {name: rule["labels"]["priority"] for name, rule in ALERTS.items()} == PRIORITIES
    assert {name: rule["labels"]["priority"] for name, rule in OPERATIONS.items()} == OPERATIONS_PRIORITIES
    assert Counter(PRIORITIES.values()) == {"P1": 8, "P2": 9, "P3": 1}
    for name, rule in ALL_ALERTS.items():
        priority = ALL_PRIORITIES[name]
        assert rule["labels"] == {
            "severity": SEVERITIES[priority], "priority": priority, "component": "tool-catalog",
        }  # fmt: skip
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard_url"}
        assert (
            "$value" in rule["annotations"]["description"] or "instance" in rule["annotations"]["description"]
        )


def test_every_alert_has_its_section_in_the_runbook() -> None:
    runbook = (PROJECT_ROOT / "docs" / "operations-runbook.md").read_text()
    sections = re.split(
        r"^#+ ", runbook[runbook.index("### Alerts") : runbook.index("\n## 4. ")], flags=re.MULTILINE
    )[2:]
    assert [section.split("\n")[0] for section in sections] == list(ALL_PRIORITIES)
    for section in sections:
        name = section.split("\n")[0]
        assert f"**{ALL_PRIORITIES[name]}.**" in section
        for part in ("*On the dashboard:*", "*Find the cause:*", "*Do:*", "*It is over when:*"):
            assert part in section, name


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\btool_catalog_[a-z_]+", expression.replace(":tool_catalog", " ")))


def known_names() -> set[str]:
    names = set()
    for metric in metrics.collect(metrics.current().registry).values():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(
            metric.type, ("",)
        )
        names |= {metric.name + suffix for suffix in suffixes}
    return names


def expressions() -> list[str]:
    found = [rule["expr"] for rules in BY_GROUP.values() for rule in rules]
    found += [target["expr"] for panel in PANELS for target in panel["targets"]]
    return found + [one["expr"] for one in DASHBOARD["annotations"]["list"] if "expr" in one]


def test_alerts_and_dashboard_use_only_metrics_that_exist() -> None:
    used = set().union(*(names_in(expression) for expression in expressions()))
    assert used <= known_names()
    recorded = {name for one in expressions() for name in re.findall(r"\bjob(?:_\w+)?:[a-z_:0-9]+", one)}
    assert recorded <= RECORDED


def test_the_dashboard_is_one_that_grafana_knows() -> None:
    read = Dashboard.from_json(DASHBOARD)
    again = json.loads(JSONEncoder(sort_keys=True).encode(read))
    assert [panel["title"] for panel in again["panels"]] == [panel["title"] for panel in PANELS]
    for panel, kept in zip(PANELS, again["panels"], strict=True):
        assert kept["gridPos"].items() >= panel["gridPos"].items()
        assert [one["expr"] for one in kept["targets"]] == [one["expr"] for one in panel["targets"]]
    assert DASHBOARD["schemaVersion"] >= 39
    assert (DASHBOARD["uid"], DASHBOARD["title"]) == ("tool-catalog", "Tool Catalog System")
    assert (DASHBOARD["refresh"], DASHBOARD["time"]["from"]) == ("30s", "now-1h")


def test_the_dashboard_has_the_panels_of_the_requirements() -> None:
    assert [panel["title"] for panel in PANELS] == [
        "System Overview", "Request Rate", "Response Time", "Cache Hit Rate", "Database Query Performance",
        "Error Rate", "Tool Loading Performance", "Hot Reload Events", "Connection Pool Status",
        "Cache Statistics", "System Health",
    ]  # fmt: skip
    for panel in PANELS:
        assert panel["type"] in ("timeseries", "stat", "gauge")
        assert panel["description"].count("Worry") == 1
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["links"][0]["url"].partition("#")[2] in {name.lower() for name in ALERTS}
    for one, other in combinations([panel["gridPos"] for panel in PANELS], 2):
        assert not overlap(one, other)


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )
