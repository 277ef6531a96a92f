"""The error shapes of the CloudWatch Logs model; docstrings are default messages."""

from __future__ import annotations

from lambent.errors import AwsError


class InvalidParameterException(AwsError):
    """A parameter is specified incorrectly."""


class ResourceNotFoundException(AwsError):
    """The specified log group does not exist."""


class ResourceAlreadyExistsException(AwsError):
    """The specified log group already exists"""


class TooManyTagsException(AwsError):
    """A resource can have no more than 50 tags."""


class ServiceUnavailableException(AwsError):
    """The service cannot complete the request."""

    status = 500


class ValidationException(AwsError):
    """One of the parameters for the request is not valid."""
