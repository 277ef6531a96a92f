"""Published versions: what $LATEST was, under a number that stays."""

from __future__ import annotations

from typing import Any

from lambent.context import Context
from lambent.services.lambda_ import describe, paging
from lambent.services.lambda_.changes import Functions
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.errors import InvalidParameterValueException, UnsupportedHere
from lambent.services.lambda_.names import latest_name


class VersionOperations:
    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    async def PublishVersion(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = latest_name(context, params, action="PublishVersion")
        if params.get("PublishTo"):
            raise UnsupportedHere("PublishTo", "capacity providers do not exist here.")
        wanted: str | None = params.get("CodeSha256")

        def check(latest: Function) -> None:
            current = describe.code_sha256(latest.package.sha256)
            if wanted and wanted != current:
                raise InvalidParameterValueException(
                    f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({current}). "
                    "Please try again with the CodeSHA256 in $LATEST."
                )

        published = await self._functions.publish(name, params.get("RevisionId"), params.get("Description"), check)
        return describe.configuration(published, published.version)

    async def ListVersionsByFunction(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = latest_name(context, params, action="ListVersionsByFunction")
        limit = paging.limit(params)
        page = await self._functions.versions(name, _number(params), limit + 1)
        result: dict[str, Any] = {"Versions": [describe.list_entry(entry, entry.version) for entry in page[:limit]]}
        if len(page) > limit:
            result["NextMarker"] = paging.marker(str(page[limit - 1].number))
        return result


def _number(params: dict[str, Any]) -> int:
    """Of the last version on the page before; -1 where this is the first, which begins with $LATEST (0)."""
    place = paging.place(params)
    if not place:
        return -1
    if not (place.isascii() and place.isdigit() and len(place) < 19):
        raise paging.bad_marker()
    return int(place)
