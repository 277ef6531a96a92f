"""IAM of a region put together: what `app` builds, starts, registers, resets and stops."""

from __future__ import annotations

from collections.abc import Sequence

from lambent.clock import Clock
from lambent.services.iam.accounts import Accounts
from lambent.services.iam.directory import Directory
from lambent.services.iam.entities import Entities
from lambent.services.iam.key_uses import KeyUses
from lambent.services.iam.operations.access_keys import AccessKeyOperations
from lambent.services.iam.operations.account import AccountOperations
from lambent.services.iam.operations.attachments import AttachmentOperations
from lambent.services.iam.operations.boundaries import BoundaryOperations
from lambent.services.iam.operations.groups import GroupOperations
from lambent.services.iam.operations.inline_policies import InlinePolicyOperations
from lambent.services.iam.operations.instance_profiles import InstanceProfileOperations
from lambent.services.iam.operations.policies import PolicyOperations
from lambent.services.iam.operations.policy_uses import PolicyUseOperations
from lambent.services.iam.operations.roles import RoleOperations
from lambent.services.iam.operations.service_linked_roles import ServiceLinkedRoleOperations
from lambent.services.iam.operations.simulation import SimulationOperations
from lambent.services.iam.operations.tags import TagOperations
from lambent.services.iam.operations.users import UserOperations
from lambent.services.iam.store import EntityStore
from lambent.storage.database import Database
from lambent.storage.secrets import SecretBox


class IamService:
    def __init__(self, *, database: Database, secrets: SecretBox, clock: Clock) -> None:
        #: Who there is and what they may do: `identity.principals.Principals` and `ports.Roles`.
        self.directory = Directory(secrets)
        store = EntityStore()
        #: What is told of each use of an access key.
        self.key_uses = KeyUses(database, store, clock)
        #: Those beside the region's first one, with their root keys.
        self.accounts = Accounts(database, secrets, clock)
        self._entities = entities = Entities(database, store, self.directory, clock)
        self.operations: Sequence[object] = (
            UserOperations(entities),
            GroupOperations(entities),
            RoleOperations(entities),
            PolicyOperations(entities),
            InlinePolicyOperations(entities),
            AttachmentOperations(entities),
            BoundaryOperations(entities),
            AccessKeyOperations(entities, self.key_uses, secrets),
            TagOperations(entities),
            InstanceProfileOperations(entities),
            ServiceLinkedRoleOperations(entities),
            PolicyUseOperations(entities),
            AccountOperations(entities, self.accounts),
            SimulationOperations(entities),
        )

    async def start(self) -> None:
        """After the database; before the first request."""
        await self.accounts.start()
        await self._entities.start()
        await self.key_uses.start()

    async def stop(self) -> None:
        """After the last request; before the database."""
        await self.key_uses.stop()

    async def reset(self) -> None:
        """Forget every entity of every account, and the accounts themselves."""
        await self._entities.delete_all()
        await self.accounts.reset()
        self.key_uses.clear()
