"""The HTTP Runtime API (2018-06-01) for runtimes that bring their own client: `provided.*` and AWS's interface clients.

One service for each runtime process, on the server of its sandbox. The routes are one table, the states another. As on
AWS an invocation ends when the runtime asks for the next one, not when it has sent its response; a response in the mode
`streaming` is passed on as it comes.
"""

from __future__ import annotations

import base64
import enum
import json
import logging
import re
import time
from collections.abc import Callable

import msgspec

from lambent.invoke import faults
from lambent.invoke.channel import Header, RuntimeEvents, header_text
from lambent.invoke.faults import MAX_PAYLOAD, valid_error_type
from lambent.invoke.http import (
    Answer,
    Connection,
    HttpError,
    Message,
    Receiver,
    SandboxApi,
    Service,
    answer,
    json_answer,
)

log = logging.getLogger(__name__)

_ERROR_WITH_CAUSE = b"application/vnd.aws.lambda.error.cause+json"
_NEXT_HEADERS = (
    b"Lambda-Runtime-Aws-Request-Id",
    b"Lambda-Runtime-Deadline-Ms",
    b"Lambda-Runtime-Invoked-Function-Arn",
    b"Lambda-Runtime-Trace-Id",
    b"Lambda-Runtime-Client-Context",
    b"Lambda-Runtime-Cognito-Identity",
    b"Lambda-Runtime-Aws-Tenant-Id",
)
#: Pieces of a body that a ping counts for.
_PING_WEIGHT = 10
#: A header's value holds no line break, whatever the caller of the function put into its client context.
_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")


class Phase(enum.Enum):
    """What the runtime may do next. The values are AWS's names, which its error messages give."""

    STARTED = "Started"
    INIT_ERROR = "InitError"
    #: Waits for an invocation.
    READY = "Ready"
    RUNNING = "Running"
    #: A streamed response is coming.
    RESPONDING = "InvocationResponse"
    #: Has answered, and has yet to ask for the next.
    RESPONSE_SENT = "ResponseSent"


