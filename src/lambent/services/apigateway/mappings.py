"""Mapping expressions between requests, integrations and responses, and templates that must be literal: pure checks.

The data plane acts on what passes here, so that it meets no expression which it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lambent.services.apigateway.errors import BadRequestException, UnsupportedHere, invalid_mapping

_NAME = r"[A-Za-z0-9._$!#%&'*+^`|~:\[\]-]+"
_REQUEST_PLACE = re.compile(rf"method\.request\.(path|querystring|header)\.({_NAME})")
_BODY = re.compile(r"(method\.request|integration\.response)\.body(\.[^\s]+)?")
_SOURCES = (
    re.compile(rf"method\.request\.(path|querystring|multivaluequerystring|header|multivalueheader)\.{_NAME}"),
    re.compile(r"stageVariables\.[A-Za-z0-9_]+"),
    re.compile(r"context\.[A-Za-z0-9_.]+"),
    re.compile(r"'[^']*'"),
)
_INTEGRATION_TARGET = re.compile(rf"integration\.request\.(path|querystring|header)\.{_NAME}")
_RESPONSE_HEADER = re.compile(rf"method\.response\.header\.{_NAME}")
_INTEGRATION_HEADER = re.compile(rf"integration\.response\.(header|multivalueheader)\.{_NAME}")
_GATEWAY_HEADER = re.compile(rf"gatewayresponse\.header\.{_NAME}")
#: References (`$input`, `${stageVariables.x}`, `$!x`) and directives of the Velocity Template Language.
_VTL = re.compile(
    r"\$!?\{?[A-Za-z]|#\{?(set|if|elseif|else|end|foreach|include|parse|stop|break|evaluate|define|macro)\b|##|#\*"
)
_CONTENT_TYPE = re.compile(r"\$default|[\w!#$&^.+-]+/[\w!#$&^.+*-]+(\s*;.*)?")


def check_request_parameters(parameters: Mapping[str, bool]) -> None:
    """Of a method: `method.request.<place>.<name>`; a name may stand in one place only."""
    names: dict[str, str] = {}
    for expression in parameters:
        match = _REQUEST_PLACE.fullmatch(expression)
        if match is None:
            raise invalid_mapping(f"Invalid mapping expression parameter specified: {expression}")
        place, name = match.groups()
        if names.setdefault(name, place) != place:
            raise BadRequestException("Parameter names must be unique across querystring, header and path")


def check_integration_parameters(mappings: Mapping[str, str], declared: Mapping[str, bool]) -> None:
    """Of an integration. `declared`: the method's request parameters; path parameters need not be among them."""
    for target, source in mappings.items():
        if not _INTEGRATION_TARGET.fullmatch(target):
            raise invalid_mapping(f"Invalid mapping expression parameter specified: {target}")
        if not _is_source(source):
            raise invalid_mapping(f"Invalid mapping expression specified: {source}")
        plain = source.replace(".multivalue", ".")
        if plain.startswith(("method.request.querystring.", "method.request.header.")) and plain not in declared:
            raise invalid_mapping(f"Invalid mapping expression parameter specified: {source}")


def check_response_parameters(parameters: Mapping[str, bool]) -> None:
    """Of a method's response."""
    for expression in parameters:
        if not _RESPONSE_HEADER.fullmatch(expression):
            raise invalid_mapping(f"Invalid mapping expression parameter specified: {expression}")


def check_integration_response_parameters(mappings: Mapping[str, str], declared: Mapping[str, bool]) -> None:
    """Of an integration's response. `declared`: the response parameters of the method for the same status."""
    for target, source in mappings.items():
        if target not in declared:
            raise invalid_mapping(f"Invalid mapping expression parameter specified: {target}")
        known = _INTEGRATION_HEADER.fullmatch(source) or _BODY.fullmatch(source) or _is_source(source)
        if not known or source.startswith("method.request."):
            raise invalid_mapping(f"Invalid mapping expression specified: {source}")


def check_gateway_parameters(mappings: Mapping[str, str]) -> None:
    for target, source in mappings.items():
        if not _GATEWAY_HEADER.fullmatch(target):
            raise invalid_mapping(f"Invalid mapping expression parameter specified: {target}")
        if not _is_source(source):
            raise invalid_mapping(f"Invalid mapping expression specified: {source}")


def check_templates(templates: Mapping[str, str], what: str) -> None:
    """Literal text under content types. `what` names the option in the refusal of a template that is none."""
    check_content_types(templates)
    for content_type, text in templates.items():
        if _VTL.search(text or ""):
            raise UnsupportedHere(
                f"The Velocity template of {what} for {content_type}", "mapping templates are literal text here"
            )


def check_content_types(types: Iterable[str]) -> None:
    for content_type in types:
        if not _CONTENT_TYPE.fullmatch(content_type):
            raise BadRequestException(
                f"Validation Result: warnings : [], errors : [Invalid content type specified: {content_type}]"
            )


def _is_source(source: str) -> bool:
    if _BODY.fullmatch(source) and source.startswith("method.request.body"):
        return True
    return any(pattern.fullmatch(source) for pattern in _SOURCES)
