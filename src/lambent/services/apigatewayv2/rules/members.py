"""What the rules of all nouns share: maps that are merged, values of parameters as AWS's requests name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lambent.arn import Arn
from lambent.errors import AccessDeniedException
from lambent.services.apigatewayv2.errors import BadRequestException, OfWebSocketApis, UnsupportedHere

Params = Mapping[str, Any]


def merged(old: Mapping[str, str] | None, new: Mapping[str, str] | None) -> dict[str, str] | None:
    """`old` with the entries of `new`; an empty text in `new` removes one, as AWS's updates of maps do."""
    if new is None:
        return None if old is None else dict(old)
    both = {**(old or {}), **new}
    return {name: value for name, value in both.items() if value != ""}


def refuse_websocket_members(params: Params, names: Iterable[str]) -> None:
    """Members of the shared shapes that mean nothing for HTTP APIs; false and empty say nothing."""
    for name in names:
        if params.get(name):
            raise OfWebSocketApis(name)


def check_roles(params: Params, account: str) -> None:
    """An API acts through roles of its own account alone."""
    for name in ("CredentialsArn", "AuthorizerCredentialsArn"):
        arn = Arn.parse(params.get(name) or "")
        if arn is not None and arn.account not in (account, "*"):
            raise AccessDeniedException("Cross-account pass role is not allowed.")


def check_credentials(name: str, arn: str | None) -> str | None:
    """A role that calls functions on the API's behalf."""
    if not arn:
        return None
    if arn == "arn:aws:iam::*:user/*":
        raise UnsupportedHere(
            "Passing the caller's own credentials on to integrations is not supported by Lambent yet."
        )
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "iam" or not parts[5].startswith("role/"):
        raise BadRequestException(f"Invalid ARN specified in the request: {name} must be the ARN of a role.")
    return arn
