"""The operations of IAM's policy simulator: what a call asks of it, and the pages of its answer."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lambent.context import Context
from lambent.identity.policy import PolicyKind, Principal
from lambent.services.iam import managed, paging
from lambent.services.iam.domain import Bounded, Group, Holder, ManagedPolicy, User
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import InvalidInputException, NoSuchEntityException
from lambent.services.iam.simulation import Simulation, Source, context_keys

Params = Mapping[str, Any]

_ACTION = re.compile(r"[a-zA-Z0-9-]+:[a-zA-Z0-9]+", re.ASCII)
_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(root|(user|group|role)/.+)", re.ASCII)


class Attached(NamedTuple):
    """A policy of somebody."""

    source: Source
    #: Of a managed one, "" of an inline one.
    arn: str
    #: Of an inline one, "" of a managed one.
    name: str
    holder: Holder


class SimulationOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def SimulateCustomPolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("OrderedOrganizationPolicyInputList"):
            raise InvalidInputException("Policies of organizations are not simulated: this region has none.")
        if params.get("ResourcePolicy") and not params.get("CallerArn"):
            raise InvalidInputException("CallerArn is required when a ResourcePolicy is given.")
        return _simulated(params, _given(params), _boundary(params), _caller(params, context, ""))

    async def SimulatePrincipalPolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        holder = self._holder(context, params["PolicySourceArn"])
        left = [attached.source for attached in self._policies(holder) if not _is_excluded(attached, params)]
        boundary = _boundary(params)
        if boundary is None and isinstance(holder, Bounded) and holder.boundary and not _without_boundary(params):
            boundary = self._managed(holder.boundary)
        own = holder.arn if not isinstance(holder, Group) else ""
        return _simulated(params, [*left, *_given(params)], boundary, _caller(params, context, own))

    async def GetContextKeysForCustomPolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"ContextKeyNames": context_keys(source.document for source in _given(params))}

    async def GetContextKeysForPrincipalPolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        holder = self._holder(context, params["PolicySourceArn"])
        sources = [*(attached.source for attached in self._policies(holder)), *_given(params)]
        return {"ContextKeyNames": context_keys(source.document for source in sources)}

    # ---- what is attached ----

    def _holder(self, context: Context, arn: str) -> Holder:
        holder = self._entities.directory.find(arn)
        if not isinstance(holder, Holder) or holder.account != context.account:
            kind, _, name = arn.split(":", 5)[-1].partition("/")
            if kind not in ("user", "group", "role"):
                raise InvalidInputException(f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
            raise NoSuchEntityException(f"The {kind} with name {name.rpartition('/')[2]} cannot be found.")
        return holder

    def _policies(self, holder: Holder) -> Iterable[Attached]:
        """Of `holder`, and of the groups of a user."""
        yield from self._of(holder)
        if isinstance(holder, User):
            for group_id in holder.groups:
                group = self._entities.directory.by_id(group_id)
                if isinstance(group, Group):
                    yield from self._of(group)

    def _of(self, holder: Holder) -> Iterable[Attached]:
        for name, document in holder.inline.items():
            yield Attached(Source.of(f"{holder.kind}_{holder.name}_{name}", document), "", name, holder)
        for arn in holder.attached:
            found = self._managed(arn)
            if found is not None:
                yield Attached(found, arn, "", holder)

    def _managed(self, arn: str) -> Source | None:
        policy = managed.POLICIES.get(arn) or self._entities.directory.find(arn)
        return Source.of(policy.name, policy.default.document) if isinstance(policy, ManagedPolicy) else None


def _simulated(
    params: Params, identity: Sequence[Source], boundary: Source | None, principal: Principal
) -> dict[str, Any]:
    if params.get("ResourceHandlingOption"):
        raise InvalidInputException("ResourceHandlingOption is for EC2, which this region does not serve.")
    given = params.get("ResourcePolicy")
    simulation = Simulation(
        principal=principal,
        identity=identity,
        boundary=boundary,
        resource=Source.of("ResourcePolicy", given, PolicyKind.RESOURCE) if given else None,
        resource_owner=_owner(params, principal),
        context=_context(params),
    )
    resources = params.get("ResourceArns") or ["*"]
    actions = list(dict.fromkeys(params["ActionNames"]))
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise InvalidInputException(f"Invalid action name: {action}")
    numbered = [f"{index:06d}" for index in range(len(actions))]
    return paging.of_all(
        "EvaluationResults", numbered, params, str, lambda index: simulation.result(actions[int(index)], resources)
    )


def _given(params: Params) -> list[Source]:
    documents = params.get("PolicyInputList") or ()
    return [Source.of(f"PolicyInputList.{index}", text) for index, text in enumerate(documents, start=1)]


def _boundary(params: Params) -> Source | None:
    documents = params.get("PermissionsBoundaryPolicyInputList") or ()
    if len(documents) > 1:
        raise InvalidInputException("Only one permissions boundary can be simulated.")
    return Source.of("PermissionsBoundaryPolicyInputList.1", documents[0]) if documents else None


def _caller(params: Params, context: Context, own: str) -> Principal:
    """`own`: whose policies are simulated, "" for nobody in particular."""
    arn = params.get("CallerArn") or own
    if not arn:
        # Somebody of the account whom no policy names.
        return Principal.aws(context.account, "")
    if not _PRINCIPAL.fullmatch(arn) or ":group/" in arn:
        raise InvalidInputException(f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    return Principal.aws(arn.split(":")[4], arn)


def _owner(params: Params, principal: Principal) -> str:
    given = str(params.get("ResourceOwner") or "")
    owner = given.split(":")[4] if given.count(":") >= 5 else given
    if owner and not (len(owner) == 12 and owner.isdecimal()):
        raise InvalidInputException(f"Invalid ResourceOwner: {given}")
    return owner or principal.account


def _context(params: Params) -> dict[str, Sequence[str]]:
    entries = params.get("ContextEntries") or ()
    return {
        entry["ContextKeyName"].lower(): tuple(entry.get("ContextKeyValues") or ())
        for entry in entries
        if entry.get("ContextKeyName")
    }


# ---- policies left out -----------------------------------------------------------------------------------------------


def _without_boundary(params: Params) -> bool:
    excluded = params.get("PolicyExclusionList") or ()
    return any(each.get("PolicyType") == "permission-boundary" for each in excluded)


def _is_excluded(attached: Attached, params: Params) -> bool:
    return any(_fits(attached, excluded) for excluded in params.get("PolicyExclusionList") or ())


def _fits(attached: Attached, excluded: Params) -> bool:
    _, arn, name, holder = attached
    inline = excluded.get("InlinePolicyIdentifier")
    if inline is not None:
        return (
            name == inline.get("PolicyName", "")
            and holder.kind == str(inline.get("AttachmentType", "")).lower()
            and fnmatch.fnmatchcase(holder.name, inline.get("AttachmentName", ""))
        )
    if excluded.get("PolicyArn"):
        return bool(arn) and fnmatch.fnmatchcase(arn, excluded["PolicyArn"])
    kind = excluded.get("PolicyType")
    of_aws = arn.startswith("arn:aws:iam::aws:")
    return bool(kind) and kind == ("inline" if not arn else "aws-managed" if of_aws else "user-managed")
