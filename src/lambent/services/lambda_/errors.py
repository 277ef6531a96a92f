"""Error shapes of the Lambda model that control-plane operations raise; docstrings are the default messages."""

from __future__ import annotations

from lambent.errors import AwsError


class InvalidParameterValueException(AwsError):
    """One of the parameters in the request is not valid."""


class InvalidRequestContentException(AwsError):
    """The request body could not be parsed as JSON."""


class ResourceNotFoundException(AwsError):
    """The resource specified in the request does not exist."""

    status = 404


class ResourceConflictException(AwsError):
    """The resource already exists, or another operation is in progress."""

    status = 409


class PreconditionFailedException(AwsError):
    """The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve \
the latest Revision Id"""

    status = 412


class RequestTooLargeException(AwsError):
    """The request payload exceeded the Invoke request body JSON input quota."""

    status = 413


class RequestEntityTooLargeException(AwsError):
    """The request is larger than the operation takes."""

    status = 413


class PolicyLengthExceededException(AwsError):
    """The permissions policy for the resource is too large."""


class CodeStorageExceededException(AwsError):
    """Code storage limit exceeded."""


class CodeSigningConfigNotFoundException(AwsError):
    """The code signing configuration cannot be found."""

    status = 404


class ProvisionedConcurrencyConfigNotFoundException(AwsError):
    """No Provisioned Concurrency Config found for this function"""

    status = 404


class CodeVerificationFailedException(AwsError):
    """The code signature failed one or more of the validation checks for signature mismatch or expiry, and the code \
signing policy is set to ENFORCE. Lambda blocks the deployment."""


class UnsupportedHere(InvalidParameterValueException):
    """An option that AWS acts on and this region cannot: refused, never stored and ignored."""

    code = "InvalidParameterValueException"

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option} is not supported by this Lambent region: {reason}")
