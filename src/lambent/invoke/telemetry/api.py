"""Subscribing over HTTP, `PUT /2022-07-01/telemetry` or `PUT /2020-08-15/logs` by registered extensions in init."""

from __future__ import annotations

from collections.abc import Callable, Collection

from lambent.invoke.extensions import Extensions, Refusal
from lambent.invoke.extensions_api import extension_identifier
from lambent.invoke.http import Answer, Connection, HttpError, Message, Service, answer
from lambent.invoke.telemetry.hub import Telemetry
from lambent.invoke.telemetry.subscriptions import Api, InvalidSubscription, parse

PATHS = {b"/2022-07-01/telemetry": Api.TELEMETRY, b"/2020-08-15/logs": Api.LOGS}

_OK = answer(200, b'"OK"', b"application/json")

#: Is told (API, extension, types) of each subscription.
OnSubscribed = Callable[[str, str, Collection[str]], None]


class TelemetryApi(Service):
    """Both APIs of one environment."""

    max_body = 64 * 1024

    def __init__(
        self,
        telemetry: Telemetry,
        extensions: Extensions,
        reserved: Collection[int],
        on_subscribed: OnSubscribed,
    ) -> None:
        """`reserved` are ports that no events may go to."""
        self._telemetry = telemetry
        self._extensions = extensions
        self._reserved = reserved
        self._on_subscribed = on_subscribed

    def handle(self, connection: Connection, message: Message) -> Answer | None:
        api = PATHS.get(message.path.rstrip(b"/"))
        if api is None:
            path = message.path.decode("latin-1")[:200]
            raise HttpError(404, "NotFound", f"There is no {path} in the Telemetry API.")
        if message.method != b"PUT":
            raise HttpError(405, "MethodNotAllowed", "Use PUT.")
        try:
            self._subscribe(api, self._name(message), message)
        except Refusal as refusal:
            raise HttpError(403, refusal.kind, str(refusal)) from None
        except InvalidSubscription as error:
            raise HttpError(400, api.error_type, str(error)) from None
        return _OK

    def _name(self, message: Message) -> str:
        """Of the extension that asks. Raises Refusal."""
        identifier = extension_identifier(message)
        extension = self._extensions.find(identifier)
        if extension is None:
            raise Refusal("Extension.UnknownExtensionIdentifier", f"Unknown extension {identifier}")
        return extension.name

    def _subscribe(self, api: Api, name: str, message: Message) -> None:
        if not self._telemetry.is_open:
            raise Refusal(f"{api.value}.SubscriptionClosed", f"{api.value} API subscription is closed already")
        if message.oversized:
            raise InvalidSubscription("The request body is too large")
        subscription = parse(message.body(), api, self._reserved)
        if (other := self._telemetry.other_api(name, api)) is not None:
            raise InvalidSubscription(f"The extension has subscribed using the {other.value} API already")
        if self._telemetry.has(name, subscription):
            return
        if self._telemetry.is_crowded:
            raise InvalidSubscription("There were too many subscriptions during this init")
        self._on_subscribed(api.value, name, subscription.types)
        self._telemetry.subscribe(name, subscription)
