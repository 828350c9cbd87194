"""Parameters are called in messages as clients write them, and not as the code does."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.test_document import operations

# Of each operation the names of its query parameters, as the OpenAPI document has them.
NAMES = {
    place: sorted(one["name"] for one in operation.get("parameters", []) if one["in"] == "query")
    for place, operation in operations()
}
WITH_NAMES = [(place, names) for place, names in NAMES.items() if names]


@pytest.mark.parametrize(("place", "names"), WITH_NAMES, ids=" ".join)
def test_a_misspelled_parameter_is_told_the_right_name(
    client: FlaskClient, place: tuple[str, str], names: list[str]
) -> None:
    path, method = place
    url = re.sub(r"{\w+}", "x", path)
    for name in names:
        assert refusal(client, method, f"{url}?{name}x=1") == [(f"{name}x", f'did you mean "{name}"?')]
    assert refusal(client, method, f"{url}?qqqqqqqq=1") == [("qqqqqqqq", f"known are {', '.join(names)}")]


def refusal(client: FlaskClient, method: str, url: str) -> list[tuple[str, str]]:
    """What is said of the parameter that is unknown, after that it is; others may be missing besides."""
    response: Any = client.open(url, method=method.upper())
    assert response.status_code == 422, response.json
    unknown = "is not a parameter here; "
    return [
        (error["path"], error["message"].removeprefix(unknown))
        for error in response.json["errors"]
        if error["message"].startswith(unknown)
    ]
