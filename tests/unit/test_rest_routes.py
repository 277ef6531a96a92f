"""Which resource a path of a REST API means."""

from __future__ import annotations

import pytest

from lambent.edge.execute_api.rest.routes import RouteTree

TREE = RouteTree(
    (path, path)
    for path in (
        "/",
        "/pets",
        "/pets/{id}",
        "/pets/{id}/toys",
        "/pets/mine",
        "/files/{path+}",
        "/{proxy+}",
        "/{top}/fixed/end",
        "/pets/mine/only/here",
    )
)


def found(path: str, tree: RouteTree[str] = TREE) -> tuple[str, dict[str, str]] | None:
    match = tree.match(path)
    return None if match is None else (match.target, match.parameters)


@pytest.mark.parametrize(
    ("path", "resource", "parameters"),
    [
        ("/", "/", {}),
        ("", "/", {}),
        ("/pets", "/pets", {}),
        ("/pets/", "/pets", {}),
        ("//pets", "/pets", {}),
        ("/pets/mine", "/pets/mine", {}),
        ("/pets/7", "/pets/{id}", {"id": "7"}),
        ("/pets/7/toys", "/pets/{id}/toys", {"id": "7"}),
        # A literal that leads nowhere does not hide the parameter beside it.
        ("/pets/mine/toys", "/pets/{id}/toys", {"id": "mine"}),
        ("/pets/fixed/end", "/{top}/fixed/end", {"top": "pets"}),
        ("/files/a/b/c.txt", "/files/{path+}", {"path": "a/b/c.txt"}),
        ("/files/a//b", "/files/{path+}", {"path": "a//b"}),
        # Greedy is at least one segment; the next greedy one up takes what is left.
        ("/files", "/{proxy+}", {"proxy": "files"}),
        ("/x/y/z/", "/{proxy+}", {"proxy": "x/y/z"}),
    ],
)
def test_the_most_specific_resource_is_meant(path: str, resource: str, parameters: dict[str, str]) -> None:
    assert found(path) == (resource, parameters)


@pytest.mark.parametrize(
    ("path", "resource", "parameters"),
    [
        ("/pets/a%2Fb", "/pets/{id}", {"id": "a%2Fb"}),
        ("/pets/%2e%2e", "/pets/{id}", {"id": "%2e%2e"}),
        ("/pets/../x", "/{proxy+}", {"proxy": "pets/../x"}),
        ("/%70ets", "/pets", {}),
        ("/pets%2Fmine", "/{proxy+}", {"proxy": "pets%2Fmine"}),
        ("/pets/%C3%BC%20%2B", "/pets/{id}", {"id": "%C3%BC%20%2B"}),
        ("/pets/a+b", "/pets/{id}", {"id": "a+b"}),
        ("/pets/%ff", "/pets/{id}", {"id": "%ff"}),
        ("/pets/%zz", "/pets/{id}", {"id": "%zz"}),
        # An empty segment within a path is no value of a parameter.
        ("/pets//toys", "/{proxy+}", {"proxy": "pets//toys"}),
    ],
)
def test_what_is_encoded_is_data_and_stays_encoded(path: str, resource: str, parameters: dict[str, str]) -> None:
    assert found(path) == (resource, parameters)


def test_nothing_is_found_where_nothing_was_made() -> None:
    tree = RouteTree([("/pets/{id}", "/pets/{id}")])
    assert found("/", tree) is None
    assert found("/pets", tree) is None
    assert found("/pets/1/2", tree) is None
    assert found("/" + "/".join("a" * 5000), tree) is None


def test_a_path_of_many_segments_costs_no_more_than_the_tree_is_deep() -> None:
    tree = RouteTree([(f"/{'/'.join(['{a}'] * depth)}", str(depth)) for depth in range(1, 30)])
    assert found("/x" * 29, tree) == ("29", {"a": "x"})
    assert found("/x" * 20_000, tree) is None
