"""How callers name functions: `name`, `name:qualifier`, a partial ARN, a full one; and what may be wrong."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.arn import FUNCTION_NAME, function_arn
from lambent.context import Context
from lambent.errors import AccessDeniedException, ValidationException
from lambent.services.lambda_.errors import InvalidParameterValueException, ResourceNotFoundException

LATEST = "$LATEST"
NAME_LIMIT = 64


@dataclass(frozen=True, slots=True)
class FunctionName:
    """A function as the caller means it, in the region of the call."""

    account: str
    region: str
    name: str
    #: As given, in the name or as the Qualifier parameter; None without.
    qualifier: str | None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.account, self.region, self.name

    @property
    def arn(self) -> str:
        """The ARN as asked for, qualifier included."""
        return function_arn(self.region, self.account, self.name, self.qualifier)

    def not_found(self) -> ResourceNotFoundException:
        return ResourceNotFoundException(f"Function not found: {self.arn}")


def function_name(
    context: Context,
    text: str,
    qualifier: str | None = None,
    *,
    action: str = "",
    own: bool = False,
) -> FunctionName:
    """The function that `text` and `qualifier` name.

    Another account's is one that the caller may do this to, or the Authorizer had refused; with `own` it cannot be
    meant at all, and `action` ("CreateFunction") words the refusal.
    """
    if ":" not in text:
        # The form of nearly every call, Invoke's above all: no pattern to match, nothing to compare.
        return FunctionName(context.account, context.region, _checked(text), qualifier)
    form = FUNCTION_NAME.fullmatch(text)
    if form is None:
        raise InvalidParameterValueException(f"Invalid function name: {text}")
    if form["region"] and form["region"] != context.region:
        raise ResourceNotFoundException(
            f"Functions from '{form['region']}' are not reachable in this region ('{context.region}')"
        )
    inner = form["qualifier"]
    if inner and qualifier and inner != qualifier:
        raise InvalidParameterValueException(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    account = form["account"] or context.account
    name = FunctionName(account, context.region, _checked(form["name"]), qualifier or inner)
    if own and account != context.account:
        raise AccessDeniedException(
            f"User: {context.caller.arn} is not authorized to perform: lambda:{action} on resource: {text} "
            f"because no resource-based policy allows the lambda:{action} action"
        )
    return name


def latest_name(context: Context, params: dict[str, str], *, action: str = "") -> FunctionName:
    """The function of `params`, where only $LATEST can be meant (updates, aliases)."""
    name = function_name(context, params["FunctionName"], action=action)
    if name.qualifier not in (None, LATEST):
        raise InvalidParameterValueException(
            "Current operation does not support versions other than $LATEST. "
            "Please set the version to $LATEST or do not set a version in your request."
        )
    return name


def version_number(qualifier: str) -> int:
    """The published version that `qualifier` names, 0 for anything else: an alias, $LATEST, `007`."""
    # Longer ones are no integers of the database's.
    is_one = qualifier.isascii() and qualifier.isdigit() and qualifier[0] != "0" and len(qualifier) < 19
    return int(qualifier) if is_one else 0


def is_alias(qualifier: str | None) -> bool:
    """Whether `qualifier` can only be the name of an alias."""
    return qualifier is not None and not (qualifier.startswith("$") or (qualifier.isascii() and qualifier.isdigit()))


def _checked(name: str) -> str:
    if len(name) > NAME_LIMIT:
        raise ValidationException(
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {NAME_LIMIT}"
        )
    return name
