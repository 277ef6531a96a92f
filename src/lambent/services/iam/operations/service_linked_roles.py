"""Roles that services make for themselves: known names and paths, changed and deleted through their service alone.

AWS attaches a policy of the service's own to each. No service of this region acts through one, so here they have none.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam import describe
from lambent.services.iam.domain import Role, new_id
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import (
    EntityAlreadyExistsException,
    InvalidInputException,
    NoSuchEntityException,
)
from lambent.services.iam.rules import SERVICE_PATH

#: What services call their role, where that is not AWSServiceRoleFor and the service's own name.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html
_NAMES: Mapping[str, str] = {
    "autoscaling": "AutoScaling",
    "batch": "Batch",
    "cks.kms": "KeyManagementServiceCustomKeyStores",
    "cloudtrail": "CloudTrail",
    "config": "Config",
    "dynamodb.application-autoscaling": "ApplicationAutoScaling_DynamoDBTable",
    "ecs": "ECS",
    "ecs.application-autoscaling": "ApplicationAutoScaling_ECSService",
    "eks": "AmazonEKS",
    "eks-nodegroup": "AmazonEKSNodegroup",
    "elasticache": "ElastiCache",
    "elasticfilesystem": "AmazonElasticFileSystem",
    "elasticloadbalancing": "ElasticLoadBalancing",
    "es": "AmazonElasticsearchService",
    "events": "CloudWatchEvents",
    "guardduty": "AmazonGuardDuty",
    "kafka": "Kafka",
    "lambda": "Lambda",
    "lambda.application-autoscaling": "ApplicationAutoScaling_LambdaConcurrency",
    "logger.cloudfront": "CloudFrontLogger",
    "opensearchservice": "AmazonOpenSearchService",
    "ops.apigateway": "APIGateway",
    "organizations": "Organizations",
    "rds": "RDS",
    "rds.application-autoscaling": "ApplicationAutoScaling_RDSCluster",
    "replication.dynamodb": "DynamoDBReplication",
    "replicator.lambda": "LambdaReplicator",
    "spot": "EC2Spot",
    "spotfleet": "EC2SpotFleet",
    "ssm": "AmazonSSM",
    "sso": "SSO",
    "support": "Support",
    "trustedadvisor": "TrustedAdvisor",
    "wafv2": "WAFV2Logging",
}
#: Services that let an account have several roles, told apart by a suffix.
_WITH_SUFFIX = frozenset(("autoscaling", "connect", "lex", "cks.kms"))
_SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?", re.ASCII)
#: Deletions remembered, of all accounts; the oldest are forgotten first.
TASKS = 1024


class ServiceLinkedRoleOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        #: (account, id) of deletions, all of them done.
        self._tasks: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def CreateServiceLinkedRole(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        service = params["AWSServiceName"]
        name = _name(service, params.get("CustomSuffix"))
        trusted = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        made = Role(
            account=context.account,
            name=name,
            path=f"{SERVICE_PATH}{service}/",
            id=new_id(Role),
            created=self._entities.now(),
            trust=json.dumps({"Version": "2012-10-17", "Statement": [trusted]}),
            description=params.get("Description"),
        )
        try:
            await self._entities.create(made)
        except EntityAlreadyExistsException:
            raise InvalidInputException(
                f"Service role name {name} has been taken in this account, please try a different suffix."
            ) from None
        return {"Role": describe.nested_role(made)}

    async def DeleteServiceLinkedRole(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        """AWS asks the service first and takes its time; here nothing uses the role, so it goes at once."""

        def found(tx: Connection) -> Role:
            role = self._entities.get(tx, Role, context.account, params["RoleName"])
            if not role.path.startswith(SERVICE_PATH):
                raise InvalidInputException(f"The role {role.name} is not a service-linked role.")
            return role

        role = await self._entities.find(Role, context.account, params["RoleName"])
        await self._entities.delete(found)
        task = f"task{role.path}{role.name}/{uuid.uuid4()}"
        self._tasks[context.account, task] = None
        while len(self._tasks) > TASKS:
            self._tasks.popitem(last=False)
        return {"DeletionTaskId": task}

    async def GetServiceLinkedRoleDeletionStatus(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        task = params["DeletionTaskId"]
        if (context.account, task) not in self._tasks:
            raise NoSuchEntityException(f"Deletion task {task} cannot be found.")
        return {"Status": "SUCCEEDED"}


def _name(service: str, suffix: str | None) -> str:
    if not _SERVICE.fullmatch(service):
        raise InvalidInputException(f"The service name {service} is not valid.")
    short = service.partition(".amazonaws.com")[0]
    words = _NAMES.get(short) or "".join(word.capitalize() for word in re.split(r"[.-]", short))
    if suffix is None:
        return f"AWSServiceRoleFor{words}"
    if short not in _WITH_SUFFIX:
        raise InvalidInputException(f"Custom suffix is not allowed for {service}")
    return f"AWSServiceRoleFor{words}_{suffix}"
