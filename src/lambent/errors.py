"""AWS errors as exceptions: raised in services, rendered once at the edge.

A subclass is named after the model's error shape (`ResourceNotFoundException`); its docstring is the default message.
Where the wire code differs from the shape's name, the model says so and `wire` looks it up; `status` is a fallback for
codes that no model of the service lists (`InvalidSignatureException`, `NotImplemented`).
"""

from __future__ import annotations

from typing import Any, ClassVar


class AwsError(Exception):
    """An error occurred."""

    #: Wire code; the class name unless a subclass says otherwise.
    code: ClassVar[str] = ""
    #: HTTP status, used where the service's model does not give one.
    status: ClassVar[int] = 400

    def __init__(self, message: str | None = None, *, headers: dict[str, str] | None = None, **members: Any) -> None:
        """`members` are further members of the error's shape (`Reason="…"`); `headers` go out as they are."""
        self.message = message if message is not None else (type(self).__doc__ or "").strip()
        self.members = members
        self.headers = headers or {}
        super().__init__(self.message)

    @property
    def wire_code(self) -> str:
        return type(self).code or type(self).__name__


class UncodedError(AwsError):
    """An error whose code is data (forwarded or computed)."""

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(message, **members)
        self._code = code
        self.status = status  # type: ignore[misc]

    @property
    def wire_code(self) -> str:
        return self._code


class ValidationException(AwsError):
    """1 validation error detected."""


class SerializationException(AwsError):
    """The request body could not be parsed."""


class AccessDeniedException(AwsError):
    """Access denied."""

    status = 403


class NotImplementedOperation(AwsError):
    """This operation is not implemented."""

    code = "NotImplemented"
    status = 501


class UnknownOperationException(AwsError):
    """The requested operation is not known."""

    status = 404


class InternalFailure(AwsError):
    """The request processing has failed because of an unknown error."""

    status = 500
