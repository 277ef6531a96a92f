"""What every front door wants to know of a request, read once: pairs in order, decoded text, times, the sender."""

from __future__ import annotations

import base64
import os
import time
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from lambent import ids
from lambent.edge.doors import Address
from lambent.request import Request

Pairs = list[tuple[str, str]]

#: Of one connection alone (RFC 9110, 7.6.1): they say nothing to a function or to the next server.
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"expect",
    )
)
_TRACE_LIMIT = 512


@dataclass(slots=True)
class Facts:
    request: Request
    method: str
    #: As sent, percent-encoding kept, beginning with `/`: behind the host, or behind the prefix of a path form.
    raw_path: str
    #: Behind `?` as sent, "" without.
    raw_query: str
    #: In the order sent, names lower-case, less the headers of the connection, plus `x-forwarded-*` and
    #: `x-amzn-trace-id` as AWS's front adds them. `cookie` is among them.
    headers: Pairs
    source_ip: str
    user_agent: str
    protocol: str
    scheme: str
    #: That the client connected to, as text.
    port: str
    #: The host that the request asked for, less its port.
    domain_name: str
    request_id: str
    #: Seconds since the epoch.
    now: float
    #: `Root=1-…`, the client's or a new one.
    trace_id: str
    _cookies: list[str] | None = field(default=None, repr=False)
    _query: Pairs | None = field(default=None, repr=False)

    @classmethod
    def of(cls, request: Request, address: Address, now: float, trace_id: str = "") -> Facts:
        """`trace_id`: the header that is passed on, where it is not the client's or a new one."""
        host = request.header(b"host") or b""
        port = port_of(host.decode("latin-1"), request.scheme)
        trace_id = trace_id or _trace_id(request.header(b"x-amzn-trace-id"), now)
        source_ip = request.client_host or "127.0.0.1"
        return cls(
            request=request,
            method=request.method,
            raw_path=text_of(address.path),
            raw_query=text_of(request.query),
            headers=_headers(request, source_ip, port, trace_id),
            source_ip=source_ip,
            user_agent=text_of(request.header(b"user-agent") or b""),
            protocol="HTTP/1.1",
            scheme=request.scheme,
            port=port,
            domain_name=address.domain_name,
            request_id=request.id,
            now=now,
            trace_id=trace_id,
        )

    @property
    def body(self) -> bytes:
        return self.request.body

    @property
    def query(self) -> Pairs:
        """Decoded, in the order sent."""
        found = self._query
        if found is None:
            found = self._query = query_pairs(self.request.query) if self.request.query else []
        return found

    @property
    def decoded_path(self) -> str:
        """`raw_path` less its percent-encoding, as of all front doors HTTP APIs alone hand it on (captures from AWS).

        No capture shows bytes beyond ASCII. They stay encoded, which is what adapters of WSGI can read.
        """
        return decode_ascii(self.raw_path) if "%" in self.raw_path else self.raw_path

    @property
    def cased_headers(self) -> Pairs:
        """`headers` under the names that the client wrote, as REST APIs hand them on: without Content-Length."""
        sent = self.request.header_names
        names = sent if sent is not None else [name for name, _ in self.request.headers]
        written = {name.lower(): text_of(name) for name in names}
        return [
            (_WRITTEN.get(name) or written[name.encode("latin-1")], value)
            for name, value in self.headers
            if name != "content-length"
        ]

    @property
    def cookies(self) -> list[str]:
        """`name=value` texts in the order sent."""
        found = self._cookies
        if found is None:
            found = self._cookies = [
                part
                for name, value in self.headers
                if name == "cookie"
                for part in map(str.strip, value.split(";"))
                if part
            ]
        return found

    def header(self, name: str) -> str | None:
        """The first value of header `name` (lower-case), or None."""
        value = self.request.header(name.encode("latin-1", "replace"))
        return None if value is None else text_of(value)

    @property
    def time_epoch(self) -> int:
        """Milliseconds."""
        return int(self.now * 1000)

    @property
    def request_time(self) -> str:
        """`23/Nov/2026:08:17:52 +0000`"""
        return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(self.now))


def text_of(raw: bytes) -> str:
    """Bytes of a head as text: UTF-8 where it is that, else one character a byte."""
    if raw.isascii():
        return raw.decode("ascii")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def decode_component(raw: bytes) -> str:
    """One name or value of a query, percent-decoded, `+` as a space. Bytes that are not UTF-8 become U+FFFD."""
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    return raw.decode("utf-8", "replace")


def decode_ascii(text: str) -> str:
    """`%41` as `A`; escapes of other bytes, and what is no escape, as they are."""
    first, *rest = text.split("%")
    parts = [first]
    for part in rest:
        digits = part[:2]
        value = int(digits, 16) if len(digits) == 2 and _is_hex(digits) else 255
        parts.append(f"{chr(value)}{part[2:]}" if value < 128 else f"%{part}")
    return "".join(parts)


def _is_hex(digits: str) -> bool:
    return not digits.strip("0123456789abcdefABCDEF")


def query_pairs(query: bytes) -> Pairs:
    """Names and values in the order sent; `a` counts as `a=`."""
    pairs = []
    for part in query.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((decode_component(name), decode_component(value)))
    return pairs


def joined(pairs: Pairs, separator: str = ",") -> dict[str, str]:
    """Repeated names as one, values joined in order."""
    index = dict(pairs)
    if len(index) == len(pairs):
        return index
    return {name: separator.join(values) for name, values in grouped(pairs).items()}


def grouped(pairs: Pairs) -> dict[str, list[str]]:
    """All values of each name, in order."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def extended_id() -> str:
    """What API Gateway calls an extended request id: `JKJaXmPLvHcESHA=`."""
    return base64.b64encode(os.urandom(11)).decode()


def port_of(host: str, scheme: str) -> str:
    """The port of a Host header, or the scheme's."""
    _, colon, port = host.rpartition(":")
    if colon and port.isdecimal():
        return port
    return "443" if scheme == "https" else "80"


def _trace_id(received: bytes | None, now: float) -> str:
    if received is not None and b"Root=" in received and len(received) <= _TRACE_LIMIT:
        return text_of(received)
    return f"Root=1-{int(now):08x}-{ids.trace_digits()[:24]}"


#: How API Gateway writes the headers that it sets or normalises itself.
_WRITTEN = {
    "host": "Host",
    "user-agent": "User-Agent",
    "x-amzn-trace-id": "X-Amzn-Trace-Id",
    "x-forwarded-for": "X-Forwarded-For",
    "x-forwarded-port": "X-Forwarded-Port",
    "x-forwarded-proto": "X-Forwarded-Proto",
}
#: Set here, whatever was sent.
_REPLACED = HOP_BY_HOP | {b"x-forwarded-for", b"x-forwarded-port", b"x-forwarded-proto", b"x-amzn-trace-id"}


def _headers(request: Request, source_ip: str, port: str, trace_id: str) -> Pairs:
    pairs = [
        (name.decode("latin-1"), value.decode("ascii") if value.isascii() else text_of(value))
        for name, value in request.headers
        if name not in _REPLACED
    ]
    before = request.header(b"x-forwarded-for")
    pairs += (
        ("x-amzn-trace-id", trace_id),
        ("x-forwarded-for", source_ip if before is None else f"{text_of(before)}, {source_ip}"),
        ("x-forwarded-port", port),
        ("x-forwarded-proto", request.scheme),
    )
    return pairs
