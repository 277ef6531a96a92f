"""The error shapes of X-Ray's model that are used."""

from __future__ import annotations

from lambent.errors import AwsError


class InvalidRequestException(AwsError):
    """The request is missing required parameters or has invalid parameters."""


class ThrottledException(AwsError):
    """The request exceeds the maximum number of requests per second."""

    status = 429
