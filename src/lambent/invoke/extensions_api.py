"""The Extensions API (2020-01-01) of one environment: requests of extensions to calls of `extensions`, and back."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable

from lambent.ids import request_id
from lambent.invoke.extensions import Extension, Extensions, Phase, Refusal
from lambent.invoke.http import Answer, Connection, HttpError, Message, Service, answer, json_answer
from lambent.ports import FunctionVersion

PATH = b"/2020-01-01/extension"

_MAX_BODY = 64 * 1024
_MAX_NAME = 255
#: Ten extensions need fewer in their life, not counting the events that they wait for.
_PROMPT_ANSWERS = 100
_MAX_DELAY_S = 1.0
_JSON = b"application/json"
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_ACCEPTED = json_answer(202, {"status": "OK"})


class ExtensionsApi(Service):
    """What extensions call. Every refusal is 403, as on AWS."""

    max_body = _MAX_BODY

    def __init__(self, extensions: Extensions, function: FunctionVersion) -> None:
        self._extensions = extensions
        self._function = function
        #: Connections on which extensions wait for their next event.
        self._waiting: dict[Connection, Extension] = {}
        self._answered = 0

    def handle(self, connection: Connection, message: Message) -> Answer | None:
        route = _ROUTES.get(message.path)
        if route is None:
            path = message.path.decode("latin-1")[:200]
            raise HttpError(404, "NotFound", f"There is no {path} in the Extensions API.")
        method, handler = route
        if message.method != method:
            raise HttpError(405, "MethodNotAllowed", f"Use {method.decode()}.")
        try:
            reply = handler(self, connection, message)
        except Refusal as refusal:
            reply = HttpError(403, refusal.kind, str(refusal)).answer()
        return reply if reply is None else self._in_time(connection, reply)

    def _in_time(self, connection: Connection, reply: Answer) -> Answer | None:
        """Answer at once, but for whoever asks over and over: the event loop is everybody's."""
        self._answered += 1
        if self._answered <= _PROMPT_ANSWERS:
            return reply
        delay_s = min(_MAX_DELAY_S, (self._answered - _PROMPT_ANSWERS) * 0.01)
        asyncio.get_running_loop().call_later(delay_s, connection.send, reply)
        return None

    def connection_lost(self, connection: Connection, unfinished: Message | None) -> None:
        extension = self._waiting.pop(connection, None)
        if extension is not None:
            self._extensions.lost(extension)

    # ---- routes ----

    def register(self, connection: Connection, message: Message) -> Answer:
        name = (message.header(b"lambda-extension-name") or b"").decode("utf-8", "replace")
        if not name:
            raise Refusal("Extension.InvalidExtensionName", "Empty extension name")
        if len(name) > _MAX_NAME:
            raise Refusal("Extension.InvalidExtensionName", f"An extension name has at most {_MAX_NAME} characters")
        extension = self._extensions.register(name, _events(message))
        function = self._function
        fields = {"functionName": function.name, "functionVersion": function.version, "handler": function.handler}
        features = (message.header(b"lambda-extension-accept-feature") or b"").split(b",")
        if b"accountId" in [feature.strip() for feature in features]:
            fields["accountId"] = function.account
        body = json.dumps(fields, separators=(",", ":")).encode()
        return answer(200, body, _JSON, [b"Lambda-Extension-Identifier: " + extension.id.encode()])

    def next(self, connection: Connection, message: Message) -> None:
        identifier = extension_identifier(message)
        extension = self._extensions.find(identifier)
        if extension is None:
            raise Refusal("Extension.UnknownExtensionIdentifier", f"Unknown extension {identifier}")

        def take(event: bytes) -> None:
            self._waiting.pop(connection, None)
            connection.send(answer(200, event, _JSON, [b"Lambda-Extension-Event-Identifier: " + request_id().encode()]))

        self._waiting[connection] = extension
        try:
            self._extensions.next(extension, take)
        except Refusal:
            del self._waiting[connection]
            raise

    def init_error(self, connection: Connection, message: Message) -> Answer:
        return self._report(message, Phase.INIT_ERROR)

    def exit_error(self, connection: Connection, message: Message) -> Answer:
        return self._report(message, Phase.EXIT_ERROR)

    def _report(self, message: Message, phase: Phase) -> Answer:
        identifier = extension_identifier(message)
        name = "Lambda-Extension-Function-Error-Type"
        error_type = (message.header(name.lower().encode()) or b"").decode("utf-8", "replace")[:_MAX_NAME]
        if not error_type:
            raise Refusal("Extension.MissingHeader", f"{name} not found")
        extension = self._extensions.find(identifier)
        if extension is None:
            raise Refusal("Extension.UnknownExtensionIdentifier", "Unknown Lambda-Extension-Identifier")
        self._extensions.report(extension, phase, error_type)
        return _ACCEPTED


Handler = Callable[[ExtensionsApi, Connection, Message], Answer | None]

_ROUTES: dict[bytes, tuple[bytes, Handler]] = {
    PATH + b"/register": (b"POST", ExtensionsApi.register),
    PATH + b"/event/next": (b"GET", ExtensionsApi.next),
    PATH + b"/init/error": (b"POST", ExtensionsApi.init_error),
    PATH + b"/exit/error": (b"POST", ExtensionsApi.exit_error),
}


def extension_identifier(message: Message) -> str:
    """Who asks, by its own word. Raises Refusal."""
    identifier = (message.header(b"lambda-extension-identifier") or b"").decode("latin-1")
    if not identifier:
        raise Refusal("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
    if not _UUID.fullmatch(identifier):
        raise Refusal("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
    return identifier.lower()


def _events(message: Message) -> list[str]:
    """What the body of a registration asks for. Raises Refusal."""
    try:
        if message.oversized:
            raise ValueError(f"A registration has at most {_MAX_BODY} bytes")
        fields = json.loads(message.body())
        if not isinstance(fields, dict):
            raise ValueError("A registration is a JSON object")
        if fields.get("configurationKeys"):
            raise ValueError("configurationKeys are deprecated; use environment variables instead")
        events = fields.get("events") or []
        if not isinstance(events, list) or not all(isinstance(event, str) for event in events):
            raise ValueError("events is a list of strings")
    except (ValueError, RecursionError) as error:
        raise Refusal("InvalidRequestFormat", str(error)[:200]) from None
    return events
