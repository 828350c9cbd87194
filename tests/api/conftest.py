"""Ids of the tests that schemathesis makes of one function."""

from __future__ import annotations

import pytest
from _pytest.nodeid import coerce_node_id


def pytest_itemcollected(item: pytest.Item) -> None:
    """Put the operation into the id, which pytest 9.2 takes from the function alone.

    Of tests with one id, xdist runs one.
    """
    operation = getattr(item, "operation_label", None)
    if operation is not None:
        item._id = coerce_node_id(f"{item.nodeid}[{operation}]")
