"""What AWS's services do differently on the wire and no model says: one row per service, read at compile time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lambent.wire.query_names import SQS_QUERY_NAMES

#: Services with large models that few regions need at once → the name that they sign with, which tells a request for
#: them before the model is read. Only of protocols that name no target: a target belongs to a model.
READ_LATE: Mapping[str, str] = {"apigateway": "apigateway", "apigatewayv2": "apigateway", "iam": "iam", "xray": "xray"}


@dataclass(frozen=True, slots=True)
class Dialect:
    #: Code of an error that the model's constraints find.
    validation_code: str = "ValidationException"
    #: Whether what is said of a value that fails a constraint repeats it.
    shows_values: bool = True
    #: Code and text for a required member that is not there, where the service has its own; `{}` is the member.
    missing: tuple[str, str] | None = None
    #: Whether lengths, patterns, enumerations and required members are checked here; S3 answers with errors of its own.
    checks_constraints: bool = True
    #: Stands before the name of a modelled error in `__type`.
    error_namespace: str = ""
    #: Protocols that the service takes beside those of its model.
    extra_protocols: tuple[str, ...] = ()
    #: Codes that AWS's query protocol has for error shapes, where the model lost them when the service moved to JSON.
    query_codes: Mapping[str, str] = field(default_factory=dict)
    #: Names that shapes and their parts have in the query protocol, lost likewise.
    query_names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: Member that holds the message of an error which the service does not model, by the error's name.
    message_members: Mapping[str, str] = field(default_factory=dict)
    #: Code, text and status where method and path fit no operation.
    no_route: tuple[str, str, int] | None = None
    #: Content-Type of a body that is a blob, by operation.
    blob_types: Mapping[str, str] = field(default_factory=dict)
    #: Header that carries the request id.
    request_id_header: bytes = b"x-amzn-requestid"
    #: Namespaces of the errors that no service models, in `__type`.
    framework_namespaces: Mapping[str, str] = field(default_factory=dict)
    #: Code of a body that can't be read.
    malformed_code: str = "SerializationException"
    #: A query request's path, where it is not `/`, names this member.
    path_member: str | None = None
    #: Operations whose XML answer is the value of their one member, as the root element.
    bare_xml_roots: frozenset[str] = frozenset()
    #: An XML error is an `Error` element without an envelope.
    bare_xml_errors: bool = False
    #: XML namespace of answers where the model has none, and of errors that come before there is an operation.
    xml_namespace: str | None = None
    #: Root elements of XML answers that are not named after the output's shape, by operation.
    xml_roots: Mapping[str, str] = field(default_factory=dict)


_SQS_QUERY_CODES = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently",
    "QueueNameExists": "QueueAlreadyExists",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
}

_CORAL = {
    "ValidationException": "com.amazon.coral.validate#",
    "SerializationException": "com.amazon.coral.service#",
    "UnknownOperationException": "com.amazon.coral.service#",
    "AccessDeniedException": "com.amazon.coral.service#",
    "InvalidSignatureException": "com.amazon.coral.service#",
    "UnrecognizedClientException": "com.amazon.coral.service#",
    "MissingAuthenticationTokenException": "com.amazon.coral.service#",
    "InternalFailure": "com.amazon.coral.service#",
}

_S3_ROOTS = {
    "ListBuckets": "ListAllMyBucketsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListParts": "ListPartsResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateSession": "CreateSessionResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetObjectAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycle": "LifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLocation": "LocationConstraint",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetObjectTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "ListBucketAnalyticsConfigurations": "ListBucketAnalyticsConfigurationResult",
    "ListBucketInventoryConfigurations": "ListInventoryConfigurationsResult",
    "ListBucketMetricsConfigurations": "ListMetricsConfigurationsResult",
}

DIALECTS: Mapping[str, Dialect] = {
    "lambda": Dialect(message_members={"AccessDeniedException": "Message"}, blob_types={"Invoke": "application/json"}),
    "logs": Dialect(validation_code="InvalidParameterException"),
    "apigatewayv2": Dialect(validation_code="BadRequestException"),
    "xray": Dialect(validation_code="InvalidRequestException"),
    "sts": Dialect(validation_code="ValidationError", xml_namespace="https://sts.amazonaws.com/doc/2011-06-15/"),
    "iam": Dialect(
        validation_code="ValidationError",
        shows_values=False,
        xml_namespace="https://iam.amazonaws.com/doc/2010-05-08/",
    ),
    "sns": Dialect(validation_code="ValidationError"),
    "sqs": Dialect(
        error_namespace="com.amazonaws.sqs#",
        extra_protocols=("query",),
        missing=("MissingParameter", "The request must contain the parameter {}."),
        path_member="QueueUrl",
        query_codes=_SQS_QUERY_CODES,
        query_names=SQS_QUERY_NAMES,
        xml_namespace="http://queue.amazonaws.com/doc/2012-11-05/",
    ),
    "dynamodb": Dialect(error_namespace="com.amazonaws.dynamodb.v20120810#", framework_namespaces=_CORAL),
    "cloudwatch": Dialect(
        missing=("MissingParameter", "The parameter {} is required."),
        validation_code="ValidationError",
        error_namespace="com.amazonaws.cloudwatch.v2010_08_01#",
    ),
    "s3": Dialect(
        checks_constraints=False,
        request_id_header=b"x-amz-request-id",
        xml_namespace="http://s3.amazonaws.com/doc/2006-03-01/",
        xml_roots=_S3_ROOTS,
        bare_xml_roots=frozenset({"GetBucketLocation"}),
        bare_xml_errors=True,
        no_route=("MethodNotAllowed", "The specified method is not allowed against this resource.", 405),
        malformed_code="MalformedXML",
    ),
}

_PLAIN = Dialect()


def dialect_of(service: str) -> Dialect:
    return DIALECTS.get(service, _PLAIN)
