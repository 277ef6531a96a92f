"""A deployed API made ready for requests: routes, media types, policy and patterns, compiled once per deployment."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from functools import cached_property
from typing import Any

from lambent.edge.access_log import AccessLogTemplate
from lambent.edge.execute_api.rest.routes import RouteTree
from lambent.edge.http_events.bodies import BinaryMediaTypes
from lambent.identity.policy import Policy, PolicyKind, parse
from lambent.services.apigateway.domain import Resource, RestApi
from lambent.services.apigateway.expressions import Expression, TooHard

#: Compiled APIs kept; one for each stage that is asked for.
MAX_KEPT = 512


class DeployedApi:
    """Immutable but for what it compiles at first use."""

    def __init__(self, definition: RestApi) -> None:
        self.definition = definition
        # A resource without methods is a mere part of other paths: requests to it may be meant for a greedy one.
        self.routes: RouteTree[Resource] = RouteTree(
            (resource.path, resource) for resource in definition.resources.values() if resource.methods
        )
        self.binary = BinaryMediaTypes(definition.binary_media_types)
        #: Validators of models by name, made by `validation` at first use.
        self.schemas: dict[str, Any] = {}
        self._patterns: dict[str, Expression | None] = {}

    @cached_property
    def policy(self) -> Policy | None:
        """None without a resource policy. Raises MalformedPolicy."""
        return _policy(self.definition)

    def matches(self, pattern: str, text: str) -> bool:
        """Does `text` match the whole of `pattern`? A pattern that is no regular expression matches nothing."""
        if pattern not in self._patterns:
            try:
                self._patterns[pattern] = Expression(pattern, re.DOTALL)
            except (re.error, TooHard):
                self._patterns[pattern] = None
        compiled = self._patterns[pattern]
        return compiled is not None and compiled.fullmatch(text)


class DeployedApis:
    """What has been compiled, by stage."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], DeployedApi] = OrderedDict()
        self._templates: dict[str, AccessLogTemplate] = {}

    def of(self, definition: RestApi, stage_name: str) -> DeployedApi:
        key = (definition.id, stage_name)
        found = self._kept.get(key)
        # Another deployment is another object.
        if found is None or found.definition is not definition:
            found = self._kept[key] = DeployedApi(definition)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return found

    def access_log(self, text: str) -> AccessLogTemplate:
        template = self._templates.get(text)
        if template is None:
            if len(self._templates) >= MAX_KEPT:
                self._templates.clear()
            template = self._templates[text] = AccessLogTemplate(text)
        return template


def _policy(definition: RestApi) -> Policy | None:
    if not definition.policy:
        return None
    document = json.loads(definition.policy)
    api = f"arn:aws:execute-api:{definition.region}:{definition.account}:{definition.id}"
    statements = document.get("Statement") if isinstance(document, dict) else None
    for statement in statements if isinstance(statements, list) else [statements]:
        if isinstance(statement, dict):
            for element in ("Resource", "NotResource"):
                if element in statement:
                    statement[element] = _whole(statement[element], api)
    return parse(document, kind=PolicyKind.RESOURCE)


def _whole(resources: Any, api: str) -> Any:
    """`execute-api:/prod/*` is short for the ARN of the API that has the policy."""
    if isinstance(resources, list):
        return [_whole(resource, api) for resource in resources]
    if isinstance(resources, str) and resources.startswith("execute-api:/"):
        return f"{api}/{resources.removeprefix('execute-api:/')}"
    return resources
