"""Public front doors beside the AWS APIs: requests for function URLs and deployed APIs, told by host or path.

    <id>.lambda-url.<region>.<suffix>              /_aws/lambda-url/<id>/…
    <id>.execute-api.<region>.<suffix>/<stage>/…   /_aws/execute-api/<id>/<stage>/…
                                                   /restapis/<id>/<stage>/_user_request_/…

Their callers are browsers and any HTTP client, so neither signatures nor the guard against web pages stand before
them: each door has its own authorization and CORS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lambent.request import Request, Response

_SUFFIXES = ("localhost", "localhost.localstack.cloud", "amazonaws.com")
#: Host headers remembered as being of no door.
_PLAIN_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Address:
    """What a request names before its door looks at it."""

    #: Of the function URL or API.
    id: str
    #: The host without its port, `abc.execute-api.us-east-1.localhost`; for the path forms the one that was asked.
    domain_name: str
    #: As sent, percent-encoding kept, beginning with `/`: behind the host, or behind the prefix of a path form.
    #: For execute-api the stage comes first in every form.
    path: bytes


class Door(Protocol):
    async def answer(self, request: Request, address: Address) -> Response:
        """Never raises: its clients know nothing of AWS's errors."""


class Doors:
    """Doors by the label that tells them: `lambda-url`, `execute-api`."""

    def __init__(self, doors: Mapping[str, Door], suffixes: Sequence[str] = ()) -> None:
        self._doors = dict(doors)
        self._suffixes = tuple(f".{suffix.strip('.').lower()}" for suffix in (*_SUFFIXES, *suffixes) if suffix)
        #: Hosts that are of no door; a handful in practice.
        self._plain: set[bytes] = set()

    def find(self, request: Request) -> tuple[Door, Address] | None:
        """The door that a request is for; None for an AWS API call or Lambent's own paths."""
        host = request.header(b"host") or b""
        if host not in self._plain:
            found = self._by_host(host, request.raw_path)
            if found is not None:
                return found
            if len(self._plain) < _PLAIN_LIMIT:
                self._plain.add(host)
        path = request.raw_path
        if path.startswith((b"/_aws/", b"/restapis/")):
            return self._by_path(host, path)
        return None

    def _by_host(self, host: bytes, path: bytes) -> tuple[Door, Address] | None:
        name = host.decode("latin-1").partition(":")[0].rstrip(".").lower()
        identifier, _, rest = name.partition(".")
        label, _, rest = rest.partition(".")
        door = self._doors.get(label)
        _region, _, suffix = rest.partition(".")
        if door is None or not f".{suffix}".endswith(self._suffixes):
            return None
        return door, Address(identifier, name, path or b"/")

    def _by_path(self, host: bytes, path: bytes) -> tuple[Door, Address] | None:
        parts = path.split(b"/", 4)
        domain_name = host.decode("latin-1").partition(":")[0].lower()
        if parts[1] == b"restapis":
            # /restapis/<id>/<stage>/_user_request_[/…]; anything else below /restapis is the control plane's.
            door = self._doors.get("execute-api")
            if door is None or len(parts) < 5 or parts[4].split(b"/", 1)[0] != b"_user_request_":
                return None
            inner = parts[4].partition(b"/")
            return door, Address(parts[2].decode("latin-1"), domain_name, b"/" + parts[3] + inner[1] + inner[2])
        door = self._doors.get(parts[2].decode("latin-1")) if len(parts) > 3 else None
        if door is None:
            return None
        rest = b"/" + parts[4] if len(parts) > 4 else b"/"
        return door, Address(parts[3].decode("latin-1"), domain_name, rest)
