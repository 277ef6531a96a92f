"""Public front doors beside the AWS APIs: requests for function URLs and deployed APIs, told by host or path.

    <id>.lambda-url.<region>.<suffix>              /_aws/lambda-url/<id>/…
    <id>.execute-api.<region>.<suffix>/<stage>/…   /_aws/execute-api/<id>/<stage>/…
    <id>.execute-api.<suffix>/<stage>/…            /restapis/<id>/<stage>/_user_request_/…

Their callers are browsers and any HTTP client, so neither signatures nor the guard against web pages stand before
them: each door has its own authorization and CORS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lambent.request import Request, Response

#: Also AWS's own, for clients that resolve them to this machine (curl --resolve, /etc/hosts).
_SUFFIXES = ("localhost", "localhost.localstack.cloud", "amazonaws.com", "on.aws")
#: Doors whose hosts LocalStack's users write without a region.
_WITHOUT_REGION = frozenset({"execute-api"})
#: Host headers remembered with the door that they lead to.
_HOSTS_LIMIT = 1024
#: Longer ones, which no name server knows, are not remembered: a stranger's may be as long as a whole head.
_HOST_BYTES = 300


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
    @property
    def body_limit(self) -> int:
        """Bytes; larger requests are not read but given to `too_large`."""

    def too_large(self, request: Request, address: Address) -> Response:
        """The answer to a request whose body, left out here, is larger than `body_limit`."""

    async def answer(self, request: Request, address: Address) -> Response:
        """Never raises: its clients know nothing of AWS's errors."""


class Doors:
    """Doors by the label that tells them: `lambda-url`, `execute-api`."""

    def __init__(
        self,
        doors: Mapping[str, Door],
        suffixes: Sequence[str] = (),
        allows: Callable[[str], bool] = lambda name: True,
    ) -> None:
        """`allows` says whether a host may ask for a path form: under `--auth off` any other may be a name that a web
        page has bound to this machine, to read what functions answer (DNS rebinding)."""
        self._doors = dict(doors)
        self._suffixes = tuple(f".{suffix.strip('.').lower()}" for suffix in (*_SUFFIXES, *suffixes) if suffix)
        self._allows = allows
        #: What hosts lead to; a handful in practice.
        self._hosts: dict[bytes, tuple[Door, str, str] | None] = {}

    def find(self, request: Request) -> tuple[Door, Address] | None:
        """The door that a request is for; None for an AWS API call or Lambent's own paths."""
        host = request.header(b"host") or b""
        path = request.raw_path
        try:
            found = self._hosts[host]
        except KeyError:
            found = self._by_host(host)
            if len(host) <= _HOST_BYTES:
                if len(self._hosts) >= _HOSTS_LIMIT:
                    self._hosts.clear()
                self._hosts[host] = found
        if found is not None:
            return found[0], Address(found[1], found[2], path)
        if path.startswith((b"/_aws/", b"/restapis/")):
            name = _name_of(host)
            return self._by_path(name, path) if self._allows(name) else None
        return None

    def _by_host(self, host: bytes) -> tuple[Door, str, str] | None:
        """Door, id and name of a host."""
        name = _name_of(host)
        identifier, _, rest = name.partition(".")
        label, _, rest = rest.partition(".")
        door = self._doors.get(label)
        _region, _, suffix = rest.partition(".")
        known = rest if label in _WITHOUT_REGION else suffix
        if door is None or not identifier or not f".{known}".endswith(self._suffixes):
            return None
        return door, identifier, name

    def _by_path(self, domain_name: str, path: bytes) -> tuple[Door, Address] | None:
        parts = path.split(b"/", 4)
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


def _name_of(host: bytes) -> str:
    """`[::1]:4566` → `::1`, `abc.lambda-url.us-east-1.localhost:4566` → the same less its port."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")
