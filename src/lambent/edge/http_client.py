"""The only importer of httpx: pooled connections to other servers. Loaded by `edge/http_proxy` at the first request."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote, urlsplit

import httpcore
import httpx

from lambent.edge.http_proxy import ProxyResponseTooLarge, ProxyUnreachable
from lambent.edge.reach import Reach
from lambent.request import BrokenOff, Response

#: What stays as it is; percent signs do, for all else is encoded already.
_PATH_SAFE = "/%:@!$&'()*+,;=~-._"
_QUERY_SAFE = _PATH_SAFE + "?"
_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=200, keepalive_expiry=30)


_FAILURES = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)


class Incoming:
    """Implements http_proxy.Incoming."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._pieces = response.aiter_raw()

    def __aiter__(self) -> Incoming:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._pieces.__anext__()
        except httpx.HTTPError as error:
            raise BrokenOff(f"{self._response.url}: {type(error).__name__}: {error}") from error

    async def aclose(self) -> None:
        # A connection with an answer in it that nobody reads is of no further use.
        await self._response.aclose()


class PooledClient:
    """Implements http_proxy.Client."""

    def __init__(self, reach: Reach) -> None:
        self._backend = _Guarded(reach)
        # It tells of every request with its query, where clients' tokens and secrets stand.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        #: By whether certificates are checked.
        self._clients: dict[bool, httpx.AsyncClient] = {}

    async def send(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes, *, verify: bool, limit: int
    ) -> Response:
        try:
            response = await self._begin(method, url, headers, body, verify)
            try:
                return await _read(response, limit)
            finally:
                await response.aclose()
        except _FAILURES as error:
            raise _unreachable(url, error) from error

    async def open(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes, *, verify: bool
    ) -> tuple[Response, Incoming]:
        try:
            response = await self._begin(method, url, headers, body, verify)
        except _FAILURES as error:
            raise _unreachable(url, error) from error
        return Response(response.status_code, _headers(response)), Incoming(response)

    async def _begin(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes, verify: bool
    ) -> httpx.Response:
        # A request made by hand has the headers that it is given and none of the client's own.
        extensions: dict[str, Any] = {}
        if "/." in url:
            extensions["target"] = _target(url)
        address = _here(url, headers)
        request = httpx.Request(method, address, headers=headers, content=body or None, extensions=extensions)
        return await self._client(verify).send(request, stream=True)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def _client(self, verify: bool) -> httpx.AsyncClient:
        client = self._clients.get(verify)
        if client is None:
            # The caller keeps the time. Proxies and certificates of the operator's shell are none of an API's business.
            transport = httpx.AsyncHTTPTransport(verify=verify, limits=_LIMITS, trust_env=False)
            # Before the first connection; the library has no option for it.
            transport._pool._network_backend = self._backend
            client = httpx.AsyncClient(transport=transport, timeout=None, trust_env=False)  # noqa: S113
            # What a server sets is the API's client's to keep, never the next client's.
            client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            self._clients[verify] = client
        return client


def _here(url: str, headers: list[tuple[bytes, bytes]]) -> httpx.URL:
    """Names below localhost are this machine (RFC 6761), also where no resolver says so: this region's own APIs."""
    parsed = httpx.URL(url)
    if not parsed.host.endswith(".localhost"):
        return parsed
    headers.append((b"host", parsed.netloc))
    return parsed.copy_with(host="127.0.0.1")


def _target(url: str) -> bytes:
    """Path and query as they stand in `url`, where the library would resolve dot segments.

    A client of the API could so leave the folder that an integration's URL names, and never be seen by the server
    behind it, which has rules of its own for such paths.
    """
    parts = urlsplit(url)
    target = quote(parts.path or "/", safe=_PATH_SAFE)
    return (f"{target}?{quote(parts.query, safe=_QUERY_SAFE)}" if parts.query else target).encode("ascii")


async def _read(response: httpx.Response, limit: int) -> Response:
    parts, size = [], 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > limit:
            raise ProxyResponseTooLarge(f"{response.url} answered more than {limit} bytes.")
        parts.append(part)
    return Response(response.status_code, _headers(response), b"".join(parts))


def _headers(response: httpx.Response) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in response.headers.raw]


def _unreachable(url: str, error: Exception) -> ProxyUnreachable:
    return ProxyUnreachable(f"{url}: {type(error).__name__}: {error}")


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to what `reach` has, by the addresses that names have at this moment.

    Whoever may make an API must not thereby reach the host, its networks or the metadata of its cloud, by whatever
    name. The address that was looked at is the one that is connected to, so no name server comes in between.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (as the library calls it)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        reached = [address for address in addresses if self._reach.has(address, port)]
        if not reached:
            raise _closed(host, ", ".join(addresses))
        failure: Exception | None = None
        for address in reached:
            try:
                stream = await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
                continue
            if _is_own(stream) and not self._reach.has_host(address, port):
                await stream.aclose()
                raise _closed(host, address)
            return stream
        assert failure is not None
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise ProxyUnreachable("No API leads to a Unix socket.")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


def _closed(host: str, addresses: str) -> ProxyUnreachable:
    return ProxyUnreachable(
        f"{host} is at {addresses}, which integrations may not reach: an address of this host or of a private network. "
        "The region's operator may allow it (--network-allow)."
    )


def _is_own(stream: httpcore.AsyncNetworkStream) -> bool:
    """The kernel talks to its own addresses from the very same."""
    here, there = stream.get_extra_info("client_addr"), stream.get_extra_info("server_addr")
    return bool(here and there and here[0] == there[0])
