"""Values as AWS answers them: members by AWS's names (which they have already), and URLs of the host that asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from lambent.services.apigatewayv2.domain import Deployment, HttpApi
from lambent.services.apigatewayv2.errors import BadRequestException
from lambent.services.apigatewayv2.rules.apis import API_KEY_SELECTION, ROUTE_SELECTION

#: Items of a page where MaxResults does not say fewer.
PAGE_LIMIT = 500


def value(struct: msgspec.Struct) -> dict[str, Any]:
    """A route, integration, authorizer, stage or CORS configuration. What the model does not know is left out later."""
    return {name: member for name, member in msgspec.to_builtins(struct).items() if member is not None}


def api(found: HttpApi, endpoint: str) -> dict[str, Any]:
    described = value(found)
    for name in ("Routes", "Integrations", "Authorizers", "Stages"):
        del described[name]
    if found.cors_configuration is not None:
        described["CorsConfiguration"] = value(found.cors_configuration)
    return {
        **described,
        "ApiEndpoint": endpoint,
        "RouteSelectionExpression": ROUTE_SELECTION[0],
        "ApiKeySelectionExpression": API_KEY_SELECTION,
    }


def deployment(found: Deployment) -> dict[str, Any]:
    described = value(found)
    del described["Deployed"]
    return described


def page(items: Sequence[dict[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
    """One page of a Get operation: tokens count what has been shown."""
    start = _number("NextToken", params.get("NextToken"), 0)
    size = min(_number("MaxResults", params.get("MaxResults"), PAGE_LIMIT) or PAGE_LIMIT, PAGE_LIMIT)
    result: dict[str, Any] = {"Items": list(items[start : start + size])}
    if start + size < len(items):
        result["NextToken"] = str(start + size)
    return result


def _number(name: str, text: str | None, default: int) -> int:
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise BadRequestException(f"Invalid value for {name}: {text}")
    return int(text)


class Endpoints:
    """URLs of APIs on the host that a request asked, by the names below which APIs answer."""

    def __init__(self, suffixes: Sequence[str]) -> None:
        self._suffixes = tuple(suffix.strip(".").lower() for suffix in suffixes if suffix)

    def of(self, base_url: str, region: str, api_id: str) -> str:
        """`http://a1b2c3d4e5.execute-api.us-east-1.localhost:4566`"""
        parts = urlsplit(base_url)
        host = (parts.hostname or "").rstrip(".")
        suffix = next((name for name in self._suffixes if host == name or host.endswith(f".{name}")), "localhost")
        port = parts.netloc.rpartition(":")[2]
        shown = f":{port}" if port.isdecimal() else ""
        return f"{parts.scheme}://{api_id}.execute-api.{region}.{suffix}{shown}"
