"""Rules of the tree of resources: names, variables, greedy ends, moves; and where methods hang. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from lambent.services.apigateway import identifiers
from lambent.services.apigateway.domain import Integration, Method, Resource, RestApi
from lambent.services.apigateway.errors import (
    BadRequestException,
    ConflictException,
    LimitExceededException,
    no_integration,
    no_method,
    no_resource,
)

RESOURCE_LIMIT = 300
_PATH_PART = re.compile(r"[a-zA-Z0-9._:-]+|\{[a-zA-Z0-9._:-]+\+?\}")
_replace = msgspec.structs.replace

# ---- finding


def resource(api: RestApi, resource_id: str) -> Resource:
    """Raises NotFoundException."""
    found = api.resources.get(resource_id)
    if found is None:
        raise no_resource()
    return found


def method(api: RestApi, resource_id: str, http_method: str) -> Method:
    """Raises NotFoundException."""
    found = resource(api, resource_id).methods.get(http_method)
    if found is None:
        raise no_method()
    return found


def integration(api: RestApi, resource_id: str, http_method: str) -> Integration:
    """Raises NotFoundException."""
    found = method(api, resource_id, http_method).integration
    if found is None:
        raise no_integration()
    return found


def methods(api: RestApi) -> Iterator[tuple[Resource, Method]]:
    """Every method with its resource, by path."""
    for one in sorted(api.resources.values(), key=lambda found: found.path):
        for _, found in sorted(one.methods.items()):
            yield one, found


# ---- changing


def with_resource(api: RestApi, changed: Resource) -> RestApi:
    return _replace(api, resources={**api.resources, changed.id: changed})


def with_method(api: RestApi, resource_id: str, changed: Method) -> RestApi:
    found = resource(api, resource_id)
    return with_resource(api, _replace(found, methods={**found.methods, changed.http_method: changed}))


def without_method(api: RestApi, resource_id: str, http_method: str) -> RestApi:
    method(api, resource_id, http_method)
    found = resource(api, resource_id)
    kept = {name: one for name, one in found.methods.items() if name != http_method}
    return with_resource(api, _replace(found, methods=kept))


def added(api: RestApi, parent_id: str, path_part: str, new_id: str | None = None) -> tuple[RestApi, Resource]:
    """`api` with a new resource. Raises what AWS does for parts that may not stand there."""
    parent = resource(api, parent_id)
    _check_part(path_part)
    _check_place(api, parent, path_part)
    if len(api.resources) >= RESOURCE_LIMIT:
        raise LimitExceededException(
            "Maximum number of resources for this API has been reached. "
            "Please contact AWS if you need additional resources."
        )
    made = Resource(new_id or _new_id(api), parent.id, path_part, _path(parent, path_part))
    return with_resource(api, made), made


def moved(api: RestApi, resource_id: str, *, parent_id: str | None = None, path_part: str | None = None) -> RestApi:
    """`api` with a resource under another parent or name, its descendants' paths with it."""
    found = resource(api, resource_id)
    if found.parent_id is None:
        name = "pathPart" if path_part is not None else "parentId"
        raise BadRequestException(f"Root resource cannot update its {name}.")
    parent = resource(api, found.parent_id if parent_id is None else parent_id)
    part = found.path_part if path_part is None else path_part
    _check_part(part)
    if resource_id in {parent.id, *_ancestors(api, parent)}:
        raise BadRequestException("Resources cannot be cyclical.")
    if (parent.id, part) != (found.parent_id, found.path_part):
        _check_place(api, parent, part, but=resource_id)
    if part.endswith("+}") and any(one.parent_id == resource_id for one in api.resources.values()):
        raise _no_children(part)
    return _with_paths(with_resource(api, _replace(found, parent_id=parent.id, path_part=part)), resource_id)


def removed(api: RestApi, resource_id: str) -> RestApi:
    """`api` without a resource and everything below it."""
    found = resource(api, resource_id)
    if found.parent_id is None:
        raise BadRequestException("Root resource cannot be deleted")
    gone = {resource_id}
    for one in sorted(api.resources.values(), key=lambda each: each.path.count("/")):
        if one.parent_id in gone:
            gone.add(one.id)
    return _replace(api, resources={key: one for key, one in api.resources.items() if key not in gone})


def ensured(api: RestApi, path: str, ids: Mapping[str, str]) -> tuple[RestApi, Resource]:
    """`api` with a resource at `path` and at everything above it; `ids` says by path which id a new one has."""
    at = api.resources[api.root_id]
    for part in filter(None, path.split("/")):
        child = next((one for one in api.resources.values() if (one.parent_id, one.path_part) == (at.id, part)), None)
        if child is None:
            api, child = added(api, at.id, part, ids.get(_path(at, part)))
        at = child
    return api, at


def _check_part(part: str) -> None:
    if not _PATH_PART.fullmatch(part):
        raise BadRequestException(
            "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable "
            "and curly braces at the beginning and the end."
        )


def _check_place(api: RestApi, parent: Resource, part: str, but: str = "") -> None:
    if parent.path_part.endswith("+}"):
        raise _no_children(parent.path_part)
    for sibling in api.resources.values():
        if sibling.parent_id != parent.id or sibling.id == but:
            continue
        if sibling.path_part == part:
            raise ConflictException(f"Another resource with the same parent already has this name: {part}")
        if sibling.path_part.startswith("{") and part.startswith("{"):
            raise BadRequestException(
                f"A sibling ({sibling.path_part}) of this resource already has a variable path part "
                "-- only one is allowed"
            )


def _no_children(part: str) -> BadRequestException:
    return BadRequestException(f"Cannot create a child of a resource with a greedy path variable: {part}")


def _ancestors(api: RestApi, found: Resource) -> Iterator[str]:
    while found.parent_id is not None:
        yield found.parent_id
        found = api.resources[found.parent_id]


def _path(parent: Resource, part: str) -> str:
    return f"{parent.path.rstrip('/')}/{part}"


def _with_paths(api: RestApi, resource_id: str) -> RestApi:
    """The paths of a resource and of what hangs below it, from those above."""
    resources = dict(api.resources)
    waiting = [resource_id]
    while waiting:
        one = resources[waiting.pop()]
        assert one.parent_id is not None
        resources[one.id] = _replace(one, path=_path(resources[one.parent_id], one.path_part))
        waiting += [child.id for child in resources.values() if child.parent_id == one.id]
    return _replace(api, resources=resources)


def _new_id(api: RestApi) -> str:
    while (made := identifiers.short_id()) in api.resources:
        pass
    return made
