"""What a function URL answers by itself: refusals and failures, in AWS's words and headers."""

from __future__ import annotations

from lambent.edge.http_events.cors import CorsRules
from lambent.edge.http_events.errors import json_error
from lambent.errors import AwsError, UncodedError
from lambent.ports import UrlCors
from lambent.request import Response

FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)
#: What `refused` and `not_authenticated` do not tell strangers apart.
_SECRETS = frozenset(("MissingAuthenticationTokenException", "AccessDeniedException", "ResourceNotFoundException"))


def unknown_url() -> Response:
    return json_error(403, None, "AccessDeniedException", member="Message")


def forbidden() -> Response:
    """The caller may not, or what the URL was made for is gone."""
    return json_error(403, FORBIDDEN, "AccessDeniedException", member="Message")


def not_authenticated(error: AwsError) -> Response:
    """A request without a signature is merely forbidden; a signature that does not hold is told why."""
    if error.wire_code in _SECRETS:
        return forbidden()
    return json_error(403, error.message, error.wire_code)


def wrong_region(region: str) -> AwsError:
    message = f"Credential should be scoped to a valid region, not '{region}'. "
    return UncodedError("InvalidSignatureException", message, 403)


def refused(error: AwsError) -> Response:
    """What Lambda refused or failed at before the function ran."""
    if error.wire_code in _SECRETS:
        return forbidden()
    if error.status == 429:
        return json_error(429, error.message, error.wire_code, member="Message")
    if error.status == 413:
        return too_large()
    return server_error() if error.status == 500 else function_failed()


def too_large() -> Response:
    message = "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    return json_error(413, message, "RequestEntityTooLargeException", member="Message")


def function_failed() -> Response:
    """The function raised, timed out, crashed, or returned what is no answer."""
    return Response(502, [(b"content-type", b"text/plain"), (b"x-amzn-errortype", b"BadGatewayException")], _FAILED)


def server_error() -> Response:
    return Response(500, [(b"content-type", b"text/plain")], _FAILED)


_FAILED = b"Internal Server Error"


def cors_rules(given: UrlCors) -> CorsRules:
    return CorsRules(
        allow_origins=given.allow_origins,
        allow_methods=given.allow_methods,
        allow_headers=given.allow_headers,
        expose_headers=given.expose_headers,
        max_age=given.max_age,
        allow_credentials=bool(given.allow_credentials),
    )
