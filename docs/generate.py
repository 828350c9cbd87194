"""Writes what the docs say about the code from the code: `make docs`. A test compares."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from prometheus_client import Counter, Gauge, Histogram

from toolcatalog import cli, metrics, settings
from toolcatalog.app import create_app

FOLDER = Path(__file__).parent
_METHODS = ("get", "post", "put", "patch", "delete")


def settings_page() -> str:
    """The settings as a table, from the comments of `.env.example`, which a test holds to the code."""
    lines = [
        "# Settings",
        "",
        "From the environment or `.env` in the working folder; the environment wins. A wrong value stops the",
        "start with one line that names the setting, the value and what is allowed.",
        "",
        "| setting | default | what it is |",
        "|---|---|---|",
    ]
    comment: list[str] = []
    for line in (settings.PROJECT_ROOT / ".env.example").read_text().splitlines():
        if line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif "=" in line:
            name, _, default = line.partition("=")
            shown = f"`{default}`" if default else ""
            lines.append(f"| `{name}` | {shown} | {' '.join(comment)} |")
            comment = []
        else:
            comment = []
    return "\n".join(lines) + "\n"


def api_page() -> str:
    """Every operation of the OpenAPI document."""
    app = create_app(settings.load({"DATABASE_URL": "postgresql://nobody@localhost/none"}))
    document = app.test_client().get("/api/v1/openapi.json").json
    lines = [
        "# The HTTP API",
        "",
        "JSON in and out, on port 3005. The same as OpenAPI 3.1 is at `/api/v1/openapi.json`, with a page",
        "to try it at `/api/v1/docs/`. Errors are `application/problem+json` (RFC 9457) with a `code` for",
        "programs, a `detail` for people, the `request_id`, and `errors: [{path, message}]` where fields",
        "are at fault, also where a request is refused before it reaches the service's own code. Reads",
        "carry a strong `ETag` and `X-Catalog-Revision`; changes heed `If-Match` and `If-None-Match`. A",
        "proxy that compresses makes tags weak (`W/`), and they are taken back as such. Lists have",
        '`X-Total-Count` and, when there is more, `Link: <...>; rel="next"`. An unknown parameter is an',
        "error; of those that take several values (`platform`, `category`, `status`, `tag`, `capability`,",
        "`fields`, `names`), these are separated by commas, or each has its own. A tool passes a filter",
        "when any of the values is its own. No filter asks for a value with a comma in it; the tools of",
        "such a capability are at its own path, and an export of such names is a POST.",
        "Bodies are sent as they are: one with `Content-Encoding` is a 415.",
        "",
        "Two requests that change one tool come one after the other: the second waits for the first, for",
        "a second at most. After that it is a 409 with the code `concurrent_change` and `Retry-After`, and",
        "nothing was changed. A 409 without `Retry-After` stays one until something else changes.",
        "",
        "A 503 has `Retry-After`, and its code says why: `database_unavailable`, `database_busy` (as many",
        "requests as may wait for the database do already), `out_of_date` or `no_rights`. What the cache",
        "holds is answered all the same, and says `stale` in `Cache-Status` where it may be.",
    ]
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                lines += _operation(method, path, operations[method], operations.get("parameters", []))
    return "\n".join(lines) + "\n"


def _operation(
    method: str, path: str, operation: dict[str, Any], shared: list[dict[str, Any]]
) -> Iterator[str]:
    yield from ("", f"## {method.upper()} {path}", "", f"{operation['summary']}")
    if description := operation.get("description"):
        yield from ("", re.sub(r"\s+", " ", description))
    parameters = [one for one in [*shared, *operation.get("parameters", [])] if "name" in one]
    if parameters:
        yield from ("", "| parameter | in | what |", "|---|---|---|")
        for one in parameters:
            yield f"| `{one['name']}` | {one['in']} | {_described(one)} |"
    if "requestBody" in operation:
        body = operation["requestBody"]
        types = ", ".join(f"`{name}`" for name in [*body["content"], *body.get("x-also-accepts", [])])
        yield from ("", f"Body: {types}.")
    yield from ("", f"Answers: {', '.join(sorted(operation['responses']))}.")


def _described(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    said = [parameter.get("description") or schema.get("description", "")]
    if "enum" in schema:
        said.append("one of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    if "default" in schema:
        said.append(f"default `{schema['default']}`")
    return "; ".join(filter(None, said))


def metrics_page() -> str:
    """Every metric, with its labels and how those of several workers are put together."""
    lines = [
        "# Metrics",
        "",
        "At `/metrics` and `/api/v1/tools/metrics/prometheus`, summed over all workers of a host; times are",
        "in seconds. `endpoint` is the route, or `unmatched`; scrapes and probes are not counted. Counters",
        "begin at zero for what an alert reads. A gauge says how those of several workers are put together.",
        "",
        "| metric | type | labels | what it is |",
        "|---|---|---|---|",
    ]
    for one in vars(metrics.Metrics()).values():
        if isinstance(one, Counter | Histogram | Gauge):
            described = one.describe()[0]
            name = described.name + ("_total" if described.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in one._labelnames)
            mode = f" ({_MODES[one._multiprocess_mode]})" if isinstance(one, Gauge) else ""
            lines.append(f"| `{name}` | {described.type}{mode} | {labels} | {described.documentation} |")
    return "\n".join(lines) + "\n"


_MODES = {
    "livemax": "the most",
    "livemin": "the least",
    "livesum": "the sum",
    "livemostrecent": "the latest",
    "liveall": "each, by slot as `pid`",
}


def command_line_page() -> str:
    """Every command, with its arguments and options."""
    exit_codes = (cli.__doc__ or "").partition("\n\n")[2].strip()
    lines = [
        "# The command line",
        "",
        "`toolcatalog` is in `.venv/bin/`; every command says the same with `--help`. Settings come from the",
        "environment and `.env` ([Settings](settings.md)). Without `DATABASE_URL`, a command that needs the",
        "database uses the embedded one.",
        "",
        *exit_codes.splitlines(),
    ]
    for words, command in sorted(commands().items()):
        lines += _command(words, command)
    return "\n".join(lines) + "\n"


def commands() -> dict[tuple[str, ...], click.Command]:
    """Return the commands by the words that call them: `("toolcatalog", "db", "upgrade")`."""
    return dict(_commands_in(cli.cli, ("toolcatalog",)))


def _commands_in(
    group: click.Group, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands_in(command, (*words, name))
        else:
            yield (*words, name), command


def _command(words: tuple[str, ...], command: click.Command) -> Iterator[str]:
    context = click.Context(command)
    # All have --help.
    options = [one for one in command.params if isinstance(one, click.Option) and one.name != "help"]
    pieces = [piece for piece in command.collect_usage_pieces(context) if options or piece != "[OPTIONS]"]
    yield from ("", f"## {' '.join(words)}", "", "```", " ".join([*words, *pieces]), "```", "")
    yield re.sub(r"\s+", " ", command.help or "").strip()
    if options:
        yield from ("", "| option | what it does |", "|---|---|")
        for one in options:
            option, says = one.get_help_record(context) or ("", "")
            set_by = f" [environment: `{one.envvar}`]" if one.envvar else ""
            yield f"| `{option.replace('|', ' or ')}` | {re.sub(r' +', ' ', says)}{set_by} |"


PAGES = {
    "settings.md": settings_page,
    "api.md": api_page,
    "metrics.md": metrics_page,
    "command-line.md": command_line_page,
}


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())


if __name__ == "__main__":
    main()
