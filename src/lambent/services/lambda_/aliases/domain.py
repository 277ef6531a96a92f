"""An alias as a value: a name for one version of a function, or for two with the share of calls that the second gets.

No I/O: `store` keeps them, `directory` routes by them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lambent.arn import function_arn
from lambent.ids import revision_id
from lambent.services.lambda_.errors import InvalidParameterValueException
from lambent.services.lambda_.names import LATEST


@dataclass(frozen=True, slots=True)
class Alias:
    account: str
    region: str
    #: Of the function.
    function: str
    name: str
    #: The version that calls go to, but for those that `weights` send elsewhere.
    version: str
    description: str = ""
    #: Version → its share of the calls, 0 to 1. At most one.
    weights: Mapping[str, float] = field(default_factory=dict)
    revision_id: str = field(default_factory=revision_id)

    @property
    def function_key(self) -> tuple[str, str, str]:
        return self.account, self.region, self.function

    @property
    def arn(self) -> str:
        return function_arn(self.region, self.account, self.function, self.name)

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version that a call may reach."""
        return (self.version, *self.weights)

    def changed(self, **changes: Any) -> Alias:
        """After an update; AWS gives a new RevisionId even where nothing differs."""
        return dataclasses.replace(self, **{"revision_id": revision_id(), **changes})

    def check_routing(self) -> None:
        """Raises what AWS says of weights that cannot be."""
        if len(self.weights) > 1:
            raise InvalidParameterValueException("Number of items in AdditionalVersionWeights cannot be greater than 1")
        if self.version in self.weights:
            raise InvalidParameterValueException(
                f"Invalid function version {self.version}. "
                f"Function version {self.version} is already included in routing configuration."
            )
        if self.weights and self.version == LATEST:
            raise InvalidParameterValueException(
                "$LATEST is not supported for an alias pointing to more than 1 version"
            )
