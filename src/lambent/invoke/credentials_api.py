"""Credentials for what runs in a sandbox, over HTTP: what SDKs know as a container's credentials endpoint.

Environments that come out of a snapshot get none in variables: those of the init would be old, and everybody's. An SDK
asks here when it needs them, and again before they run out.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from lambent.clock import Clock
from lambent.invoke.http import Answer, Connection, HttpError, Message, SandboxApi, Service, answer
from lambent.ports import Credentials
from lambent.runtimes.environment import CredentialsEndpoint

PATH = b"/2021-04-23/credentials"
#: SDKs ask for others a quarter of an hour before the end: theirs must be new ones then.
_RENEWED_BEFORE_S = 1800.0


def mount(api: SandboxApi, address: str, issue: Callable[[], Credentials], clock: Clock) -> CredentialsEndpoint:
    """Serve credentials on a sandbox's listener, which its processes find at `address`."""
    service = CredentialsApi(issue, clock)
    api.mount(PATH, service)
    port = address.rpartition(":")[2]
    return CredentialsEndpoint(f"http://127.0.0.1:{port}{PATH.decode()}", service.token)


class CredentialsApi(Service):
    """Of one environment."""

    def __init__(self, issue: Callable[[], Credentials], clock: Clock) -> None:
        #: What a request must bring; only the environment's own processes find it in their variables.
        self.token = secrets.token_urlsafe(32)
        self._issue = issue
        self._clock = clock
        self._current: Credentials | None = None

    def handle(self, connection: Connection, message: Message) -> Answer:
        given = message.header(b"authorization") or b""
        if message.path != PATH or not hmac.compare_digest(given, self.token.encode()):
            raise HttpError(404, "NotFound", "There are no credentials for this path and token.")
        if message.method != b"GET":
            raise HttpError(405, "MethodNotAllowed", "Use GET.")
        current = self._fresh()
        fields = {
            "AccessKeyId": current.access_key_id,
            "SecretAccessKey": current.secret_access_key,
            "Token": current.session_token,
            "Expiration": datetime.fromtimestamp(current.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        # An SDK would keep the connection open for the next time, and with an open socket there is no snapshot.
        return answer(200, json.dumps(fields).encode(), b"application/json", (b"Connection: close",))

    def _fresh(self) -> Credentials:
        current = self._current
        if current is None or current.expires_at - self._clock.now() < _RENEWED_BEFORE_S:
            current = self._current = self._issue()
        return current
