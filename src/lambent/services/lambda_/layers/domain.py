"""A layer version as a value, who may use it, and the names of layers. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.arn import Arn, partition_of
from lambent.context import Caller, Context
from lambent.errors import AccessDeniedException
from lambent.identity.policy import Effect, Principal, Question, evaluate, parse
from lambent.ids import revision_id
from lambent.services.lambda_.domain import LayerUse, Package
from lambent.services.lambda_.errors import PreconditionFailedException, ResourceNotFoundException
from lambent.services.lambda_.names import version_number
from lambent.services.lambda_.permissions import domain as permissions
from lambent.services.lambda_.permissions.domain import ResourcePolicy, Statement

GET_ACTION = "lambda:GetLayerVersion"


@dataclass(frozen=True, slots=True)
class LayerPolicy:
    """The policy of one layer version, with the RevisionId that guards it: a version itself has none."""

    policy: ResourcePolicy
    revision_id: str

    def allows(self, caller: Caller, resource: str) -> bool:
        question = Question(GET_ACTION, resource, Principal.of_caller(caller))
        return evaluate(parse(self.policy.document()), question).effect is Effect.ALLOW


@dataclass(frozen=True, slots=True)
class LayerName:
    """A layer as the caller means it."""

    account: str
    region: str
    name: str

    @classmethod
    def parse(cls, context: Context, text: str) -> LayerName:
        """From a name, which is the caller's own, or a layer's ARN."""
        arn = Arn.parse(text)
        if arn is None:
            return cls(context.account, context.region, text)
        return cls(arn.account, arn.region, arn.resource.split(":")[1])

    @property
    def arn(self) -> str:
        return f"arn:{partition_of(self.region)}:lambda:{self.region}:{self.account}:layer:{self.name}"

    def version_arn(self, number: int) -> str:
        return f"{self.arn}:{number}"

    def check_owned(self, context: Context, action: str) -> None:
        """Only the owner changes a layer; raises AccessDeniedException."""
        if (self.account, self.region) != (context.account, context.region):
            raise not_authorized(context, action, self.arn)


@dataclass(frozen=True, slots=True)
class LayerVersion:
    name: LayerName
    number: int
    package: Package
    #: Bytes of what lies in the package.
    unzipped: int
    created_ms: int
    description: str = ""
    #: None where none were given: AWS then leaves them out of replies.
    runtimes: tuple[str, ...] | None = None
    architectures: tuple[str, ...] | None = None
    license_info: str | None = None
    policy: LayerPolicy | None = None

    @property
    def arn(self) -> str:
        return self.name.version_arn(self.number)

    @property
    def use(self) -> LayerUse:
        """What a function keeps of it: the version may be deleted, the function goes on using it."""
        return LayerUse(self.arn, self.package.sha256, self.package.size, self.unzipped)

    def is_open_to(self, caller: Caller) -> bool:
        if caller.account == self.name.account:
            return True
        return self.policy is not None and self.policy.allows(caller, self.arn)


def parse_version_arn(text: str) -> tuple[LayerName, int] | None:
    """None for what cannot be the ARN of a layer version of an account: AWS's own `awslayer`s, numbers beyond all."""
    arn = Arn.parse(text)
    if arn is None or not arn.resource.startswith("layer:"):
        return None
    _layer, name, digits = arn.resource.split(":")
    number = version_number(digits)
    return (LayerName(arn.account, arn.region, name), number) if number else None


def layer_statement(layer_arn: str, sid: str, principal: str, organization_id: str | None) -> Statement:
    """The statement that AddLayerVersionPermission writes."""
    region = layer_arn.split(":")[3]
    conditions = {"StringEquals": {"aws:PrincipalOrgID": organization_id} if organization_id else {}}
    who = permissions.principal(principal, region)
    return permissions.statement(sid, who, GET_ACTION, layer_arn, conditions)


def with_statement(current: LayerPolicy | None, statement: Statement, expected: str | None) -> LayerPolicy:
    """Raises for a Sid that is taken and where `expected` is not the RevisionId."""
    longer = permissions.with_statement(current.policy if current else None, statement)
    _check_revision(current, expected)
    return LayerPolicy(longer, revision_id())


def without_statement(current: LayerPolicy | None, sid: str, expected: str | None) -> LayerPolicy | None:
    """None after the last one. Raises where there is no such statement, and for a wrong RevisionId."""
    _check_revision(current, expected)
    if current is None:
        raise ResourceNotFoundException(f"Statement {sid} is not found in resource policy.")
    rest = permissions.without_statement(current.policy, sid)
    return None if rest is None else LayerPolicy(rest, revision_id())


def _check_revision(policy: LayerPolicy | None, expected: str | None) -> None:
    if expected is not None and expected != (policy.revision_id if policy else None):
        raise PreconditionFailedException(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetLayerPolicy API to retrieve the latest Revision Id"
        )


def not_authorized(context: Context, action: str, resource: str) -> AccessDeniedException:
    return AccessDeniedException(
        f"User: {context.caller.arn} is not authorized to perform: {action} on resource: {resource} "
        f"because no resource-based policy allows the {action} action"
    )
