"""`/_lambent/iam/audit` and `/_lambent/iam/explain`: what `lambent iam` asks. The operator's calls alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from lambent.edge.local import json_response
from lambent.edge.operator import OperatorCheck
from lambent.identity.audit import AuditLog, Use, least_privilege
from lambent.identity.authorization import Authorizer, UnknownPrincipal
from lambent.periodic import Periodic
from lambent.request import Request, Response
from lambent.storage.files import write_durably

log = logging.getLogger(__name__)

#: Seconds between two looks for something new to write; so much a crash may lose.
WRITE_INTERVAL = 60.0


class AuditFile:
    """Keeps an AuditLog over restarts: read at start, written once a minute where it changed, and at the end."""

    def __init__(self, path: Path, audit: AuditLog) -> None:
        self._path = path
        self._audit = audit
        self._written = 0
        self._writer = Periodic("audit writer", self._write, WRITE_INTERVAL)

    async def start(self) -> None:
        try:
            self._audit.load(self._path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, msgspec.DecodeError) as error:
            log.warning("What %s says of past calls cannot be read, so it begins anew: %s", self._path, error)
        self._written = self._audit.notes
        self._writer.start()

    async def stop(self) -> None:
        await self._writer.stop()
        await self._write()

    async def reset(self) -> None:
        self._audit.clear()

    async def _write(self) -> None:
        notes = self._audit.notes
        if notes == self._written:
            return
        try:
            await asyncio.to_thread(write_durably, self._path, self._audit.dump(), mode=0o600)
            self._written = notes
        except OSError as error:
            log.error("What callers needed could not be written to %s: %s", self._path, error)


class AuditRoute:
    """GET: `?principal=<ARN>` for one alone."""

    def __init__(self, mode: str, audit: AuditLog, operator: OperatorCheck) -> None:
        self._mode = mode
        self._audit = audit
        self._operator = operator

    async def get(self, request: Request) -> Response:
        self._operator.check(request)
        wanted = parse_qs(request.query.decode("latin-1")).get("principal")
        principals = wanted or self._audit.principals()
        return json_response(
            {
                "mode": self._mode,
                "dropped": self._audit.dropped,
                "principals": [_shown(arn, self._audit.uses(arn)) for arn in principals],
            }
        )


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    principal: str
    action: str
    resource: str = "*"
    #: Condition keys of the request.
    context: dict[str, list[str]] = {}


_decode = msgspec.json.Decoder(_Asked).decode


class ExplainRoute:
    def __init__(self, authorizer: Authorizer, operator: OperatorCheck) -> None:
        self._authorizer = authorizer
        self._operator = operator

    async def post(self, request: Request) -> Response:
        self._operator.check(request)
        try:
            asked = _decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            message = 'Send JSON: {"principal": "<ARN>", "action": "lambda:InvokeFunction", "resource": "<ARN>"}.'
            return json_response({"message": message}, 400)
        if ":" not in asked.action:
            return json_response({"message": f"An action is <service>:<name>, not {asked.action!r}."}, 400)
        keys: Mapping[str, Sequence[str]] = {key.lower(): values for key, values in asked.context.items()}
        try:
            decision = self._authorizer.explain(asked.principal, asked.action, asked.resource, keys)
        except UnknownPrincipal as error:
            return json_response({"message": str(error)}, 404)
        statement, policy = decision.verdict.statement, decision.verdict.policy
        answer: dict[str, Any] = {"allowed": decision.allowed, "why": decision.text(asked.action)}
        if statement is not None and policy is not None:
            answer["policy"] = policy.name or "the policy of the resource"
            answer["statement"] = {
                "number": statement.index + 1,
                "sid": statement.sid,
                "effect": statement.effect.value,
            }
        return json_response(answer)


def _shown(principal: str, uses: Sequence[Use]) -> dict[str, Any]:
    missing = [use for use in uses if use.missing]
    return {
        "principal": principal,
        "needed": len(uses),
        "missing": [msgspec.structs.asdict(use) for use in missing],
        "policy": least_privilege(uses),
    }
