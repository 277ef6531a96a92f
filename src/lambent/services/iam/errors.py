"""The error shapes of IAM's model that are used, and the sentences that several operations share."""

from __future__ import annotations

from lambent.errors import AwsError


class NoSuchEntityException(AwsError):
    """The request was rejected because it referenced a resource entity that does not exist."""


class EntityAlreadyExistsException(AwsError):
    """The request was rejected because it attempted to create a resource that already exists."""


class DeleteConflictException(AwsError):
    """The request was rejected because it attempted to delete a resource that has attached subordinate entities."""


class LimitExceededException(AwsError):
    """The request was rejected because it attempted to create resources beyond the current account limits."""


class MalformedPolicyDocumentException(AwsError):
    """Syntax errors in policy."""


class InvalidInputException(AwsError):
    """The request was rejected because an invalid or out-of-range value was supplied for an input parameter."""


class ValidationError(AwsError):
    """1 validation error detected."""


class UnmodifiableEntityException(AwsError):
    """The request was rejected because service-linked roles are protected."""


class PolicyNotAttachableException(AwsError):
    """The request failed because AWS service role policies can only be attached to the service-linked role."""


class AccessDenied(AwsError):
    """Access Denied"""

    status = 403


class OutsideAccount(AccessDenied):
    """Policy is outside your own account."""

    code = "AccessDenied"


def not_found(noun: str, name: str) -> NoSuchEntityException:
    """`The user with name x cannot be found.`"""
    if noun == "instance profile":
        # Recorded: the one noun that IAM speaks of otherwise.
        return NoSuchEntityException(f"Instance Profile {name} cannot be found.")
    return NoSuchEntityException(f"The {noun} with name {name} cannot be found.")
