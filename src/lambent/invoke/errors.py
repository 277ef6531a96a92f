"""What Lambda itself refuses or fails at while invoking: errors of the API, never of the function."""

from __future__ import annotations

import enum
import re

from lambent.errors import AwsError
from lambent.ports import FunctionVersion

_TENANT_ID = re.compile(r"[a-zA-Z0-9._:/=+\-@ ]{1,256}")


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
        # AWS's Retry-After. What is throttled by rate may come again within the second; of the rest nobody knows.
        super().__init__(message, Reason=str(reason), retryAfterSeconds="1")
        self.reason = reason


class RecursiveInvocationException(AwsError):
    """Lambda has detected your function being invoked in a recursive loop with other AWS resources and stopped your \
function's invocation."""


class TenantIdRefused(AwsError):
    """A tenant id is missing, or given to a function that does not tell tenants apart."""

    code = "InvalidParameterValueException"

    @classmethod
    def missing(cls) -> TenantIdRefused:
        return cls(
            "The invoked function is enabled with tenancy configuration. "
            "Add a valid tenant ID in your request and try again."
        )

    @classmethod
    def needless(cls) -> TenantIdRefused:
        return cls(
            "The invoked function is not enabled with tenancy configuration. "
            "Remove the tenant ID from your request and try again."
        )


class ServiceException(AwsError):
    """The Lambda service encountered an internal error."""

    status = 500

    @classmethod
    def of(cls, request_id: str) -> ServiceException:
        """The error of one request, naming it so that the log line about the cause is found."""
        return cls(f"{cls.__doc__} (RequestId: {request_id})")


def check_tenant(function: FunctionVersion, tenant_id: str) -> None:
    """Raises TenantIdRefused where one is missing or means nothing. What asks may be a gateway that checked nothing."""
    if function.per_tenant and _TENANT_ID.fullmatch(tenant_id) is None:
        raise TenantIdRefused.missing()
    if tenant_id and not function.per_tenant:
        raise TenantIdRefused.needless()


class SnapStartNotReadyException(AwsError):
    """Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE."""

    status = 409


class SnapStartException(AwsError):
    """The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs."""


class SnapStartTimeoutException(AwsError):
    """Lambda couldn't restore the snapshot within the timeout limit."""

    status = 408


class FunctionNotActive(AwsError):
    """A version whose snapshot could not be taken runs nothing."""

    code = "ResourceConflictException"
    status = 409

    @classmethod
    def of(cls, function: FunctionVersion) -> FunctionNotActive:
        return cls(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {function.state}"
        )


def check_ready(function: FunctionVersion) -> None:
    """Raises where a version with SnapStart is not Active (yet)."""
    if function.state == "Pending":
        raise SnapStartNotReadyException
    if function.state != "Active":
        raise FunctionNotActive.of(function)


class EFSMountFailureException(AwsError):
    """The function could not mount the configured file system."""

    status = 403


class InvalidSubnetIDException(AwsError):
    """The subnet ID provided in the VPC configuration of the Lambda function is not valid."""

    status = 502


class InvalidRuntimeException(AwsError):
    """The runtime or runtime version specified is not supported."""

    status = 502
