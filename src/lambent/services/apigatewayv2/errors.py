"""The error shapes of the API Gateway V2 model; docstrings are default messages."""

from __future__ import annotations

from lambent.errors import AwsError


class BadRequestException(AwsError):
    """The request is not valid."""


class NotFoundException(AwsError):
    """The resource specified in the request was not found."""

    status = 404


class ConflictException(AwsError):
    """The requested operation would cause a conflict with the current state of the resource."""

    status = 409


class UnsupportedHere(BadRequestException):
    """For a parameter that AWS acts on and Lambent does not yet: refused, never stored and ignored."""

    code = "BadRequestException"


class OfWebSocketApis(BadRequestException):
    """For a parameter that has a meaning for WebSocket APIs alone."""

    code = "BadRequestException"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not supported for an API with a protocol type of HTTP.")
