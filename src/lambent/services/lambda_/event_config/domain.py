"""An EventInvokeConfig as a value, and what may be a destination. No I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from lambent.arn import Arn, function_arn, function_of
from lambent.ports import Destinations, EventRules, FunctionVersion
from lambent.services.lambda_.errors import InvalidParameterValueException, UnsupportedHere

#: Services whose resources AWS takes as destinations: of successes, of failures.
_OF_SUCCESS = frozenset({"lambda", "sqs", "sns", "events"})
_OF_FAILURE = _OF_SUCCESS | {"s3"}


class EventSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """As given; stored as JSON. A new field needs a default."""

    retries: int | None = None
    max_age_s: int | None = None
    on_success: str = ""
    on_failure: str = ""


@dataclass(frozen=True, slots=True)
class EventConfig:
    account: str
    region: str
    function: str
    #: A version, an alias, or $LATEST.
    qualifier: str
    settings: EventSettings
    modified_ms: int

    @property
    def key(self) -> tuple[str, str, str]:
        """Of the function."""
        return self.account, self.region, self.function

    @property
    def arn(self) -> str:
        return function_arn(self.region, self.account, self.function, self.qualifier)

    @property
    def rules(self) -> EventRules:
        """With AWS's defaults for what was not given."""
        settings, defaults = self.settings, EventRules()
        return EventRules(
            retries=defaults.retries if settings.retries is None else settings.retries,
            max_age_s=defaults.max_age_s if settings.max_age_s is None else settings.max_age_s,
            on_success=settings.on_success,
            on_failure=settings.on_failure,
        )

    def updated(self, settings: EventSettings, params: Mapping[str, Any], now: float) -> EventConfig:
        """With what `params` name of `settings`."""
        changes: dict[str, Any] = {}
        if params.get("MaximumRetryAttempts") is not None:
            changes["retries"] = settings.retries
        if params.get("MaximumEventAgeInSeconds") is not None:
            changes["max_age_s"] = settings.max_age_s
        if params.get("DestinationConfig"):
            changes.update(on_success=settings.on_success, on_failure=settings.on_failure)
        replaced = msgspec.structs.replace(self.settings, **changes)
        return dataclasses.replace(self, settings=replaced, modified_ms=int(now * 1000))

    def described(self) -> dict[str, Any]:
        settings = self.settings
        described: dict[str, Any] = {
            "FunctionArn": self.arn,
            "LastModified": self.modified_ms / 1000,
            "DestinationConfig": {
                "OnSuccess": {"Destination": settings.on_success} if settings.on_success else {},
                "OnFailure": {"Destination": settings.on_failure} if settings.on_failure else {},
            },
        }
        if settings.retries is not None:
            described["MaximumRetryAttempts"] = settings.retries
        if settings.max_age_s is not None:
            described["MaximumEventAgeInSeconds"] = settings.max_age_s
        return described


def settings_of(params: Mapping[str, Any]) -> EventSettings:
    """Raises where `params` set nothing."""
    retries, max_age_s = params.get("MaximumRetryAttempts"), params.get("MaximumEventAgeInSeconds")
    destinations = params.get("DestinationConfig")
    if retries is None and max_age_s is None and not destinations:
        raise InvalidParameterValueException("You must specify at least one of error handling or destination setting.")
    return EventSettings(
        retries=retries,
        max_age_s=max_age_s,
        on_success=_destination(destinations, "OnSuccess"),
        on_failure=_destination(destinations, "OnFailure"),
    )


def check_destinations(settings: EventSettings, function: FunctionVersion, served: Destinations) -> None:
    """Raises AWS's errors for targets that cannot be, and ours for those that cannot be here yet."""
    for arn, services in ((settings.on_success, _OF_SUCCESS), (settings.on_failure, _OF_FAILURE)):
        target = Arn.parse(arn)
        if arn and (target is None or target.service not in services):
            raise InvalidParameterValueException(f"The provided destination config {_words(settings)} is invalid.")
    for arn in (settings.on_success, settings.on_failure):
        if arn:
            _check(arn, function, served)


def _check(arn: str, function: FunctionVersion, served: Destinations) -> None:
    target = Arn.parse(arn)
    assert target is not None
    if not served.serves(target.service):
        raise UnsupportedHere(
            f"The destination {arn}", f"it has no {target.service} yet, so the destination must be a Lambda function."
        )
    found = function_of(arn)
    if found is not None and found[0] == (function.account, function.region, function.name):
        raise InvalidParameterValueException("You can't specify the function as a destination for itself.")
    if not served.takes(arn, function):
        # AWS says no more of a role that may not send to it.
        raise InvalidParameterValueException(f"The destination ARN {arn} is invalid.")


def _destination(config: Mapping[str, Any] | None, condition: str) -> str:
    return ((config or {}).get(condition) or {}).get("Destination") or ""


def _words(settings: EventSettings) -> str:
    """As Java prints it, which is what AWS answers."""
    success = f"OnSuccess(destination={settings.on_success})" if settings.on_success else "null"
    failure = f"OnFailure(destination={settings.on_failure})" if settings.on_failure else "null"
    return f"DestinationConfig(onSuccess={success}, onFailure={failure})"
