"""What Lambda itself refuses or fails at while invoking: errors of the API, never of the function."""

from __future__ import annotations

import enum

from lambent.errors import AwsError


class ThrottleReason(enum.StrEnum):
    """Values of TooManyRequestsException's `Reason` that the invoke path gives."""

    ACCOUNT_CONCURRENCY = "ConcurrentInvocationLimitExceeded"
    ACCOUNT_RATE = "FunctionInvocationRateLimitExceeded"
    RESERVED_CONCURRENCY = "ReservedFunctionConcurrentInvocationLimitExceeded"
    RESERVED_RATE = "ReservedFunctionInvocationRateLimitExceeded"


class TooManyRequestsException(AwsError):
    """Rate Exceeded."""

    status = 429

    def __init__(self, reason: ThrottleReason, message: str | None = None) -> None:
        super().__init__(message, Reason=str(reason))
        self.reason = reason


class ServiceException(AwsError):
    """The Lambda service encountered an internal error."""

    status = 500

    @classmethod
    def of(cls, request_id: str) -> ServiceException:
        """The error of one request, naming it so that the log line about the cause is found."""
        return cls(f"{cls.__doc__} (RequestId: {request_id})")


class EFSMountFailureException(AwsError):
    """The function could not mount the configured file system."""

    status = 403


class InvalidRuntimeException(AwsError):
    """The runtime or runtime version specified is not supported."""

    status = 502
