"""Parameter mapping: `append:header.x` → `$request.querystring.y`, taken apart once and checked by AWS's rules.

The data plane runs what is made here; it gives each variable its value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from lambent.services.apigatewayv2.errors import BadRequestException

_RESERVED = frozenset(
    (
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-location",
        "forwarded",
        "keep-alive",
        "origin",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    )
)
_RESERVED_PREFIXES = ("access-control-", "apigw-", "x-amz-", "x-amzn-")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: `${…}` anywhere in a text, or a text that is one expression.
_EMBEDDED = re.compile(r"\$\{([^}]*)\}")
_ROOTS = ("request.header.", "request.querystring.", "request.body.", "request.path.", "context.", "stageVariables.")

#: The value of a variable such as `request.header.x`, without its `$`; None where it has none.
Lookup = Callable[[str], str | None]


class Template(NamedTuple):
    """Texts and variables by turns: text, variable, text …"""

    parts: tuple[str, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        return self.parts[1::2]

    def render(self, lookup: Lookup) -> str | None:
        """None where the whole is one variable without a value."""
        if len(self.parts) == 1:
            return self.parts[0]
        if len(self.parts) == 3 and not self.parts[0] and not self.parts[2]:
            return lookup(self.parts[1])
        return "".join(part if index % 2 == 0 else lookup(part) or "" for index, part in enumerate(self.parts))


class Entry(NamedTuple):
    """One entry of RequestParameters, or of ResponseParameters for one status code."""

    #: append | overwrite | remove
    action: str
    #: header | querystring | path | statuscode
    place: str
    #: Headers in lower case; "" for path and statuscode.
    name: str
    value: Template


def compile_request(entries: Mapping[str, str]) -> tuple[Entry, ...]:
    """Raises BadRequestException."""
    return tuple(_entry(key, value, ("header", "querystring", "path"), "request") for key, value in entries.items())


def compile_response(entries: Mapping[str, Mapping[str, str]]) -> dict[int, tuple[Entry, ...]]:
    """By status code of the integration's answer. Raises BadRequestException."""
    compiled = {}
    for status, mappings in entries.items():
        if not status.isascii() or not status.isdecimal() or not 200 <= int(status) <= 599:
            raise BadRequestException(f"Invalid status code '{status}' specified in ResponseParameters")
        compiled[int(status)] = tuple(
            _entry(key, value, ("header", "statuscode"), "response") for key, value in mappings.items()
        )
    return compiled


def _entry(key: str, value: str, places: tuple[str, ...], side: str) -> Entry:
    action, _, target = key.partition(":")
    place, _, name = target.partition(".")
    bad = BadRequestException(f"Invalid mapping expression specified: Validation Result: invalid destination '{key}'")
    if action not in ("append", "overwrite", "remove") or place not in places:
        raise bad
    if place in ("path", "statuscode"):
        if name or action != "overwrite":
            raise bad
    elif not name or (place == "header" and not _HEADER_NAME.fullmatch(name)):
        raise bad
    if place == "header":
        name = name.lower()
        if name in _RESERVED or name.startswith(_RESERVED_PREFIXES):
            raise BadRequestException(f"Operations on header {name} are restricted")
    template = Template(("",)) if action == "remove" else parse_template(value, side)
    if place == "statuscode" and len(template.parts) == 1:
        _check_status(template.parts[0])
    return Entry(action, place, name, template)


def parse_template(text: str, side: str) -> Template:
    if text.startswith("$") and not text.startswith("${"):
        return Template(("", _variable(text[1:], side), ""))
    parts = _EMBEDDED.split(text)
    return Template(tuple(part if index % 2 == 0 else _variable(part, side) for index, part in enumerate(parts)))


def _variable(name: str, side: str) -> str:
    other = "request" if side == "response" else "response"
    known = tuple(root.replace("request.", f"{side}.", 1) for root in _ROOTS)
    if side == "response":
        # Of an answer there are headers and a body, nothing else.
        known = ("response.header.", "response.body.", "context.", "stageVariables.")
    whole = (f"{side}.body", "request.path") if side == "request" else (f"{side}.body",)
    if name in whole or any(name.startswith(root) and len(name) > len(root) for root in known):
        if name.startswith(f"{side}.header."):
            return name.lower()
        return name
    hint = f": ${other} has no meaning here" if name.startswith(f"{other}.") else ""
    raise BadRequestException(
        f"Invalid mapping expression specified: Validation Result: invalid expression '${name}'{hint}"
    )


def _check_status(text: str) -> None:
    if not text.isascii() or not text.isdecimal() or not 200 <= int(text) <= 599:
        raise BadRequestException(f"Invalid mapping expression specified: '{text}' is not a status code")
