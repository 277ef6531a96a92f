"""Who there is and what they may do, in memory: authorization reads this and never the database.

Rebuilt from the rows at start, told of each change after its commit. What it hands out is compiled at the first need
and replaced by another object once anything behind it changes. Used on the event loop only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lambent.context import Caller
from lambent.identity.actions import EntityFacts
from lambent.identity.policy import Effect, Policy, PolicyKind, Principal, Question, evaluate, parse
from lambent.identity.principals import Grants, RoleFacts
from lambent.ports import SigningIdentity
from lambent.services.iam import managed, trusts
from lambent.services.iam.domain import Bounded, Entity, Group, Holder, ManagedPolicy, Role, User, key_of
from lambent.storage.secrets import SecretBox


def _all(effect: str, name: str) -> Grants:
    statement = {"Effect": effect, "Action": "*", "Resource": "*"}
    return Grants((parse({"Version": "2012-10-17", "Statement": statement}, kind=PolicyKind.IDENTITY, name=name),))


#: Of whoever exists no more: not even what resources grant to its name, which somebody else may bear by now.
_NOTHING = _all("Deny", "deleted")
#: Of whom a root let in: the policies of the session alone limit it.
_EVERYTHING = _all("Allow", "root")


class Directory:
    """Implements identity.principals.Principals and ports.Roles."""

    def __init__(self, secrets: SecretBox) -> None:
        self._secrets = secrets
        #: Every entity by its id.
        self._entities: dict[str, Entity] = {}
        self._by_arn: dict[str, Entity] = {}
        #: By account, kind and name as names are told apart.
        self._by_name: dict[tuple[str, str, str], Entity] = {}
        #: Active access keys.
        self._keys: dict[str, SigningIdentity] = {}
        # Compiled of the above, by ARN.
        self._grants: dict[str, Grants] = {}
        self._roles: dict[str, RoleFacts] = {}
        self._policies: dict[str, Policy] = {}
        #: Told of each change.
        self._watchers: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Directory [{len(self._entities)} entities, {len(self._keys)} keys]>"

    # ---- for requests ------------------------------------------------------------------------------------------

    def find_key(self, access_key_id: str) -> SigningIdentity | None:
        return self._keys.get(access_key_id)

    def grants(self, caller: Caller) -> Grants:
        arn = caller.principal_arn
        if caller.kind == "federated" and arn == f"arn:aws:iam::{caller.account}:root":
            return _EVERYTHING
        holder = self._by_arn.get(arn)
        # Sessions do not pass to another one that is made under the name of one that is gone.
        if not isinstance(holder, Bounded) or _id_of(caller) != holder.id:
            return _NOTHING
        grants = self._grants.get(arn)
        if grants is None:
            grants = self._grants[arn] = self._granted(holder)
        return grants

    def role(self, arn: str) -> RoleFacts | None:
        facts = self._roles.get(arn)
        if facts is None:
            role = self._by_arn.get(arn)
            if not isinstance(role, Role):
                return None
            trust = parse(trusts.meant(role), kind=PolicyKind.TRUST, name=arn)
            facts = self._roles[arn] = RoleFacts(arn, role.id, trust, role.max_session_s, dict(role.tags))
        return facts

    def can_be_assumed_by(self, role_arn: str, service: str) -> bool:
        facts = self.role(role_arn)
        if facts is None:
            return False
        account = role_arn.split(":")[4]
        question = Question("sts:AssumeRole", role_arn, Principal.service(service), {"aws:sourceaccount": (account,)})
        return evaluate(facts.trust, question).effect is Effect.ALLOW

    def managed_policy(self, arn: str) -> Policy | None:
        compiled = self._policies.get(arn)
        if compiled is None:
            policy = managed.POLICIES.get(arn) or self._by_arn.get(arn)
            if not isinstance(policy, ManagedPolicy):
                return None
            compiled = self._policies[arn] = parse(policy.default.document, kind=PolicyKind.IDENTITY, name=arn)
        return compiled

    def facts(self, account: str, kind: str, name: str) -> EntityFacts | None:
        """Implements identity.actions.Entities."""
        entity = self._by_name.get((account, kind, key_of(name)))
        if entity is None:
            return None
        return EntityFacts(entity.arn, entity.id, entity.tags, entity.boundary if isinstance(entity, Bounded) else "")

    def watch(self, changed: Callable[[], None]) -> None:
        self._watchers.append(changed)

    # ---- for IAM's own operations ------------------------------------------------------------------------------

    def find(self, arn: str) -> Entity | None:
        """A user, group, role, customer's policy or instance profile."""
        return self._by_arn.get(arn)

    def by_id(self, entity_id: str) -> Entity | None:
        return self._entities.get(entity_id)

    def user_of_key(self, access_key_id: str) -> User | None:
        """Whose access key it is, active or not."""
        users = (entity for entity in self._entities.values() if isinstance(entity, User))
        return next((user for user in users if user.access_key(access_key_id)), None)

    def used_ids(self) -> frozenset[str]:
        """Of everything whose last use is kept: access keys and roles."""
        keys = (key.id for user in self._entities.values() if isinstance(user, User) for key in user.access_keys)
        return frozenset(keys).union(one.id for one in self._entities.values() if isinstance(one, Role))

    # ---- for changes -------------------------------------------------------------------------------------------

    def put(self, entity: Entity) -> None:
        """One that is new, changed or renamed. Raises SecretError for a key that cannot be opened."""
        self._forget(entity.id)
        self._entities[entity.id] = entity
        self._by_arn[entity.arn] = entity
        self._by_name[entity.account, entity.kind, key_of(entity.name)] = entity
        if isinstance(entity, User):
            self._put_keys(entity)
        self._drop_compiled(entity)
        self._tell()

    def remove(self, entity: Entity) -> None:
        self._forget(entity.id)
        self._drop_compiled(entity)
        self._tell()

    def clear(self) -> None:
        for table in (self._entities, self._by_arn, self._by_name, self._keys):
            table.clear()
        for compiled in (self._grants, self._roles, self._policies):
            compiled.clear()
        self._tell()

    def _tell(self) -> None:
        for changed in self._watchers:
            changed()

    def _forget(self, entity_id: str) -> None:
        known = self._entities.pop(entity_id, None)
        if known is None:
            return
        # Another one may have taken the name already.
        if self._by_arn.get(known.arn) is known:
            del self._by_arn[known.arn]
        name = (known.account, known.kind, key_of(known.name))
        if self._by_name.get(name) is known:
            del self._by_name[name]
        self._drop_compiled(known)
        if isinstance(known, User):
            for key in known.access_keys:
                self._keys.pop(key.id, None)

    def _put_keys(self, user: User) -> None:
        for key in user.access_keys:
            if key.active:
                caller = Caller(
                    user.account, user.arn, user.id, key.id, kind="user", name=user.name, principal_arn=user.arn
                )
                self._keys[key.id] = SigningIdentity(self._secrets.open(key.sealed).decode(), caller)

    def _drop_compiled(self, entity: Entity) -> None:
        """What was compiled of `entity` counts no more."""
        if isinstance(entity, Group | ManagedPolicy):
            self._policies.pop(entity.arn, None)
            # Whoever may be in the group or have the policy: one of the account.
            prefix = f"arn:aws:iam::{entity.account}:"
            for arn in [arn for arn in self._grants if arn.startswith(prefix)]:
                del self._grants[arn]
        else:
            self._grants.pop(entity.arn, None)
            self._roles.pop(entity.arn, None)

    # ---- compiling ---------------------------------------------------------------------------------------------

    def _granted(self, holder: Bounded) -> Grants:
        identity = list(self._of(holder))
        if isinstance(holder, User):
            for group_id in holder.groups:
                group = self._entities.get(group_id)
                if isinstance(group, Group):
                    identity += self._of(group)
        boundary = self.managed_policy(holder.boundary) if holder.boundary else None
        return Grants(tuple(identity), boundary, dict(holder.tags))

    def _of(self, holder: Holder) -> Iterable[Policy]:
        """What is attached to `holder` itself."""
        for name, document in holder.inline.items():
            yield parse(document, kind=PolicyKind.INLINE, name=name)
        for arn in holder.attached:
            policy = self.managed_policy(arn)
            if policy is not None:
                yield policy


def _id_of(caller: Caller) -> str:
    """Of the user or role whose policies count for it."""
    if caller.kind == "federated":
        return caller.session.issuer_id if caller.session is not None else ""
    return caller.user_id.partition(":")[0]
