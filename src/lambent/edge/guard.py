"""Under `--auth off` no key keeps a web page out, so the browser is the attacker: what it sends of itself decides.

A page of another origin can make a visitor's browser send requests here (CSRF) or, by a name that resolves to
127.0.0.1, even read the answers (DNS rebinding). The browser's own headers tell both.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from lambent.errors import AccessDeniedException
from lambent.request import Request

LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
SUFFIXES = ("localhost", "localhost.localstack.cloud")
#: Longer Host headers are not remembered: a stranger's may be as long as a whole head.
_HOST_BYTES = 300


class Guard:
    """Lets everything pass; what stands in the way of requests where signatures protect them."""

    def check(self, request: Request) -> None:
        """Raises AccessDeniedException for a request that a foreign web page may have caused."""

    def allows(self, name: str) -> bool:
        """May a request name this host?"""
        return True


class BrowserGuard(Guard):
    def __init__(self, bound_host: str, suffixes: Sequence[str] = ()) -> None:
        self._hosts = LOOPBACK | {bound_host.lower()}
        self._suffixes = tuple(f".{suffix.strip('.').lower()}" for suffix in (*SUFFIXES, *suffixes) if suffix)
        self._names = self._hosts | {suffix[1:] for suffix in self._suffixes}
        #: Host headers found good before; a handful in practice.
        self._known: set[bytes] = set()

    def check(self, request: Request) -> None:
        host = request.header(b"host") or b""
        if host not in self._known:
            name = _name_of(host.decode("latin-1"))
            if not self.allows(name):
                raise AccessDeniedException(
                    f"Requests for the host '{name}' are refused under --auth off: a web page could have sent them. "
                    "Use localhost, 127.0.0.1 or the host suffix that the region was started with."
                )
            if len(self._known) < 1024 and len(host) <= _HOST_BYTES:
                self._known.add(host)
        site = request.header(b"sec-fetch-site")
        if site is not None and site not in (b"same-origin", b"same-site", b"none"):
            raise AccessDeniedException(
                "Requests from web pages of another site are refused under --auth off (Sec-Fetch-Site: cross-site)."
            )
        origin = request.header(b"origin")
        if origin is not None and not self._may_ask(origin.decode("latin-1"), host.decode("latin-1"), request.method):
            raise AccessDeniedException(
                f"Requests from the web page origin '{origin.decode('latin-1')}' are refused under --auth off."
            )

    def allows(self, name: str) -> bool:
        return name in self._names or name.endswith(self._suffixes)

    def _may_ask(self, origin: str, host: str, method: str) -> bool:
        """A page of this very origin may ask for anything. One of another port or name of this machine, which may be
        a function's, may only look: it changes nothing, and the browser keeps the answer from it."""
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https"):
            return False
        if parts.netloc.lower() == host.lower():
            return True
        return method in ("GET", "HEAD") and self.allows((parts.hostname or "").lower())


def _name_of(host: str) -> str:
    """`[::1]:4566` → `::1`, `localhost:4566` → `localhost`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()
