"""Whether a caller may do what it asks. Until IAM is served, whoever is believed may do everything."""

from __future__ import annotations

from typing import Any

from lambent.context import Caller
from lambent.identity.faults import SignedOperation


class AllowEverything:
    """The start banner says that this one stands here."""

    def check(self, caller: Caller, operation: SignedOperation, params: dict[str, Any]) -> None:
        """Allows."""
