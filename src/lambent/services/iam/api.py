"""Every operation of IAM, each noun given what it needs. `service` imports this at the first call of one."""

from __future__ import annotations

from collections.abc import Sequence

from lambent.services.iam.accounts import Accounts
from lambent.services.iam.entities import Entities
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
from lambent.storage.secrets import SecretBox


def operations(entities: Entities, accounts: Accounts, secrets: SecretBox) -> Sequence[object]:
    return (
        UserOperations(entities),
        GroupOperations(entities),
        RoleOperations(entities),
        PolicyOperations(entities),
        InlinePolicyOperations(entities),
        AttachmentOperations(entities),
        BoundaryOperations(entities),
        AccessKeyOperations(entities, secrets),
        TagOperations(entities),
        InstanceProfileOperations(entities),
        ServiceLinkedRoleOperations(entities),
        PolicyUseOperations(entities),
        AccountOperations(entities, accounts),
        SimulationOperations(entities),
    )
