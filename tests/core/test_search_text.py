"""What of a tool is searched, with which weight, and which words a field answers."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from toolcatalog.core import search_text
from toolcatalog.core.definition import Document, from_document, to_document

DOCUMENT: dict[str, Any] = {
    "tool_name": "Test-NetConnection",
    "version": "7.5",
    "description": "Checks whether a host answers.",
    "platform": "windows",
    "category": "network",
    "capabilities": {
        "portCheck": {
            "description": "Open ports",
            "patterns": {
                "one_port": {
                    "description": "Connects to one port",
                    "typical_use_cases": ["is the database listening", "can I reach the host"],
                    "limitations": ["no UDP"],
                    "required_inputs": [
                        {"name": "ComputerName", "description": "the host", "default": "localhost"},
                        {"name": "port"},
                    ],
                    "optional_inputs": [{"name": "timeout_ms", "description": "milliseconds"}],
                    "expected_outputs": [{"name": "open", "description": "unsearched"}],
                }
            },
        },
        "trace": {"patterns": {"route": {"description": "Lists hops"}}},
    },
    "metadata": {"author": "unsearched", "tags": ["ping", 7, "two words"]},
    "examples": ["unsearched"],
}


def written(document: dict[str, Any]) -> Document:
    """The definition as the catalog keeps it."""
    return to_document(from_document(document))


TOOL = written(DOCUMENT)


def test_fields_are_searched_with_these_weights() -> None:
    one_port = ("capabilities", "portCheck", "patterns", "one_port")
    route = ("capabilities", "trace", "patterns", "route")
    assert list(search_text.fields(TOOL)) == [
        ("A", ("tool_name",), "Test-NetConnection Test-Net Connection"),
        ("A", ("metadata", "tags"), "ping two words"),
        ("C", ("description",), "Checks whether a host answers."),
        ("A", ("capabilities", "portCheck"), "portCheck port Check"),
        ("C", ("capabilities", "portCheck", "description"), "Open ports"),
        ("C", one_port, "one_port"),
        ("C", (*one_port, "description"), "Connects to one port"),
        ("B", (*one_port, "typical_use_cases"), "is the database listening\ncan I reach the host"),
        ("D", (*one_port, "required_inputs"), "ComputerName Computer Name the host port "),
        ("D", (*one_port, "optional_inputs"), "timeout_ms milliseconds"),
        ("A", ("capabilities", "trace"), "trace"),
        ("C", ("capabilities", "trace", "description"), ""),
        ("C", route, "route"),
        ("C", (*route, "description"), "Lists hops"),
        ("B", (*route, "typical_use_cases"), ""),
        ("D", (*route, "required_inputs"), ""),
        ("D", (*route, "optional_inputs"), ""),
    ]


def test_it_is_known_in_which_fields_of_a_definition_searched_text_stands() -> None:
    assert {path[0] for _, path, _ in search_text.fields(TOOL)} == search_text.FIELDS


def test_the_texts_of_one_weight_are_one_text() -> None:
    assert search_text.WEIGHTS == "ABCD"
    assert search_text.by_weight(TOOL) == [
        "test netconnection net connection ping two words portcheck port check trace",
        "is the database listening\ncan I reach the host",
        "Checks whether a host answers.\nOpen ports\none_port\nConnects to one port\nroute\nLists hops",
        "ComputerName Computer Name the host port \ntimeout_ms milliseconds",
    ]


def test_a_tool_without_capabilities_is_found_by_its_name_and_description() -> None:
    tool = written({"tool_name": "ls", "description": "Lists files"})
    assert search_text.by_weight(tool) == ["ls", "", "Lists files", ""]


def test_of_a_very_long_text_the_beginning_is_searched() -> None:
    tool = written({"tool_name": "ls", "description": "word " * 50_000})
    assert search_text.by_weight(tool)[2] == "word " * 20_000


def test_a_word_is_answered_by_every_field_with_a_form_of_it() -> None:
    assert search_text.matches(TOOL, ["listen", "hosts", "connection"]) == [
        {"field": "tool_name", "words": ["connection"]},
        {"field": "description", "words": ["hosts"]},
        {"field": "capabilities.portCheck.patterns.one_port.description", "words": ["connection"]},
        {"field": "capabilities.portCheck.patterns.one_port.typical_use_cases", "words": ["listen", "hosts"]},
        {"field": "capabilities.portCheck.patterns.one_port.required_inputs", "words": ["hosts"]},
    ]


def test_two_forms_of_a_word_are_both_told() -> None:
    assert search_text.matches(TOOL, iter(["hop", "hops", "hopping"])) == [
        {"field": "capabilities.trace.patterns.route.description", "words": ["hop", "hops", "hopping"]}
    ]


@pytest.mark.parametrize(
    "words", [[], ["unsearched"], ["windows"], ["udp"], ["localhost"], ["net connection"]]
)
def test_what_is_not_searched_answers_nothing(words: list[str]) -> None:
    assert search_text.matches(TOOL, words) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" .,-_/ ", []),
        ("Test-NetConnection", ["test", "netconnection"]),
        ("pg_dump 16.2", ["pg", "dump", "16", "2"]),
        ("C++ & naïve Ärger", ["c", "naïve", "ärger"]),
        ("名前 é\u0301🦊x", ["名前", "é", "x"]),
        ("twice twice", ["twice", "twice"]),
    ],
)
def test_a_text_is_split_into_words_in_lower_case(text: str, words: list[str]) -> None:
    assert search_text.split(text) == words


def test_a_typo_may_be_meant_to_be_a_word_that_is_long_enough_and_no_number() -> None:
    words = ["ports", "Disk", "of", "the", "2024", "utf8", "x" * 40, "y" * 41, "ports"]
    assert search_text.vocabulary(" ".join(words)) == {"ports", "disk", "utf8", "x" * 40}


@pytest.mark.parametrize(
    ("word", "stem"),
    [
        ("processes", "process"),
        ("process", "process"),
        ("processing", "process"),
        ("replication", "replic"),
        ("databases", "databas"),
        ("happily", "happili"),
        ("16", "16"),
        ("名前", "名前"),
        ("", ""),
    ],
)
def test_forms_of_a_word_have_one_stem(word: str, stem: str) -> None:
    assert search_text.stem(word) == stem


def test_threads_that_stem_at_the_same_time_do_not_mix_up_their_words() -> None:
    stems = {"processes": "process", "replication": "replic", "databases": "databas", "listening": "listen"}
    wrong: list[tuple[str, str]] = []

    def stem_all() -> None:
        for _ in range(60):
            # Past the cache, as for words that are new.
            got = {word: search_text.stem.__wrapped__(word) for word in stems}
            wrong.extend(item for item in got.items() if stems[item[0]] != item[1])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=stem_all) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
