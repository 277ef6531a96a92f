"""HTTP integrations of APIs: one request to somebody else's server and its answer, within a time and a size.

`HttpProxy` is made at start and costs nothing until the first request: the client library is loaded then, by
`edge/http_client`, which owns the pooled connections. Both kinds of API use it, each with error bodies of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from lambent.edge.http_events.request_facts import HOP_BY_HOP
from lambent.edge.reach import Reach
from lambent.request import Headers, Request, Response

#: What API Gateway reads of an integration's answer at most.
RESPONSE_BYTES = 10 * 1024 * 1024
#: Stands in every request that is sent on, with how many APIs it has passed: where one comes back to this region,
#: whoever made the API asks for it, and no operator does.
MARK = b"x-lambent-forwarded"
#: APIs that one request may pass; more are one that leads to itself.
HOPS = 10


class ProxyError(Exception):
    """A sentence: why there is no answer to pass on."""


class ProxyTimeout(ProxyError):
    """The server did not answer in time."""


class ProxyUnreachable(ProxyError):
    """No connection, a broken one, no such host, or an answer that is not HTTP."""


class ProxyLoop(ProxyError):
    """The request has passed too many APIs already."""


class ProxyResponseTooLarge(ProxyError):
    """The answer is larger than `RESPONSE_BYTES`."""


class Incoming(Protocol):
    """The body of an answer that is still on its way. Raises BrokenOff where its end will not come."""

    def __aiter__(self) -> Incoming: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None: ...


class Client(Protocol):
    """What `edge/http_client` makes."""

    async def send(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes, *, verify: bool, limit: int
    ) -> Response: ...

    async def open(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes, *, verify: bool
    ) -> tuple[Response, Incoming]:
        """The head of the answer, and its body as it comes."""

    async def close(self) -> None: ...


class HttpProxy:
    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._client: Client | None = None
        self._loading = asyncio.Lock()

    async def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes,
        timeout_s: float,
        *,
        verify: bool = True,
        hops: int = 0,
    ) -> Response:
        """The server's answer, whatever its status: redirects are not followed, an encoded body stays encoded.

        Headers that belong to one connection are dropped in both directions, and `host` is that of `url`.
        `verify` False: any certificate will do. `hops`: APIs that the request has passed. Raises ProxyError.
        """
        sent = _marked(headers, hops)
        async with self._client_for(url, timeout_s) as client:
            response = await client.send(method, url, sent, body, verify=verify, limit=RESPONSE_BYTES)
        response.headers = forwarded(response.headers)
        return response

    async def open(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes,
        timeout_s: float,
        *,
        verify: bool = True,
        hops: int = 0,
    ) -> tuple[Response, Incoming]:
        """As `send`, but returns with the head of the answer: its body, of any size, is read as it comes."""
        sent = _marked(headers, hops)
        async with self._client_for(url, timeout_s) as client:
            response, incoming = await client.open(method, url, sent, body, verify=verify)
        response.headers = forwarded(response.headers)
        return response, incoming

    @contextlib.asynccontextmanager
    async def _client_for(self, url: str, timeout_s: float) -> AsyncIterator[Client]:
        """Raises ProxyTimeout where what is done with it takes longer."""
        try:
            async with asyncio.timeout(timeout_s):
                yield self._client or await self._load()
        except TimeoutError:
            raise ProxyTimeout(f"{url} did not answer within {timeout_s:g} s.") from None

    async def stop(self) -> None:
        """After the last request."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _load(self) -> Client:
        async with self._loading:
            if self._client is None:
                # In a thread: the library takes a tenth of a second to import.
                module = await asyncio.to_thread(importlib.import_module, "lambent.edge.http_client")
                self._client = module.PooledClient(self._reach)
            return self._client


def _marked(headers: Headers, hops: int) -> list[tuple[bytes, bytes]]:
    if hops >= HOPS:
        raise ProxyLoop(f"The request has passed {HOPS} APIs already: this one leads to itself.")
    # Whatever an API maps to this name, it does not begin to count anew.
    sent = [pair for pair in forwarded(headers) if pair[0].lower() != MARK]
    sent.append((MARK, b"%d" % (hops + 1)))
    return sent


def hops_of(request: Request) -> int:
    """How many APIs it has passed."""
    text = request.header(MARK) or b""
    return int(text) if text.isdigit() and len(text) < 4 else 0


def forwarded(headers: Headers) -> list[tuple[bytes, bytes]]:
    """`headers` as they go to the next server: less those of one connection, named or known."""
    named = _named_by_connection(value for name, value in headers if name == b"connection")
    dropped = HOP_BY_HOP | named if named else HOP_BY_HOP
    return [
        (name, value) for name, value in headers if name not in dropped and name not in (b"host", b"content-length")
    ]


def _named_by_connection(values: Iterable[bytes]) -> frozenset[bytes]:
    return frozenset(name.strip().lower() for value in values for name in value.split(b","))
