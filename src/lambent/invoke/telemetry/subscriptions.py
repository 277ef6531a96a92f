"""What an extension asks of the Telemetry API or the Logs API: its request as a value, or what is wrong with it.

Whoever subscribes is hostile: events go to a TCP port of its own sandbox and nowhere else.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TYPES = ("platform", "function", "extension")
_METHODS = ("POST", "PUT")
#: What the sandbox calls itself; it listens at the address behind the name, or on loopback.
_SANDBOX_NAMES = ("sandbox.localdomain", "sandbox")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1")
_MAX_PATH = 2048

#: (member, least, most, default) as AWS documents them.
_BUFFERING = (
    ("maxItems", 1000, 10_000, 10_000),
    ("maxBytes", 262_144, 1_048_576, 262_144),
    ("timeoutMs", 25, 30_000, 1000),
)


class Api(enum.Enum):
    """Values are what AWS calls them in errors."""

    TELEMETRY = "Telemetry"
    LOGS = "Logs"

    @property
    def schemas(self) -> tuple[str, ...]:
        if self is Api.TELEMETRY:
            return ("2022-07-01", "2022-12-13", "2025-01-29")
        return ("2020-08-15", "2021-03-18")

    @property
    def error_type(self) -> str:
        return "ValidationError" if self is Api.TELEMETRY else "Logs.ValidationError"


class InvalidSubscription(ValueError):
    """Its text names everything that is wrong, as AWS does: `URI port is not provided; types should not be empty`."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where in the sandbox events go."""

    #: HTTP | TCP
    protocol: str
    port: int
    #: Whether it is named as the sandbox, whose own address comes before loopback then.
    by_name: bool = True
    #: Of HTTP: what the request line and the Host header say.
    method: str = "POST"
    host: str = ""
    path: str = "/"


@dataclass(frozen=True, slots=True)
class Subscription:
    api: Api
    schema: str
    types: tuple[str, ...]
    destination: Destination
    max_items: int
    max_bytes: int
    timeout_s: float


def parse(body: bytes, api: Api, reserved: Collection[int]) -> Subscription:
    """The subscription that `body` asks for. `reserved`: ports of the sandbox where the region itself listens.

    Raises InvalidSubscription.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidSubscription("The request body is not valid JSON") from None
    if not isinstance(given, dict):
        raise InvalidSubscription("The request body should be an object")
    faults: list[str] = []
    schema = _schema(given.get("schemaVersion"), api, faults)
    destination = _destination(given.get("destination"), reserved, faults)
    types = _types(given.get("types"), faults)
    items, size, timeout_ms = _buffering(given.get("buffering"), faults)
    if faults or destination is None:
        raise InvalidSubscription("; ".join(faults))
    return Subscription(api, schema, types, destination, items, size, timeout_ms / 1000)


def _schema(value: Any, api: Api, faults: list[str]) -> str:
    if value is None and api is Api.LOGS:
        return api.schemas[0]
    if value is None:
        faults.append("schemaVersion is not provided")
    elif value not in api.schemas:
        faults.append(f"schemaVersion should be one of: {', '.join(api.schemas)}")
    return str(value)


def _types(value: Any, faults: list[str]) -> tuple[str, ...]:
    if value is None or value == []:
        faults.append("types should not be empty")
    elif not isinstance(value, list) or any(kind not in TYPES for kind in value):
        faults.append(f"types should be a list of: {', '.join(TYPES)}")
    else:
        return tuple(kind for kind in TYPES if kind in value)
    return ()


def _buffering(value: Any, faults: list[str]) -> list[int]:
    if value is None:
        value = {}
    if not isinstance(value, dict):
        faults.append("buffering should be an object")
        value = {}
    limits = []
    for member, least, most, default in _BUFFERING:
        limit = value.get(member)
        if limit is None:
            limit = default
        elif type(limit) is not int or not least <= limit <= most:
            faults.append(f"{member} should be an integer between {least} and {most}")
        limits.append(limit)
    return limits


def _destination(value: Any, reserved: Collection[int], faults: list[str]) -> Destination | None:
    if not isinstance(value, dict):
        faults.append("destination is not provided" if value is None else "destination should be an object")
        return None
    protocol = value.get("protocol")
    if protocol == "TCP":
        port = value.get("port")
        if _check_port(port, reserved, faults, "port"):
            assert isinstance(port, int)
            return Destination("TCP", port)
    elif protocol == "HTTP":
        return _http(value, reserved, faults)
    else:
        faults.append("protocol should be one of: HTTP, TCP")
    return None


def _http(value: dict[str, Any], reserved: Collection[int], faults: list[str]) -> Destination | None:
    method = value.get("method") or "POST"
    if method not in _METHODS:
        faults.append(f"method should be one of: {', '.join(_METHODS)}")
    if value.get("encoding", "JSON") != "JSON":
        faults.append("encoding should be JSON")
    uri = value.get("URI")
    if not isinstance(uri, str) or not uri:
        faults.append("URI is not provided")
        return None
    if not uri.isascii() or not uri.isprintable() or " " in uri or len(uri) > _MAX_PATH:
        faults.append("URI is not valid")
        return None
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        faults.append("URI is not valid")
        return None
    if parts.scheme != "http":
        faults.append("URI scheme should be http")
    if host not in (*_SANDBOX_NAMES, *_LOOPBACK_NAMES) or "@" in parts.netloc:
        faults.append(f"URI host should be {_SANDBOX_NAMES[0]}")
    if _check_port(port, reserved, faults, "URI port") and not faults:
        assert port is not None
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Destination("HTTP", port, host in _SANDBOX_NAMES, method, f"{host}:{port}", path)
    return None


def _check_port(port: Any, reserved: Collection[int], faults: list[str], name: str) -> bool:
    if port is None:
        faults.append(f"{name} is not provided")
    elif type(port) is not int or not 1 <= port <= 65_535:
        faults.append(f"{name} should be an integer between 1 and 65535")
    elif port in reserved:
        faults.append(f"{name} {port} is reserved")
    else:
        return True
    return False
