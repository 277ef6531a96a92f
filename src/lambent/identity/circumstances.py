"""Condition keys of a request: what lasts as long as its caller is known, and what each request brings anew.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lambent.context import Caller
from lambent.request import Request

_KINDS = {"root": "Account", "user": "User", "role": "AssumedRole", "federated": "FederatedUser"}
_TAGS = "aws:principaltag/"
_RESOURCE_TAGS = "aws:resourcetag/"
#: Of the caller, where it has them.
_LASTING = frozenset(
    (
        "aws:federatedprovider",
        "aws:multifactorauthpresent",
        "aws:principalorgid",
        "aws:principalservicename",
        "aws:sourceidentity",
        "aws:tokenissuetime",
        "aws:username",
        "aws:calledvia",
        "aws:calledviafirst",
        "aws:calledvialast",
        "lambda:sourcefunctionarn",
    )
)


def of_caller(caller: Caller, region: str, tags: Mapping[str, str]) -> dict[str, Sequence[str]]:
    """`tags` are those of the user or role; a session's own win over them."""
    keys: dict[str, Sequence[str]] = {
        "aws:principalarn": (caller.principal_arn or caller.arn,),
        "aws:principalaccount": (caller.account,),
        "aws:principaltype": (_KINDS.get(caller.kind, "Anonymous"),),
        "aws:userid": (caller.user_id,),
        "aws:requestedregion": (region,),
        "aws:principalisawsservice": ("false",),
        "aws:viaawsservice": ("false",),
    }
    if caller.kind == "user":
        keys["aws:username"] = (caller.name,)
    session = caller.session
    if session is not None:
        tags = {**tags, **dict(session.tags)}
        keys["aws:tokenissuetime"] = (_iso(session.issued_at),)
        keys["aws:multifactorauthpresent"] = ("true" if session.mfa else "false",)
        if session.function:
            keys["lambda:sourcefunctionarn"] = (session.function,)
        if session.provider:
            keys["aws:federatedprovider"] = (session.provider,)
        if session.source_identity:
            keys["aws:sourceidentity"] = (session.source_identity,)
    for key, value in tags.items():
        keys[_TAGS + key.lower()] = (value,)
    return keys


class Circumstances(Mapping[str, Sequence[str]]):
    """What conditions look at. `varies` turns true once one asks for what the next request may not share."""

    __slots__ = ("_caller", "_more", "_now", "_request", "_tags", "varies")

    def __init__(
        self,
        caller: Mapping[str, Sequence[str]],
        more: Mapping[str, Sequence[str]],
        request: Request | None,
        now: Callable[[], float],
        tags: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`caller` is from `of_caller`; `more` are the keys of the action, `tags` those of the resource."""
        self._caller = caller
        self._more = more
        self._request = request
        self._now = now
        self._tags = tags
        self.varies = False

    def __getitem__(self, key: str) -> Sequence[str]:
        found = self._find(key)
        if found is None:
            raise KeyError(key)
        return found

    def get(self, key: str, default: Any = None) -> Any:
        found = self._find(key)
        return default if found is None else found

    def __iter__(self) -> Iterator[str]:
        self.varies = True
        return iter({**self._caller, **self._more})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _find(self, key: str) -> Sequence[str] | None:
        found = self._caller.get(key)
        if found is not None or key in _LASTING or key.startswith(_TAGS):
            return found
        self.varies = True
        found = self._more.get(key)
        if found is not None:
            return found
        if key.startswith(_RESOURCE_TAGS):
            return self._tag(key.removeprefix(_RESOURCE_TAGS))
        if key not in _OF_REQUEST:
            return None
        computed = _OF_REQUEST[key](self._request, self._now)
        return None if computed is None else (computed,)

    def _tag(self, wanted: str) -> Sequence[str] | None:
        return next(((value,) for key, value in self._tags().items() if key.lower() == wanted), None)


def of_request(request: Request, now: float) -> dict[str, Sequence[str]]:
    """All that a request says of itself, for front doors."""
    found = {key: compute(request, lambda: now) for key, compute in _OF_REQUEST.items()}
    return {key: (value,) for key, value in found.items() if value is not None}


def _header(name: bytes) -> Callable[[Request | None, Callable[[], float]], str | None]:
    def read(request: Request | None, _now: Callable[[], float]) -> str | None:
        value = request.header(name) if request is not None else None
        return None if value is None else value.decode("latin-1")

    return read


def _source_ip(request: Request | None, _now: Callable[[], float]) -> str | None:
    return (request.client_host or None) if request is not None else None


def _secure_transport(request: Request | None, _now: Callable[[], float]) -> str | None:
    return None if request is None else "true" if request.scheme == "https" else "false"


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


_OF_REQUEST: Mapping[str, Callable[[Request | None, Callable[[], float]], str | None]] = {
    "aws:currenttime": lambda _request, now: _iso(now()),
    "aws:epochtime": lambda _request, now: str(int(now())),
    "aws:referer": _header(b"referer"),
    "aws:securetransport": _secure_transport,
    "aws:sourceip": _source_ip,
    "aws:useragent": _header(b"user-agent"),
}
