"""Error shapes of the API Gateway model that operations raise, and the ones that many of them raise, in AWS's words."""

from __future__ import annotations

from lambent.errors import AwsError


class BadRequestException(AwsError):
    """The submitted request is not valid."""


class NotFoundException(AwsError):
    """The requested resource is not found."""

    status = 404


class ConflictException(AwsError):
    """The request configuration has conflicts."""

    status = 409


class LimitExceededException(AwsError):
    """The request exceeded the rate limit."""

    status = 429


class UnsupportedHere(BadRequestException):
    """An option that AWS acts on and this region cannot: refused, never stored and ignored."""

    code = "BadRequestException"

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option} is not supported by this Lambent region: {reason}")


def no_api(account: str, api_id: str) -> NotFoundException:
    return NotFoundException(f"Invalid API identifier specified {account}:{api_id}")


def no_resource() -> NotFoundException:
    return NotFoundException("Invalid Resource identifier specified")


def no_method() -> NotFoundException:
    return NotFoundException("Invalid Method identifier specified")


def no_integration() -> NotFoundException:
    return NotFoundException("Invalid Integration identifier specified")


def no_response() -> NotFoundException:
    return NotFoundException("Invalid Response status code specified")


def invalid_mapping(problem: str) -> BadRequestException:
    """How AWS words what is wrong with a parameter mapping."""
    return BadRequestException(
        f"Invalid mapping expression specified: Validation Result: warnings : [], errors : [{problem}]"
    )
