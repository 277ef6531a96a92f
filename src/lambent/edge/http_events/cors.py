"""Cross-origin requests: which of them the owner of a URL or HTTP API allows, and the headers that tell browsers so."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.edge.http_events.request_facts import text_of
from lambent.request import Request, Response

_PREFIX = b"access-control-"


@dataclass(frozen=True, slots=True)
class CorsRules:
    """What the owner has configured; each list may hold `*`."""

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    #: Seconds; None where it is not configured.
    max_age: int | None = None
    allow_credentials: bool = False

    def allows_origin(self, origin: str) -> bool:
        return any(_like(pattern, origin.lower()) for pattern in self.allow_origins)


def is_preflight(request: Request) -> bool:
    return (
        request.method == "OPTIONS"
        and request.header(b"origin") is not None
        and request.header(b"access-control-request-method") is not None
    )


def preflight(rules: CorsRules, request: Request, status: int = 204) -> Response:
    """The answer to a preflight request; without the headers that allow where the rules do not."""
    response = Response(status, [], b"")
    origin = text_of(request.header(b"origin") or b"")
    method = text_of(request.header(b"access-control-request-method") or b"").upper()
    if not rules.allows_origin(origin) or not _allows_method(rules, method):
        return response
    headers = _origin_headers(rules, origin)
    headers.append((b"access-control-allow-methods", ",".join(rules.allow_methods).encode() or method.encode()))
    wanted = request.header(b"access-control-request-headers")
    if rules.allow_headers:
        # Browsers do not take a star for every header where credentials are sent.
        literal = wanted if wanted and rules.allow_headers == ("*",) else ",".join(rules.allow_headers).encode()
        headers.append((b"access-control-allow-headers", literal))
    if rules.max_age is not None:
        headers.append((b"access-control-max-age", b"%d" % rules.max_age))
    response.headers = headers
    return response


def apply(rules: CorsRules, request: Request, response: Response) -> Response:
    """`response` with the headers of the rules; the function's own of that kind give way to them."""
    response.headers = [pair for pair in response.headers if not pair[0].startswith(_PREFIX)]
    raw = request.header(b"origin")
    if raw is None:
        return response
    origin = text_of(raw)
    if rules.allows_origin(origin):
        response.headers += _origin_headers(rules, origin)
        if rules.expose_headers:
            response.headers.append((b"access-control-expose-headers", ",".join(rules.expose_headers).encode()))
    return response


def _origin_headers(rules: CorsRules, origin: str) -> list[tuple[bytes, bytes]]:
    if "*" in rules.allow_origins and not rules.allow_credentials:
        return [(b"access-control-allow-origin", b"*")]
    headers = [(b"access-control-allow-origin", origin.encode()), (b"vary", b"Origin")]
    if rules.allow_credentials:
        headers.append((b"access-control-allow-credentials", b"true"))
    return headers


def _allows_method(rules: CorsRules, method: str) -> bool:
    return "*" in rules.allow_methods or method in rules.allow_methods


def _like(pattern: str, origin: str) -> bool:
    """Does `origin` (lower-case) fit `*`, `https://*`, `https://*.example.com` or a whole origin?"""
    pattern = pattern.lower()
    before, star, after = pattern.partition("*")
    if not star:
        return origin == pattern
    return len(origin) >= len(before) + len(after) and origin.startswith(before) and origin.endswith(after)
