"""Rules for tags on APIs and stages."""

from __future__ import annotations

from collections.abc import Mapping

from lambent.services.apigateway.errors import BadRequestException, LimitExceededException

LIMIT = 50
_KEY_LIMIT = 128
_VALUE_LIMIT = 256


def checked(tags: Mapping[str, str]) -> dict[str, str]:
    """`tags` as they are; raises what AWS does for those it refuses."""
    if len(tags) > LIMIT:
        raise LimitExceededException(f"The maximum number of tags for a resource is {LIMIT}")
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise BadRequestException("Tag keys cannot start with aws:")
        if not 1 <= len(key) <= _KEY_LIMIT or len(value) > _VALUE_LIMIT:
            raise BadRequestException(
                f"A tag's key has 1 to {_KEY_LIMIT} characters and its value up to {_VALUE_LIMIT}: {key}"
            )
    return dict(tags)
