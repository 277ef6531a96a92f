"""What AWS asks of the texts in a policy: statement ids, actions, ARNs, principals. Recorded from IAM's answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lambent.identity.policy.faults import LEGACY, MalformedPolicy

_SID = re.compile(r"[0-9A-Za-z]*", re.ASCII)
_VENDOR = re.compile(r"[a-zA-Z0-9\-.]+", re.ASCII)
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,124}", re.ASCII)
_PRINCIPAL_ARN = re.compile(
    r"arn:aws[a-z-]*:(iam:|sts:):(\d{12}|cloudfront):(root|(user|role|assumed-role|federated-user)/[^*?]+)", re.ASCII
)
_HOST = re.compile(r"[A-Za-z0-9.\-]+", re.ASCII)
_IAM_PATHS = (
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
)


def check_sids(sids: Iterable[str], *, strict: bool) -> None:
    """`strict`: IAM's own policies take letters and digits only; other services' take more."""
    named = [sid for sid in sids if sid]
    if len(set(named)) < len(named):
        raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique.")
    if strict and not all(map(_SID.fullmatch, named)):
        raise MalformedPolicy(
            "Statement IDs (SID) must be alpha-numeric. "
            "Check that your input satisfies the regular expression [0-9A-Za-z]*"
        )


def check_actions(actions: Iterable[str]) -> None:
    for action in actions:
        if action == "*":
            continue
        vendor, colon, name = action.partition(":")
        if not colon:
            raise MalformedPolicy("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        if ":" in name:
            raise MalformedPolicy("Actions/Condition can contain only one colon.")
        if not _VENDOR.fullmatch(vendor):
            raise MalformedPolicy(f"Vendor {vendor} is not valid")


def check_legacy_resources(resources: Iterable[str]) -> None:
    """ARNs cut off in the middle: IAM completes them after the service, the region or the account only."""
    for resource in resources:
        parts = resource.split(":", 5)
        if len(parts) < 4 or not parts[1].startswith("aws"):
            continue
        if not parts[2]:
            raise MalformedPolicy(LEGACY)
        if len(parts) < 6 and not parts[3]:
            raise MalformedPolicy(LEGACY)


def check_arn_form(resources: Iterable[str]) -> None:
    for resource in resources:
        if resource != "*" and ":" not in resource:
            raise MalformedPolicy(f'Resource {resource} must be in ARN format or "*".')


def check_arns(resources: Iterable[str]) -> None:
    for resource in resources:
        if resource != "*":
            _check_arn(resource, resource.split(":", 5))


def _check_arn(resource: str, parts: Sequence[str]) -> None:
    if not parts[1].startswith("aws"):
        completed = ":".join(["arn", *parts[1:], *["*"] * (6 - len(parts))])
        raise MalformedPolicy(f'Partition "{parts[1]}" is not valid for resource "{completed}".')
    if len(parts) == 2 or "*" in parts[2] or "?" in parts[2]:
        raise MalformedPolicy("Resource vendor must be fully qualified and cannot contain regexes.")
    region = parts[3] if len(parts) > 3 else ""
    if parts[2] == "iam" and region not in ("", "*"):
        raise MalformedPolicy(f"IAM resource {resource} cannot contain region information.")
    if parts[2] == "s3" and region not in ("", "*"):
        raise MalformedPolicy(f"Resource {resource} can not contain region information.")
    if parts[2] == "iam" and len(parts) == 6 and not _is_iam_path(parts[5]):
        raise MalformedPolicy(f'IAM resource path must either be "*" or start with {", ".join(_IAM_PATHS)}.')


def _is_iam_path(path: str) -> bool:
    return path in ("*", "root") or path.startswith(_IAM_PATHS)


def is_principal(kind: str, name: str) -> bool:
    """May a Principal element name it so?"""
    if kind == "AWS":
        return name == "*" or any(form.fullmatch(name) for form in (_ACCOUNT, _UNIQUE_ID, _PRINCIPAL_ARN))
    if kind == "Service":
        return name == "*" or _HOST.fullmatch(name) is not None
    return bool(name) and (name == "*" or "*" not in name)
