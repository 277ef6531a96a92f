"""What STS asks of the session that somebody wants, decided without I/O: policies, tags, length, size."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from lambent.context import Caller, Session
from lambent.identity.policy import MalformedPolicy, PolicyKind, parse
from lambent.services.sts.errors import (
    AccessDenied,
    InvalidParameterValue,
    MalformedPolicyDocumentException,
    PackedPolicyTooLargeException,
    ValidationError,
)

HOUR = 3600
SESSION_TAGS = 50
SESSION_POLICIES = 10
#: What policies and tags of a session may come to, packed. AWS does not tell its own packing or its limit.
PACKED_BYTES = 1024

Params = Mapping[str, Any]


# ---- how long ------------------------------------------------------------------------------------------------------


def role_duration(params: Params, caller: Caller, most: int) -> int:
    """Seconds that a session of a role lives. Raises ValidationError."""
    duration = int(params.get("DurationSeconds") or HOUR)
    if caller.kind == "role" and duration > HOUR:
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        )
    if duration > most:
        raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return duration


def own_duration(params: Params, caller: Caller, usual: int) -> int:
    """Seconds for GetSessionToken and GetFederationToken: a root gets an hour, whatever it asks for."""
    duration = int(params.get("DurationSeconds") or usual)
    return min(duration, HOUR) if caller.kind == "root" else duration


# ---- who may ask ---------------------------------------------------------------------------------------------------


def check_long_term(caller: Caller, operation: str) -> None:
    """Raises AccessDenied."""
    if caller.session is not None:
        raise AccessDenied(f"Cannot call {operation} with session credentials")


def check_reach(caller: Caller, operation: str) -> None:
    """Sessions of GetSessionToken may ask who they are and assume roles, federated users not even that.

    Raises AccessDenied.
    """
    if caller.kind == "federated" or (
        caller.session is not None and caller.kind != "role" and operation != "AssumeRole"
    ):
        raise AccessDenied(f"Cannot call {operation} with session credentials")


def check_mfa(params: Params) -> None:
    """There are no second factors here, so none can be right. Raises AccessDenied."""
    if params.get("SerialNumber") or params.get("TokenCode"):
        raise AccessDenied(
            "MultiFactorAuthentication failed, unable to validate MFA code.  "
            "Please verify your MFA serial number is valid and associated with this user."
        )


def check_contexts(params: Params) -> None:
    """Assertions of context providers are made by IAM Identity Center. Raises ValidationError."""
    if params.get("ProvidedContexts"):
        raise ValidationError("ProvidedContexts are not supported: there is no context provider in this region.")


# ---- policies ------------------------------------------------------------------------------------------------------


def policies_of(params: Params) -> tuple[str, ...]:
    """The inline session policy. Raises MalformedPolicyDocumentException."""
    document = params.get("Policy")
    if document is None:
        return ()
    try:
        parse(document, kind=PolicyKind.IDENTITY)
    except MalformedPolicy as error:
        raise MalformedPolicyDocumentException(error.reason) from None
    return (document,)


def policy_arns_of(params: Params, account: str, exists: Callable[[str], bool]) -> tuple[str, ...]:
    """The managed session policies: AWS's or those of the session's account. Raises ValidationError."""
    arns = tuple(str(each.get("arn") or "") for each in params.get("PolicyArns") or ())
    if len(arns) > SESSION_POLICIES:
        raise ValidationError(f"The number of session policy ARNs exceeds the maximum of {SESSION_POLICIES}.")
    for arn in arns:
        owner = arn.split(":")[4] if arn.count(":") >= 5 else ""
        if owner not in ("aws", account) or not exists(arn):
            raise ValidationError(f"The specified policy {arn} does not exist or cannot be used in this session.")
    return arns


# ---- tags ----------------------------------------------------------------------------------------------------------


class Tags(msgspec.Struct, frozen=True):
    """Session tags, inherited ones first, and which of them pass on."""

    tags: tuple[tuple[str, str], ...]
    transitive: tuple[str, ...]


def tags_of(params: Params, caller: Caller) -> Tags:
    """Raises InvalidParameterValue."""
    given = tuple((tag["Key"], tag["Value"]) for tag in params.get("Tags") or ())
    return merged_tags(given, tuple(params.get("TransitiveTagKeys") or ()), caller.session)


def merged_tags(given: Sequence[tuple[str, str]], transitive: Sequence[str], before: Session | None) -> Tags:
    """`before`: the session by which the new one is made. Raises InvalidParameterValue."""
    keys = {key.lower() for key, _ in given}
    if len(keys) < len(given):
        raise InvalidParameterValue("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    kept = {key.lower() for key in before.transitive} if before is not None else set()
    if kept & keys:
        raise InvalidParameterValue(
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from "
            "the calling session."
        )
    if not {key.lower() for key in transitive} <= keys:
        raise InvalidParameterValue("The specified transitive tag key must be included in the requested tags.")
    if any(key.startswith("aws:") for key in keys):
        raise InvalidParameterValue("Tag keys that begin with aws: are reserved.")
    inherited = tuple(tag for tag in before.tags if tag[0].lower() in kept) if before is not None else ()
    if len(inherited) + len(given) > SESSION_TAGS:
        raise InvalidParameterValue(f"A session cannot have more than {SESSION_TAGS} tags.")
    return Tags((*inherited, *given), (*(before.transitive if before is not None else ()), *transitive))


def source_identity_of(params: Params, caller: Caller) -> str:
    """Once set it stays, along every chain of roles. Raises ValidationError."""
    given = str(params.get("SourceIdentity") or "")
    before = caller.session.source_identity if caller.session is not None else ""
    if given and before and given != before:
        raise ValidationError("The source identity is already set for this assume role session")
    return given or before


# ---- size ----------------------------------------------------------------------------------------------------------


def packed_percentage(session: Session) -> int | None:
    """How much of the space for policies and tags it takes; None without any. Raises PackedPolicyTooLargeException."""
    if not (session.policies or session.policy_arns or session.tags):
        return None
    content = msgspec.json.encode((session.policies, session.policy_arns, session.tags))
    percentage = math.ceil(len(zlib.compress(content, 9)) * 100 / PACKED_BYTES)
    if percentage > 100:
        if session.policies or session.policy_arns:
            raise PackedPolicyTooLargeException(
                f"Packed policy consumes {percentage}% of allotted space, please use smaller policy."
            )
        raise PackedPolicyTooLargeException(f"Packed size of session tags consumes {percentage}% of allotted space.")
    return percentage
