"""Policy documents on their way in: read as AWS reads them, measured as AWS measures them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from lambent.identity.policy import MalformedPolicy, PolicyKind, parse
from lambent.services.iam.domain import Holder
from lambent.services.iam.errors import LimitExceededException, MalformedPolicyDocumentException

MANAGED_SIZE = 6144
TRUST_SIZE = 2048
#: Of all inline policies of one entity together.
INLINE_SIZES: Mapping[str, int] = {"user": 2048, "group": 5120, "role": 10240}


def check_managed(document: str) -> None:
    """Raises MalformedPolicyDocumentException, LimitExceededException."""
    _parse(document, PolicyKind.IDENTITY)
    if size(document) > MANAGED_SIZE:
        raise LimitExceededException(f"Cannot exceed quota for PolicySize: {MANAGED_SIZE}")


def check_inline(document: str) -> None:
    """Raises MalformedPolicyDocumentException."""
    _parse(document, PolicyKind.INLINE)


def check_trust(document: str) -> None:
    """Raises MalformedPolicyDocumentException, LimitExceededException."""
    try:
        json.loads(document)
    except (ValueError, RecursionError):
        # Of trust policies alone it says what is wrong with the JSON.
        raise MalformedPolicyDocumentException("This policy contains invalid Json") from None
    _parse(document, PolicyKind.TRUST)
    if size(document) > TRUST_SIZE:
        raise LimitExceededException(f"Cannot exceed quota for ACLSizePerRole: {TRUST_SIZE}")


def check_inline_size(holder: Holder) -> None:
    """Raises LimitExceededException."""
    most = INLINE_SIZES[holder.kind]
    if sum(map(size, holder.inline.values())) > most:
        raise LimitExceededException(f"Maximum policy size of {most} bytes exceeded for {holder.noun} {holder.name}")


def size(document: str) -> int:
    """White space does not count."""
    return len("".join(document.split()))


def _parse(document: str, kind: PolicyKind) -> None:
    try:
        parse(document, kind=kind)
    except MalformedPolicy as error:
        raise MalformedPolicyDocumentException(error.reason) from None
