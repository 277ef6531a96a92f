"""The tree of resources: names, variables, greedy ends, moves."""

from __future__ import annotations

from typing import Any

import pytest
from apigateway_helpers import Api, Refusal, bad, conflict, missing, replace, told

NO_RESOURCE = missing("Invalid Resource identifier specified")
BAD_PART = (
    "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable "
    "and curly braces at the beginning and the end."
)


def paths(client: Any, api: Api) -> list[str]:
    return [item["path"] for item in client.get_resources(restApiId=api.id)["items"]]


def test_resource_knows_its_parent_and_path(client: Any, api: Api) -> None:
    created = client.create_resource(restApiId=api.id, parentId=api.pets, pathPart="{id}")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    shown = told(created)
    assert shown == {"id": shown["id"], "parentId": api.pets, "pathPart": "{id}", "path": "/pets/{id}"}
    assert told(client.get_resource(restApiId=api.id, resourceId=shown["id"])) == shown
    assert paths(client, api) == ["/", "/pets", "/pets/{id}"]


def test_renaming_and_moving_takes_descendants_along(client: Any, api: Api) -> None:
    child = api.resource("{id}", api.pets)
    api.resource("toys", child)
    client.update_resource(restApiId=api.id, resourceId=api.pets, patchOperations=replace("/pathPart", "dogs"))
    assert paths(client, api) == ["/", "/dogs", "/dogs/{id}", "/dogs/{id}/toys"]
    client.update_resource(restApiId=api.id, resourceId=child, patchOperations=replace("/parentId", api.root))
    assert paths(client, api) == ["/", "/dogs", "/{id}", "/{id}/toys"]


def test_deleting_a_resource_takes_descendants_along(client: Any, api: Api, refused: Refusal) -> None:
    child = api.resource("{id}", api.pets)
    answer = client.delete_resource(restApiId=api.id, resourceId=api.pets)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert paths(client, api) == ["/"]
    assert refused(client.delete_resource, restApiId=api.id, resourceId=child) == NO_RESOURCE


def test_greedy_variable_ends_a_path(client: Any, api: Api, refused: Refusal) -> None:
    greedy = api.resource("{proxy+}")
    create = client.create_resource
    assert refused(create, restApiId=api.id, parentId=api.root, pathPart="{dynamic}") == bad(
        "A sibling ({proxy+}) of this resource already has a variable path part -- only one is allowed"
    )
    for part in ("child", "{child}"):
        assert refused(create, restApiId=api.id, parentId=greedy, pathPart=part) == bad(
            "Cannot create a child of a resource with a greedy path variable: {proxy+}"
        )
    assert api.resource("{more+}", api.pets)


@pytest.mark.parametrize("part", ["a b", "{a", "a}", "{a}b", "{+}", "a/b", "ä", "{a++}", "$a", "a*", ""])
def test_other_path_parts_are_refused(client: Any, api: Api, refused: Refusal, part: str) -> None:
    assert refused(client.create_resource, restApiId=api.id, parentId=api.root, pathPart=part) == bad(BAD_PART)


def test_names_are_unique_below_a_parent(client: Any, api: Api, refused: Refusal) -> None:
    taken = conflict("Another resource with the same parent already has this name: pets")
    assert refused(client.create_resource, restApiId=api.id, parentId=api.root, pathPart="pets") == taken
    other = api.resource("dogs")
    update = client.update_resource
    assert refused(update, restApiId=api.id, resourceId=other, patchOperations=replace("/pathPart", "pets")) == taken


def test_missing_resources_are_told_alike(client: Any, api: Api, refused: Refusal) -> None:
    nowhere = {"restApiId": api.id, "resourceId": "nothere"}
    assert refused(client.get_resource, **nowhere) == NO_RESOURCE
    assert refused(client.get_resource, restApiId="nothere", resourceId=api.pets) == NO_RESOURCE
    assert refused(client.create_resource, restApiId=api.id, parentId="nothere", pathPart="x") == NO_RESOURCE
    assert refused(client.update_resource, **nowhere, patchOperations=replace("/pathPart", "x")) == NO_RESOURCE


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            replace("/invalid", "x")[0],
            "Invalid patch path  '/invalid' specified for op 'replace'. Must be one of: [/parentId, /pathPart]",
        ),
        (
            {"op": "remove", "path": "/pathPart"},
            "Invalid patch path  '/pathPart' specified for op 'remove'. Please choose supported operations",
        ),
        (
            {"op": "add", "path": "/pathPart", "value": "x"},
            "Invalid patch path  '/pathPart' specified for op 'add'. Please choose supported operations",
        ),
    ],
)
def test_resource_patch_is_refused_in_aws_words(
    client: Any, api: Api, refused: Refusal, operation: dict[str, str], message: str
) -> None:
    call = {"restApiId": api.id, "resourceId": api.pets, "patchOperations": [operation]}
    assert refused(client.update_resource, **call) == bad(message)


def test_tree_stays_a_tree(client: Any, api: Api, refused: Refusal) -> None:
    child = api.resource("{id}", api.pets)
    update = client.update_resource
    assert refused(update, restApiId=api.id, resourceId=api.pets, patchOperations=replace("/parentId", child)) == bad(
        "Resources cannot be cyclical."
    )
    root = {"restApiId": api.id, "resourceId": api.root}
    assert refused(update, **root, patchOperations=replace("/pathPart", "x")) == bad(
        "Root resource cannot update its pathPart."
    )
    assert refused(update, **root, patchOperations=replace("/parentId", child)) == bad(
        "Root resource cannot update its parentId."
    )
    assert refused(client.delete_resource, **root) == bad("Root resource cannot be deleted")


def test_methods_are_shown_by_name_or_whole(client: Any, api: Api) -> None:
    api.mock()
    named = client.get_resource(restApiId=api.id, resourceId=api.pets)
    assert named["resourceMethods"] == {"GET": {}}
    whole = client.get_resources(restApiId=api.id, embed=["methods"])["items"][1]
    assert whole["resourceMethods"]["GET"]["methodIntegration"]["type"] == "MOCK"
