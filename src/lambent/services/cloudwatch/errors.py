"""The error shapes of CloudWatch's model that are used, and what it answers beside them."""

from __future__ import annotations

from lambent.errors import AwsError


class InvalidParameterValueException(AwsError):
    """The value of an input parameter is bad or out-of-range."""


class InvalidParameterCombinationException(AwsError):
    """Parameters were used together that cannot be used together."""


class MissingRequiredParameterException(AwsError):
    """An input parameter that is required is missing."""


class InvalidNextToken(AwsError):
    """The next token specified is invalid."""


class LimitExceededException(AwsError):
    """The operation exceeded one or more limits."""


class InternalServiceFault(AwsError):
    """Request processing has failed due to some unknown error, exception, or failure."""

    status = 500


class ValidationError(AwsError):
    """The input fails to satisfy the constraints."""
