"""The documentation site: it is built without a warning, and loads nothing from another server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from toolcatalog.settings import PROJECT_ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=PROJECT_ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr
    return folder


class Loaded(HTMLParser):
    """What a page has a browser load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get("href") if tag == "link" else given.get("src") if tag != "a" else None
        if address is not None and given.get("rel") not in ("canonical", "prev", "next"):
            self.addresses.append(address)


def test_no_page_loads_anything_from_another_server(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    loaded = {address for page in pages for address in Loaded(page.read_text()).addresses}
    assert {address for address in loaded if re.match(r"[a-z]*:?//", address)} == set()
    assert len(loaded) > 3
    # A diagram would be drawn by a script from elsewhere.
    assert [page.name for page in pages if 'class="mermaid"' in page.read_text()] == []
    styles = "".join(style.read_text() for style in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", styles) == []


def test_every_page_is_published_and_can_be_searched(site: Path) -> None:
    docs = PROJECT_ROOT / "docs"
    pages = {path.relative_to(docs).with_suffix(".html").as_posix() for path in docs.rglob("*.md")}
    index = json.loads((site / "search" / "search_index.json").read_text())
    assert {entry["location"].partition("#")[0] for entry in index["docs"]} == pages
    assert pages <= {path.relative_to(site).as_posix() for path in site.rglob("*.html")}


def test_what_generates_pages_is_not_published(site: Path) -> None:
    assert [path for path in site.rglob("*") if path.suffix in (".py", ".pyc", ".md")] == []
