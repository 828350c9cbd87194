"""Clients that are generated from the OpenAPI document, against the service that it comes from."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests

from tests.service.conftest import Service

pytestmark = [pytest.mark.slow, pytest.mark.unhurried]

_BIN = Path(sys.executable).parent
_CLIENT = "generated_client"
_MODELS = "generated_models"
_SPECTRAL = "@stoplight/spectral-cli@6.16.3"


def run(*command: str | Path, folder: Path) -> str:
    """Run a program that has nothing to complain of; gives all that it said."""
    path = f"{_BIN}:/usr/local/bin:/usr/bin:/bin"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": path, "HOME": str(folder)},
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def folder(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the document of the running service, from which modules can be imported."""
    folder = tmp_path_factory.mktemp("clients")
    document = requests.get(f"{service.url}/api/v1/openapi.json", timeout=10)
    (folder / "openapi.json").write_bytes(document.content)
    return folder


@pytest.fixture(scope="module")
def generated(folder: Path) -> Any:
    """The client that openapi-python-client writes, of which a module is given by its name."""
    said = run(
        _BIN / "openapi-python-client", "generate", "--path", "openapi.json", "--fail-on-warning",
        "--meta", "none", "--output-path", _CLIENT, folder=folder,
    )  # fmt: skip
    assert "WARNING" not in said

    def module(name: str) -> ModuleType:
        return importlib.import_module(f"{_CLIENT}.{name}")

    sys.path.insert(0, str(folder))
    yield module
    sys.path.remove(str(folder))


@pytest.fixture
def client(service: Service, generated: Any) -> Any:
    with generated("client").Client(base_url=service.url, raise_on_unexpected_status=True) as opened:
        yield opened


def test_every_operation_is_generated(folder: Path, generated: Any) -> None:
    document = json.loads((folder / "openapi.json").read_text())
    documented = {
        operation["operationId"] for item in document["paths"].values() for operation in item.values()
        if isinstance(operation, dict)
    }  # fmt: skip
    written = {path.stem for path in (folder / _CLIENT / "api").glob("*/*.py")} - {"__init__"}
    assert written == documented
    for path in (folder / _CLIENT).rglob("*.py"):
        generated(".".join(path.relative_to(folder / _CLIENT).with_suffix("").parts))


def test_no_model_is_numbered(folder: Path, generated: Any) -> None:
    models = (folder / _CLIENT / "models" / "__init__.py").read_text()
    assert re.findall(r'"(\w+\d)"', models) == []


def test_the_client_lists_reads_and_searches(client: Any, generated: Any) -> None:
    names = generated("models").ListToolsFieldsItem
    listed = generated("api.tools.list_tools").sync(
        client=client, platform="kubernetes", fields=[names.TOOL_NAME, names.PLATFORM]
    )
    assert {"kubectl get", "kubectl drain"} <= {one.tool_name for one in listed}
    assert {one.platform for one in listed} == {"kubernetes"}
    tool = generated("api.tools.get_tool").sync("systemctl", client=client)
    patterns = {
        name: pattern
        for capability in tool.capabilities.additional_properties.values()
        for name, pattern in capability.patterns.additional_properties.items()
    }
    restart = patterns["restart_service"]
    assert (restart.policy.production_safe, restart.time_estimate_ms) == (False, 7000)
    assert tool.source.kind == "file"
    (hit,) = generated("api.search.search_tools").sync(
        client=client, q="server is out of disk space", limit=1
    )
    assert (hit.tool_name, hit.matches[0].field, hit.matches[0].words) == (
        "df", "metadata.tags", ["disk", "space"],
    )  # fmt: skip


def test_the_client_is_told_what_is_wrong(client: Any, generated: Any) -> None:
    problem = generated("api.tools.get_tool").sync("nothing", client=client)
    assert (problem.status, problem.code, problem.detail) == (404, "not_found", 'There is no tool "nothing".')


