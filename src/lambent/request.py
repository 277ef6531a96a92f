"""An HTTP request and its answer as bytes and plain values, between `transport` and `edge`.

Nothing here knows AWS. Header names are lower-case bytes, as they come from the parser.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(slots=True)
class Request:
    """One HTTP request, body read whole (its limit is the transport's)."""

    method: str
    #: The path as sent, percent-encoding kept: `/2015-03-31/functions/a%2Fb`.
    raw_path: bytes
    #: What stands behind `?`, as sent; b"" without one.
    query: bytes
    #: In the order sent; names lower-case, repeated names kept.
    headers: Headers
    body: bytes
    #: UUID, answered as `x-amzn-RequestId`.
    id: str
    #: Address of the peer, `127.0.0.1`; empty for a Unix socket.
    client_host: str = ""
    #: `http` or `https`.
    scheme: str = "http"
    #: Id of the execution environment whose network the request came from; None from outside.
    sandbox_id: str | None = None
    #: The names of `headers` as the client wrote them, one for one; None where that is not known.
    header_names: Sequence[bytes] | None = None
    #: First value of each header, built once on first use.
    _index: dict[bytes, bytes] | None = field(default=None, repr=False)

    def header(self, name: bytes) -> bytes | None:
        """The first value of header `name` (lower-case), or None."""
        index = self._index
        if index is None:
            index = self._index = dict(reversed(self.headers))
        return index.get(name)

    def unrepeated(self) -> Mapping[bytes, bytes] | None:
        """Every header by its name; None where a name came twice."""
        self.header(b"")
        assert self._index is not None
        return self._index if len(self._index) == len(self.headers) else None

    def replace_headers(self, headers: Headers) -> None:
        """Other headers than were sent: those of a body that has been decoded."""
        self.headers = headers
        self.header_names = None
        self._index = None


class BrokenOff(Exception):
    """Raised by the stream of a Response whose end will not come: the client must see that it is not whole.

    It has been sent its beginning; the connection ends without the last chunk.
    """


@dataclass(slots=True)
class Response:
    """An HTTP answer. `stream`, when set, is sent after `body`, chunked, as fast as its client takes it.

    It is closed (`aclose`) at its end and when the client hangs up.
    """

    status: int
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    stream: AsyncIterator[bytes] | None = None
