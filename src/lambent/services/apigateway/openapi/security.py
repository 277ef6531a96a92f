"""Who may call, as a definition says it: security schemes become authorizers, signatures, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lambent.services.apigateway import authorizers, methods
from lambent.services.apigateway.domain import Authorizer, RestApi
from lambent.services.apigateway.errors import BadRequestException
from lambent.services.apigateway.identifiers import short_id
from lambent.services.apigateway.openapi.document import Definition, Node

_SIGNATURE = "awssigv4"


class Security:
    """The schemes of one definition. `ids`: those of authorizers that had a name before."""

    def __init__(self, definition: Definition, ids: Mapping[str, str]) -> None:
        self._definition = definition
        self._ids = ids
        self._schemes = {name: definition.resolved(scheme) for name, scheme in definition.security_schemes().items()}

    def names(self) -> list[str]:
        """Schemes with an authorizer, used or not."""
        extension = self._definition.extension
        return [name for name, scheme in self._schemes.items() if extension("authorizer", scheme) is not None]

    def with_authorizer(self, api: RestApi, name: str) -> tuple[RestApi, Authorizer]:
        """`api` with the authorizer of scheme `name`, and it."""
        others = {key: one for key, one in api.authorizers.items() if one.name != name}
        api = msgspec.structs.replace(api, authorizers=others)
        made = authorizers.checked(api, self._made(name))
        return msgspec.structs.replace(api, authorizers={**others, made.id: made}), made

    def of(self, operation: Node, api: RestApi) -> dict[str, Any]:
        """Authorization type and authorizer of an operation."""
        explicit = self._definition.extension("auth", operation) or {}
        if explicit.get("type"):
            return {"authorization_type": str(explicit["type"]).upper()}
        wanted = operation.get("security", self._definition.root.get("security")) or ()
        found: dict[str, Any] = {}
        for name in (name for requirement in wanted for name in requirement):
            found |= self._asked(name, api)
        return found

    def _asked(self, name: str, api: RestApi) -> dict[str, Any]:
        scheme = self._schemes.get(name)
        if scheme is None:
            raise BadRequestException(f"Invalid security scheme specified: {name}")
        authorizer = next((one for one in api.authorizers.values() if one.name == name), None)
        if authorizer is not None:
            return {"authorization_type": "CUSTOM", "authorizer_id": authorizer.id}
        if str(self._definition.extension("authtype", scheme) or "").lower() == _SIGNATURE:
            return {"authorization_type": "AWS_IAM"}
        if scheme.get("type") == "apiKey" and str(scheme.get("name")).lower() == "x-api-key":
            methods.refuse_api_key(True)
        return {}

    def _made(self, name: str) -> Authorizer:
        scheme = self._schemes[name]
        node = self._definition.extension("authorizer", scheme)
        kind = str(node.get("type") or "").upper()
        default = f"method.request.header.{scheme.get('name')}" if kind == "TOKEN" else ""
        params = {
            **node,
            "name": name,
            "type": kind,
            "identitySource": node.get("identitySource") or default,
            "authType": self._definition.extension("authtype", scheme) or "",
        }
        return authorizers.made(self._ids.get(name) or short_id(), params)
