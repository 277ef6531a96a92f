"""Lambent's own paths, `/_…` and `/metrics`: which object answers which, before any AWS service is looked for."""

from __future__ import annotations

import json
from typing import Any, Protocol, TypeVar

from lambent.request import Request, Response

R = TypeVar("R")


class Route(Protocol):
    """What stands behind a path. Objects of other packages may stand here too (code downloads)."""

    async def get(self, request: Request) -> Response: ...


class PostRoute(Protocol):
    async def post(self, request: Request) -> Response: ...


class LocalRoutes:
    """Exact paths and prefixes (ending in `/`), each with what answers its GET and its POST."""

    def __init__(self, gets: dict[str, Route], posts: dict[str, PostRoute]) -> None:
        self._gets = {path.encode(): route for path, route in gets.items()}
        self._posts = {path.encode(): route for path, route in posts.items()}

    def owns(self, request: Request) -> bool:
        # No bucket, function or API has a name with a leading underscore.
        if request.raw_path[1:2] == b"_":
            return True
        # Where scrapers look for it; signed, it is a bucket.
        return request.raw_path == b"/metrics" and not (request.header(b"authorization") or b"").startswith(b"AWS4-")

    async def answer(self, request: Request) -> Response:
        get = _find(self._gets, request.raw_path)
        post = _find(self._posts, request.raw_path)
        if get is not None and request.method in ("GET", "HEAD"):
            return await get.get(request)
        if post is not None and request.method == "POST":
            return await post.post(request)
        if get is None and post is None:
            return json_response({"message": f"There is nothing at {request.raw_path.decode('latin-1')}."}, 404)
        allowed = "GET, HEAD" if get is not None else "POST"
        response = json_response({"message": f"Use {allowed} here."}, 405)
        response.headers.append((b"allow", allowed.encode()))
        return response


def _find(routes: dict[bytes, R], path: bytes) -> R | None:
    found = routes.get(path)
    if found is not None:
        return found
    return next((route for prefix, route in routes.items() if prefix.endswith(b"/") and path.startswith(prefix)), None)


def json_response(content: Any, status: int = 200) -> Response:
    body = json.dumps(content).encode() + b"\n"
    return Response(status, [(b"content-type", b"application/json")], body)