class HttpRuntime(Service):
    """A channel.RuntimeLink over HTTP."""

    max_body = MAX_PAYLOAD

    def __init__(self, api: SandboxApi, events: RuntimeEvents) -> None:
        self._api = api
        self._events = events
        self._open = True
        # Conversation
        self.phase = Phase.STARTED
        #: Connections that wait for an invocation, in order.
        self._waiting: list[Connection] = []
        self._request_id = b""
        #: Whether the caller wants the response piece by piece.
        self._streamed = False
        #: The one that brings a streamed response.
        self._source: Connection | None = None
        self._paused: Connection | None = None
        self._next: Answer = b""
        #: How the invocation under way ended, told to the environment when the runtime asks for the next.
        self._ending: Callable[[], None] | None = None
        #: When its response was whole.
        self._answered_at = 0.0
        self._truncated = False

    # ---- RuntimeLink ----

    def init(self, body: bytes) -> None:
        """The process has what it needs in its environment; it only wants to be listened to."""
        self._api.mount(_V, self)

    def invoke(self, header: Header, payload: bytes, *, streamed: bool = False) -> None:
        self._streamed = streamed
        fields = [
            name + b": " + value.encode().translate(_LINE_BREAKS)
            for name, value in zip(_NEXT_HEADERS, header, strict=True)
            if value
        ]
        self._request_id = header[0].encode()
        self._next = answer(200, payload, b"application/json", fields)
        self.phase = Phase.RUNNING
        if self._waiting:
            self._waiting.pop(0).send(self._next)

    def drain(self) -> None:
        if self._ending is not None and not self._truncated:
            self._end()

    def overhead_s(self) -> float:
        return max(0.0, time.monotonic() - self._answered_at)

    def pause(self) -> None:
        self._paused = self._source
        if self._paused is not None:
            self._paused.pause()

    def resume(self) -> None:
        # The response may have come to its end since, and the connection to be wanted for what follows.
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.resume()

    def close(self) -> None:
        """Idempotent."""
        self._open = False
        self._waiting.clear()
        self._api.unmount(self)

    # ---- Service ----

    def begin(self, connection: Connection, message: Message) -> Receiver | None:
        mode = message.header(b"lambda-runtime-function-response-mode")
        # A caller that wants a stream gets one of every client, also of those that never name the mode (Go's).
        wanted = mode == b"streaming" or (mode is None and self._streamed)
        if not wanted or self.phase is not Phase.RUNNING or not self._open:
            return None
        match = _INVOCATION.fullmatch(message.path)
        if match is None or match.groups() != (self._request_id, b"response") or message.method != b"POST":
            return None
        self.phase = Phase.RESPONDING
        self._source = connection
        content_type = message.header(b"content-type") or b"application/octet-stream"
        self._events.runtime_stream_began(header_text(content_type[:1024]))
        return self._take

    def _take(self, piece: bytes) -> None:
        # It may have come to an end with an earlier piece.
        if self._open and self.phase is Phase.RESPONDING:
            self._events.runtime_stream_piece(piece)

    def connection_lost(self, connection: Connection, unfinished: Message | None) -> None:
        if connection in self._waiting:
            self._waiting.remove(connection)
        if unfinished is None or not self._open:
            return
        if connection is self._source:
            self._truncated = True
            payload = _error("Runtime.TruncatedResponse", "The response was cut short.")
            self._answered(lambda: self._events.runtime_stream_ended("Runtime.TruncatedResponse", payload))
        elif self.phase is Phase.RUNNING and unfinished.target.endswith(b"/response"):
            self._truncated = True
            self._answered(self._erred("Runtime.TruncatedResponse", "The response was cut short."))

    def handle(self, connection: Connection, message: Message) -> Answer | None:
        path = message.path
        route = _ROUTES.get(path)
        if route is not None:
            method, handler = route
        else:
            match = _INVOCATION.fullmatch(path)
            if match is None:
                raise HttpError(404, "NotFound", f"There is no {path.decode('latin-1')[:200]} in this Runtime API.")
            if match[1] != self._request_id or self.phase in (Phase.STARTED, Phase.READY):
                raise HttpError(400, "InvalidRequestID", "Invalid request ID")
            method, handler = _INVOCATION_ROUTES[match[2]]
        if message.method != method:
            raise HttpError(405, "MethodNotAllowed", f"Use {method.decode()}.")
        return handler(self, connection, message)

    # ---- routes ----

    def ping(self, connection: Connection, message: Message) -> Answer:
        self._api.charge(_PING_WEIGHT)
        return answer(200, b"pong", b"text/plain; charset=utf-8")

    def next(self, connection: Connection, message: Message) -> Answer | None:
        if self.phase is Phase.RUNNING:
            return self._next  # the runtime did not get it the first time
        if self.phase in (Phase.INIT_ERROR, Phase.RESPONDING):
            raise self._refuse("Ready")
        before, self.phase = self.phase, Phase.READY
        self._waiting.append(connection)
        if before is Phase.STARTED:
            self._events.runtime_ready()
        elif before is Phase.RESPONSE_SENT:
            self._end()
        return None

    def response(self, connection: Connection, message: Message) -> Answer:
        if connection is self._source:
            return self._end_stream(message)
        self._must_run("InvocationResponse")
        mode = message.header(b"lambda-runtime-function-response-mode")
        if mode not in (None, b"streaming"):
            self._answered(self._erred("Runtime.InvalidResponseModeHeader", "Invalid function response mode"))
            raise HttpError(400, "InvalidFunctionResponseMode", "Invalid function response mode")
        if message.oversized:
            outcome = faults.response_too_large()
            self._answered(lambda: self._events.runtime_erred(str(outcome.error_type), outcome.payload))
            raise HttpError(
                413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."
            )
        error_type, error = _trailers(message)
        if error_type:
            self._answered(lambda: self._events.runtime_erred(error_type, error))
        else:
            payload = message.body()
            self._answered(lambda: self._events.runtime_responded(payload))
        return _ACCEPTED

    def _end_stream(self, message: Message) -> Answer:
        error_type, error = _trailers(message)
        self._answered(lambda: self._events.runtime_stream_ended(error_type, error))
        if not error_type:
            self._events.runtime_stream_whole()
        return _ACCEPTED

    def error(self, connection: Connection, message: Message) -> Answer:
        self._must_run("InvocationErrorResponse")
        if message.oversized:
            raise HttpError(
                413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."
            )
        body = message.body()
        if message.header(b"content-type") == _ERROR_WITH_CAUSE:
            body = _without_cause(body)
        error_type = valid_error_type(message.header(b"lambda-runtime-function-error-type"))
        self._answered(lambda: self._events.runtime_erred(error_type, body))
        return _ACCEPTED

    def init_error(self, connection: Connection, message: Message) -> Answer | None:
        if self.phase is not Phase.STARTED:
            raise self._refuse("InitError")
        self.phase = Phase.INIT_ERROR
        error_type = valid_error_type(message.header(b"lambda-runtime-function-error-type"))
        # Answered first: the environment ends the process and its connections.
        connection.send(_ACCEPTED)
        self._events.runtime_init_failed(error_type, message.body())
        return None

    # ---- small parts ----

    def _must_run(self, target: str) -> None:
        if self.phase is not Phase.RUNNING:
            raise self._refuse(target)

    def _refuse(self, target: str) -> HttpError:
        return HttpError(
            403,
            "InvalidStateTransition",
            f"State transition from {self.phase.value} to {target} failed for runtime. "
            "Error: State transition is not allowed",
        )

    def _answered(self, ending: Callable[[], None]) -> None:
        self.phase = Phase.RESPONSE_SENT
        self._source = None
        self._ending = ending
        self._answered_at = time.monotonic()

    def _end(self) -> None:
        ending, self._ending = self._ending, None
        self._truncated = False
        if ending is not None:
            ending()

    def _erred(self, error_type: str, message: str) -> Callable[[], None]:
        payload = _error(error_type, message)
        return lambda: self._events.runtime_erred(error_type, payload)


