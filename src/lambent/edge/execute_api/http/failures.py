"""What HTTP APIs answer by themselves: a status and `{"message":"…"}`, and for the access log why."""

from __future__ import annotations

import json

from lambent.request import Response

_JSON = (b"content-type", b"application/json")


class Failure(Exception):
    """An answer instead of the integration's."""

    def __init__(self, status: int, message: str, reason: str = "", *, headers: tuple[tuple[bytes, bytes], ...] = ()):
        """`reason` is what `$context.error.message` and its siblings say; clients never see it."""
        self.status = status
        self.message = message
        self.reason = reason or message
        self.headers = headers
        super().__init__(self.reason)

    def response(self) -> Response:
        body = json.dumps({"message": self.message}, separators=(",", ":")).encode()
        return Response(self.status, [_JSON, *self.headers], body)


class IntegrationFailure(Failure):
    """The integration could not be asked, or gave no answer that can be sent."""


class AuthorizerFailure(Failure):
    """An authorizer said no, or nothing that can be understood."""


def not_found() -> Failure:
    return Failure(404, "Not Found")


def forbidden(reason: str = "") -> AuthorizerFailure:
    return AuthorizerFailure(403, "Forbidden", reason)


def unauthorized(reason: str = "") -> AuthorizerFailure:
    return AuthorizerFailure(401, "Unauthorized", reason)


def challenged(status: int, scopes: tuple[str, ...], error: str, description: str) -> AuthorizerFailure:
    """A JSON Web Token that is not good (401) or not good enough (403), as AWS tells clients."""
    quoted = description.replace("\\", "").replace('"', "'")
    header = f'Bearer scope="{" ".join(scopes)}" error="{error}" error_description="{quoted}"'
    challenge = (b"www-authenticate", header.encode("latin-1", "replace"))
    message = "Unauthorized" if status == 401 else "Forbidden"
    return AuthorizerFailure(status, message, description, headers=(challenge,))


def authorizer_broken(reason: str) -> AuthorizerFailure:
    return AuthorizerFailure(500, "Internal Server Error", reason)


def too_long() -> Failure:
    return Failure(413, "Request Too Long")


def throttled() -> Failure:
    return Failure(429, "Too Many Requests")


def server_error() -> Failure:
    return Failure(500, "Internal Server Error")


def integration_broken(reason: str) -> IntegrationFailure:
    """No permission, no function, a failed one, or an answer that is none."""
    return IntegrationFailure(500, "Internal Server Error", reason)


def unavailable(reason: str) -> IntegrationFailure:
    return IntegrationFailure(503, "Service Unavailable", reason)


def timed_out(reason: str) -> IntegrationFailure:
    return IntegrationFailure(504, "Gateway Timeout", reason)
