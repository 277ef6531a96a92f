"""Regular expressions that clients give: checked where they come, so that what is kept can be matched."""

from __future__ import annotations

import re

from lambent.services.apigateway.errors import BadRequestException, UnsupportedHere
from lambent.services.apigateway.expressions import Expression, TooHard

#: Longer ones than AWS's documents ever show.
LONGEST = 2_048


def check(pattern: str) -> None:
    """Raises BadRequestException for what is no expression, UnsupportedHere for one that is not followed here."""
    if len(pattern) > LONGEST:
        raise BadRequestException(f"Regular expressions have up to {LONGEST} characters")
    try:
        Expression(pattern)
    except TooHard as error:
        raise UnsupportedHere(f"The regular expression {pattern}", f"{error}.") from None
    except (re.error, RecursionError, OverflowError):
        raise BadRequestException(f"Invalid regular expression specified: {pattern}") from None
