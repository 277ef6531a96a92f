"""The error shapes of STS's model that are used, and what it answers beside them."""

from __future__ import annotations

from lambent.errors import AwsError


class AccessDenied(AwsError):
    """Access denied."""

    status = 403


class ValidationError(AwsError):
    """1 validation error detected."""


class InvalidParameterValue(AwsError):
    """A parameter has a value that it cannot have."""


class MalformedPolicyDocumentException(AwsError):
    """Syntax errors in policy."""


class PackedPolicyTooLargeException(AwsError):
    """The policies and tags of the session are too large."""


class ExpiredTokenException(AwsError):
    """The web identity token that was passed is expired or is not valid."""


class InvalidIdentityTokenException(AwsError):
    """The web identity token that was passed could not be validated by AWS."""


class IDPCommunicationErrorException(AwsError):
    """The request could not be fulfilled because the identity provider could not be reached."""


class InvalidAuthorizationMessageException(AwsError):
    """The message passed to DecodeAuthorizationMessage was invalid."""
