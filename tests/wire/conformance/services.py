"""The services that the conformance suite goes through: a later service joins by a row."""

from __future__ import annotations

import json
from functools import cache

import botocore
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from lambent.wire import ApiModels, Router
from lambent.wire.query_names import SQS_QUERY_NAMES

#: Service → protocols that it takes; the first is the one that botocore uses.
SERVICES: dict[str, tuple[str, ...]] = {
    "lambda": ("rest-json",),
    "logs": ("json",),
    "sts": ("query",),
    "apigateway": ("rest-json",),
    "apigatewayv2": ("rest-json",),
    "iam": ("query",),
    "sqs": ("json", "query"),
    "sns": ("query",),
    "dynamodb": ("json",),
    "xray": ("rest-json",),
    "cloudwatch": ("smithy-rpc-v2-cbor", "json", "query"),
    "s3": ("rest-xml",),
}

#: Operations that nothing in a request tells from another one; the other one is served.
SHADOWED = {
    ("s3", "ListDirectoryBuckets"): "ListBuckets",
    ("s3", "GetBucketLifecycle"): "GetBucketLifecycleConfiguration",
    ("s3", "PutBucketLifecycle"): "PutBucketLifecycleConfiguration",
    ("s3", "GetBucketNotification"): "GetBucketNotificationConfiguration",
    ("s3", "PutBucketNotification"): "PutBucketNotificationConfiguration",
}


@cache
def router() -> Router:
    """With every model read, those too that a region reads at its first need."""
    made = Router(ApiModels(tuple(SERVICES)))
    made._read_late(None)
    return made


@cache
def botocore_model(service: str, protocol: str) -> ServiceModel:
    """botocore's own view of the service; for SQS under query with the names that its model had then."""
    data = Loader().load_service_model(service, "service-2")
    if (service, protocol) == ("sqs", "query"):
        data = json.loads(json.dumps(data))
        for shape, names in SQS_QUERY_NAMES.items():
            for part, name in names.items():
                (data["shapes"][shape] if part == "name" else data["shapes"][shape][part])["locationName"] = name
        for operation in data["operations"].values():
            if "output" in operation:
                operation["output"]["resultWrapper"] = f"{operation['name']}Result"
    return ServiceModel(data, service)


def operations() -> list[tuple[str, str, str]]:
    """Every operation under every protocol of its service."""
    return [
        (service, protocol, name)
        for service, protocols in SERVICES.items()
        for protocol in protocols
        for name in botocore_model(service, protocol).operation_names
    ]


def operation_model(service: str, protocol: str, name: str) -> OperationModel:
    return botocore_model(service, protocol).operation_model(name)


def botocore_version() -> str:
    return str(botocore.__version__)