def test_the_client_creates_patches_and_retires(client: Any, generated: Any) -> None:
    models = generated("models")
    pattern = models.Pattern(description="Prints the name of the user.", time_estimate_ms="2 * N")
    patterns = models.PatternMap()
    patterns["print_name"] = pattern
    capabilities = models.CapabilityDefinitionMap()
    capabilities["identity"] = models.CapabilityDefinition(patterns=patterns)
    definition = models.ToolDefinition(
        tool_name="whose-session",
        description="Prints who you are.",
        platform="linux",
        capabilities=capabilities,
    )
    made = generated("api.tools.create_tool").sync_detailed(client=client, body=definition)
    assert (made.status_code, made.parsed.created_by) == (201, "anonymous")
    patch = generated("api.tools.patch_tool")
    etag = made.headers["ETag"]
    patched = patch.sync(
        "whose-session", client=client, if_match=etag, body=models.ToolPatch(platform=None, enabled=False)
    )
    assert (patched.enabled, patched.platform, patched.description) == (
        False, generated("types").UNSET, "Prints who you are.",
    )  # fmt: skip
    outdated = patch.sync("whose-session", client=client, if_match=etag, body=models.ToolPatch(enabled=True))
    assert (outdated.status, outdated.code) == (412, "precondition_failed")
    newest, oldest = generated("api.versions.get_history").sync("whose-session", client=client)
    assert (oldest.action, newest.action) == (models.ChangeAction.CREATED, models.ChangeAction.UPDATED)
    assert oldest.before is None
    assert newest.after.capabilities["identity"].patterns["print_name"].time_estimate_ms == "2 * N"
    retired = generated("api.tools.retire_tool").sync_detailed("whose-session", client=client)
    assert retired.status_code == 204


def test_the_client_reloads_validates_and_exports(client: Any, generated: Any) -> None:
    models = generated("models")
    report = generated("api.reload.reload_tools").sync(client=client)
    assert (report.result, report.trigger, report.workers_behind) == (
        models.ReloadOutcome.SUCCESS, models.ReloadReportTrigger.API, 0,
    )  # fmt: skip
    exported = generated("api.exchange.export_tools").sync(
        client=client, names=["grep", "df"], format_=models.ExportToolsFormat.JSON
    )
    assert [one.tool_name for one in exported] == ["df", "grep"]
    found = generated("api.exchange.validate_definition").sync(client=client, body=exported[0])
    assert (found.valid, found.errors) == (True, [])
    health = generated("api.health.get_health").sync(client=client)
    assert health.database.status == models.DatabaseStatus.UP


def test_models_alone_take_every_answer(service: Service, folder: Path) -> None:
    said = run(
        _BIN / "datamodel-codegen", "--input", "openapi.json", "--input-file-type", "openapi",
        "--output-model-type", "pydantic_v2.BaseModel", "--formatters", "builtin",
        "--output", f"{_MODELS}.py", folder=folder,
    )  # fmt: skip
    assert said == ""
    classes = re.findall(r"^class (\w+)\(", (folder / f"{_MODELS}.py").read_text(), re.MULTILINE)
    assert len(classes) > 50
    assert [name for name in classes if name[-1].isdigit()] == []
    sys.path.insert(0, str(folder))
    try:
        models = importlib.import_module(_MODELS)
    finally:
        sys.path.remove(str(folder))
    tools = requests.get(f"{service.url}/api/v1/tools", timeout=10).json()
    assert len(tools) > 20
    for tool in tools:
        assert models.Tool.model_validate(tool).tool_name == tool["tool_name"]
        models.ToolDefinition.model_validate(
            {name: value for name, value in tool.items() if name in models.ToolDefinition.model_fields}
        )


def test_spectral_finds_nothing(folder: Path) -> None:
    (folder / "rules.yaml").write_text('extends: ["spectral:oas"]\n')
    run("npm", "install", "--silent", "--no-fund", "--no-audit", _SPECTRAL, folder=folder)
    said = run(
        folder / "node_modules" / ".bin" / "spectral", "lint", "openapi.json", "--ruleset", "rules.yaml",
        "--fail-severity", "hint", folder=folder,
    )  # fmt: skip
    assert "No results with a severity of 'hint' or higher found!" in said