class _Error(msgspec.Struct, omit_defaults=True):
    """What the caller sees of an error, as it stands in its body: what is in it need not be built."""

    errorMessage: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - the names of the protocol
    errorType: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    stackTrace: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


_decode_error = msgspec.json.Decoder(_Error).decode
_encode_error = msgspec.json.Encoder().encode

Handler = Callable[[HttpRuntime, Connection, Message], Answer | None]

_V = b"/2018-06-01"
_ROUTES: dict[bytes, tuple[bytes, Handler]] = {
    _V + b"/ping": (b"GET", HttpRuntime.ping),
    _V + b"/runtime/invocation/next": (b"GET", HttpRuntime.next),
    _V + b"/runtime/init/error": (b"POST", HttpRuntime.init_error),
}
_INVOCATION = re.compile(re.escape(_V) + rb"/runtime/invocation/([^/]+)/(response|error)")
_INVOCATION_ROUTES: dict[bytes, tuple[bytes, Handler]] = {
    b"response": (b"POST", HttpRuntime.response),
    b"error": (b"POST", HttpRuntime.error),
}
_ACCEPTED = json_answer(202, {"status": "OK"})


def _error(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def _trailers(message: Message) -> tuple[str, bytes]:
    """Type and payload of the error that a response ended with, "" where it ended well."""
    kind = message.trailer(b"lambda-runtime-function-error-type")
    if kind is None:
        return "", b""
    return valid_error_type(kind), _decoded(message.trailer(b"lambda-runtime-function-error-body"))


def _decoded(text: bytes | None) -> bytes:
    try:
        return base64.b64decode(text or b"", validate=True)
    except ValueError:
        return b""


def _without_cause(body: bytes) -> bytes:
    """The error that the caller sees of a body that also carries a cause for X-Ray."""
    try:
        return _encode_error(_decode_error(body))
    except (ValueError, RecursionError):
        return b'"Invalid error body"'
