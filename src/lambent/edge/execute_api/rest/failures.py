"""The answers that a REST API gives of itself: AWS's 21 types of gateway responses, their statuses and words."""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_4XX = "DEFAULT_4XX"
DEFAULT_5XX = "DEFAULT_5XX"


class Failure(NamedTuple):
    """One type of gateway response, as AWS has it."""

    type: str
    status: int
    #: x-amzn-ErrorType
    error_type: str
    #: None is told to clients as null.
    message: str | None


ACCESS_DENIED = Failure("ACCESS_DENIED", 403, "AccessDeniedException", "Access Denied")
API_CONFIGURATION_ERROR = Failure(
    "API_CONFIGURATION_ERROR", 500, "InternalServerErrorException", "Internal server error"
)
AUTHORIZER_CONFIGURATION_ERROR = Failure(
    "AUTHORIZER_CONFIGURATION_ERROR", 500, "AuthorizerConfigurationException", None
)
AUTHORIZER_FAILURE = Failure("AUTHORIZER_FAILURE", 500, "AuthorizerFailureException", None)
BAD_REQUEST_PARAMETERS = Failure("BAD_REQUEST_PARAMETERS", 400, "BadRequestException", "Bad Request")
BAD_REQUEST_BODY = Failure("BAD_REQUEST_BODY", 400, "BadRequestException", "Invalid request body")
EXPIRED_TOKEN = Failure(
    "EXPIRED_TOKEN",
    403,
    "ExpiredTokenException",
    "The security token included in the request is expired",
)
INTEGRATION_FAILURE = Failure(
    "INTEGRATION_FAILURE",
    504,
    "InternalServerErrorException",
    "Network error communicating with endpoint",
)
INTEGRATION_TIMEOUT = Failure("INTEGRATION_TIMEOUT", 504, "InternalServerErrorException", "Endpoint request timed out")
#: Also what stands where there is no such stage.
INVALID_API_KEY = Failure("INVALID_API_KEY", 403, "ForbiddenException", "Forbidden")
INVALID_SIGNATURE = Failure(
    "INVALID_SIGNATURE",
    403,
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided.",
)
MISSING_AUTHENTICATION_TOKEN = Failure(
    "MISSING_AUTHENTICATION_TOKEN",
    403,
    "MissingAuthenticationTokenException",
    "Missing Authentication Token",
)
QUOTA_EXCEEDED = Failure("QUOTA_EXCEEDED", 429, "LimitExceededException", "Limit Exceeded")
REQUEST_TOO_LARGE = Failure("REQUEST_TOO_LARGE", 413, "RequestTooLargeException", "Request Too Long")
RESOURCE_NOT_FOUND = Failure("RESOURCE_NOT_FOUND", 404, "NotFoundException", "Not Found")
THROTTLED = Failure("THROTTLED", 429, "TooManyRequestsException", "Too Many Requests")
UNAUTHORIZED = Failure("UNAUTHORIZED", 401, "UnauthorizedException", "Unauthorized")
UNSUPPORTED_MEDIA_TYPE = Failure("UNSUPPORTED_MEDIA_TYPE", 415, "BadRequestException", "Unsupported Media Type")
WAF_FILTERED = Failure("WAF_FILTERED", 403, "WafFilteredException", "Forbidden")
#: The two that stand in for all others of their kind, and for what has no type: a function's malformed answer (502).
OTHER_4XX = Failure(DEFAULT_4XX, 400, "BadRequestException", "Bad Request")
OTHER_5XX = Failure(DEFAULT_5XX, 500, "InternalServerErrorException", "Internal server error")


class GatewayError(Exception):
    """Ends a request with a gateway response."""

    def __init__(
        self,
        failure: Failure,
        message: str | None = None,
        *,
        status: int | None = None,
        error_type: str | None = None,
        reason: str = "",
        validation_errors: tuple[str, ...] = (),
    ) -> None:
        """`message` is told to the client, the type's own without one; `reason` goes into the execution log alone."""
        self.failure = failure
        self.message = message if message is not None else failure.message
        self.status = status or failure.status
        self.error_type = error_type or failure.error_type
        self.reason = reason
        self.validation_errors = validation_errors
        super().__init__(self.message or failure.type)


def misconfigured(reason: str) -> GatewayError:
    """500 for the client, `reason` for the log: the owner of the API must change something."""
    return GatewayError(API_CONFIGURATION_ERROR, reason=f"Execution failed due to configuration error: {reason}")
