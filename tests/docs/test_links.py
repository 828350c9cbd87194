"""Every link and anchor inside the repository leads somewhere, read as files; the site's build looks too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.texts import FILES, anchors, links, name_of
from toolcatalog.settings import PROJECT_ROOT

DOCS = PROJECT_ROOT / "docs"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    assert [link for link in links(path) if not leads_somewhere(path, link)] == []


def leads_somewhere(path: Path, link: str) -> bool:
    if "://" in link or link.startswith("mailto:"):
        return True
    place, _, anchor = link.partition("#")
    target = (path.parent / place).resolve() if place else path
    if not target.exists() or not target.is_relative_to(PROJECT_ROOT):
        return False
    if path.is_relative_to(DOCS) and not target.is_relative_to(DOCS):
        return False  # the site has only what is in docs/
    return not anchor or (target.suffix == ".md" and anchor in anchors(target))


def test_every_page_of_the_docs_is_led_to() -> None:
    start = PROJECT_ROOT / "README.md"
    reached, new = {start}, [start]
    while new:
        page = new.pop()
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target in FILES and target not in reached:
                reached.add(target)
                new.append(target)
    assert [name_of(path) for path in FILES if path not in reached] == []
