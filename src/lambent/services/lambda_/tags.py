"""Rules for tags on functions."""

from __future__ import annotations

from collections.abc import Mapping

from lambent.services.lambda_.errors import InvalidParameterValueException

LIMIT = 50
_KEY_LIMIT = 128
_VALUE_LIMIT = 256


def checked(tags: Mapping[str, str]) -> dict[str, str]:
    """`tags` as they are; raises what AWS does for those it refuses."""
    if len(tags) > LIMIT:
        raise InvalidParameterValueException("Number of tags exceeds resource tag limit.")
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise InvalidParameterValueException("System tags cannot be added/updated by requester")
        if not 1 <= len(key) <= _KEY_LIMIT or len(value) > _VALUE_LIMIT:
            raise InvalidParameterValueException(
                f"A tag's key has 1 to {_KEY_LIMIT} characters and its value up to {_VALUE_LIMIT}: {key}"
            )
    return dict(tags)
