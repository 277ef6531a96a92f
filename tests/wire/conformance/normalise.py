"""The one list of differences between what is sent and what arrives that are nobody's fault.

- Under query and XML an empty list, map or structure can't be told from an absent one.
- A REST body that is one blob, string or structure is empty where that member is absent.
- HTTP dates know seconds alone.
- Every answer has a status code, given or not.
- A body has a Content-Type, given or not.
- The HTTP client sets Content-Length by itself.
- Headers can't hold an empty list or map; query strings neither.
- Floats of 32 bits come back as the nearest ones.
"""

from __future__ import annotations

from typing import Any

from botocore.model import Shape

_EMPTY = ([], {}, b"", "")
#: Headers that HTTP has even where the member bound to them is absent, and the value that they have then.
_BY_ITSELF = {"Content-Length": None, "Content-Type": "application/octet-stream"}


def normalise(value: dict[str, Any], shape: Shape | None, protocol: str) -> dict[str, Any]:
    if shape is None:
        return {}
    if protocol in {"query", "rest-xml"}:
        value = _without_empty(value, top=True) or {}
    payload = shape.serialization.get("payload")
    return {
        name: item
        for name, item in value.items()
        if not (name == payload and item in _EMPTY)
        and shape.members[name].serialization.get("location") != "statusCode"
        and not _by_itself(shape.members[name], item)
        and not (shape.members[name].serialization.get("location") is not None and item in ([], {}))
    }


def _by_itself(member: Shape, item: Any) -> bool:
    header = member.serialization.get("name")
    return header in _BY_ITSELF and _BY_ITSELF[header] in {None, item}


def _without_empty(value: Any, top: bool = False) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        kept = {key: item for key, item in kept.items() if item is not None}
        return kept if kept or top else None
    if isinstance(value, list):
        kept_items = [item for item in map(_without_empty, value) if item is not None]
        return kept_items or None
    return value
