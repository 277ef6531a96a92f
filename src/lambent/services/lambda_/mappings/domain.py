"""What an event source mapping may be: checked as AWS does and in its words, before anything is looked up. No I/O."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from lambent.arn import Arn
from lambent.services.lambda_.errors import InvalidParameterValueException
from lambent.services.lambda_.mappings.patterns import is_pattern


class Source(enum.Enum):
    """Kinds of event sources; the values name them."""

    QUEUE = "SQS"
    FIFO_QUEUE = "SQS FIFO"
    KINESIS = "Kinesis"
    DYNAMODB = "DynamoDB Streams"
    MANAGED_KAFKA = "Amazon MSK"
    SELF_MANAGED_KAFKA = "self-managed Kafka"
    MQ = "Amazon MQ"
    DOCUMENTDB = "DocumentDB"


_QUEUES = frozenset({Source.QUEUE, Source.FIFO_QUEUE})
_STREAMS = frozenset({Source.KINESIS, Source.DYNAMODB})
_KAFKA = frozenset({Source.MANAGED_KAFKA, Source.SELF_MANAGED_KAFKA})

#: Parameters that only some kinds know.
_KNOWN_BY = {
    "ParallelizationFactor": _STREAMS,
    "TumblingWindowInSeconds": _STREAMS,
    "MaximumRecordAgeInSeconds": _STREAMS | _KAFKA,
    "BisectBatchOnFunctionError": _STREAMS | _KAFKA,
    "MaximumRetryAttempts": _STREAMS | _KAFKA,
    "DestinationConfig": _STREAMS | _KAFKA,
    "FunctionResponseTypes": _QUEUES | _STREAMS | _KAFKA,
    "MaximumBatchingWindowInSeconds": frozenset(Source) - {Source.FIFO_QUEUE},
    "ScalingConfig": _QUEUES,
    "ProvisionedPollerConfig": _QUEUES | _KAFKA,
    "LoggingConfig": _KAFKA,
    "Topics": _KAFKA,
    "Queues": frozenset({Source.MQ}),
    "SourceAccessConfigurations": _KAFKA | {Source.MQ, Source.DOCUMENTDB},
    "AmazonManagedKafkaEventSourceConfig": frozenset({Source.MANAGED_KAFKA}),
    "SelfManagedKafkaEventSourceConfig": frozenset({Source.SELF_MANAGED_KAFKA}),
    "DocumentDBEventSourceConfig": frozenset({Source.DOCUMENTDB}),
}

#: Messages of one batch: of a FIFO queue, and of any queue without a batching window.
QUEUE_BATCH = 10
LEAST_RECORD_AGE = 60


def checked_source(params: Mapping[str, Any]) -> Source:
    """The kind of source that `params` of CreateEventSourceMapping mean; raises for the first that is wrong."""
    if (params.get("DestinationConfig") or {}).get("OnSuccess"):
        raise _unsupported("DestinationConfig")
    source = _source(params)
    _check_position(source, params)
    for name, kinds in _KNOWN_BY.items():
        if params.get(name) and source not in kinds:
            raise _unsupported(name)
    _check_batch(source, params)
    for given in (params.get("FilterCriteria") or {}).get("Filters") or []:
        if not is_pattern(given.get("Pattern") or ""):
            raise InvalidParameterValueException("Invalid filter pattern definition.")
    return source


def _source(params: Mapping[str, Any]) -> Source:
    if params.get("SelfManagedEventSource"):
        if not params.get("SourceAccessConfigurations"):
            raise InvalidParameterValueException("Required 'sourceAccessConfigurations' parameter is missing.")
        return Source.SELF_MANAGED_KAFKA
    arn = Arn.parse(params.get("EventSourceArn") or "")
    kind = _of_arn(arn) if arn is not None else None
    if kind is None:
        raise InvalidParameterValueException("Unrecognized event source.")
    return kind


def _of_arn(arn: Arn) -> Source | None:
    match arn.service:
        case "sqs":
            return Source.FIFO_QUEUE if arn.resource.endswith(".fifo") else Source.QUEUE
        case "kinesis":
            return Source.KINESIS
        case "dynamodb" if "/stream/" in arn.resource:
            return Source.DYNAMODB
        case "kafka":
            return Source.MANAGED_KAFKA
        case "mq":
            return Source.MQ
        case "rds":
            return Source.DOCUMENTDB
    return None


def _check_position(source: Source, params: Mapping[str, Any]) -> None:
    position, timestamp = params.get("StartingPosition"), params.get("StartingPositionTimestamp")
    if source in _QUEUES:
        if position:
            raise InvalidParameterValueException("StartingPosition is not valid for SQS event sources.")
        return
    if source in _STREAMS and not position:
        raise InvalidParameterValueException(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        )
    if timestamp is not None and position != "AT_TIMESTAMP":
        raise InvalidParameterValueException("Timestamp only valid with StartingPosition AT_TIMESTAMP")
    if source is Source.DYNAMODB and position == "AT_TIMESTAMP":
        raise InvalidParameterValueException(f"Unsupported starting position for arn type: {params['EventSourceArn']}")


def _check_batch(source: Source, params: Mapping[str, Any]) -> None:
    size, window = params.get("BatchSize") or 0, params.get("MaximumBatchingWindowInSeconds") or 0
    if source is Source.FIFO_QUEUE and size > QUEUE_BATCH:
        raise InvalidParameterValueException(f"Batch size must be {QUEUE_BATCH} or less for a FIFO queue.")
    if source is Source.QUEUE and size > QUEUE_BATCH and not window:
        raise InvalidParameterValueException(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )
    age = params.get("MaximumRecordAgeInSeconds")
    if age is not None and age != -1 and age < LEAST_RECORD_AGE:
        raise InvalidParameterValueException(
            f"MaximumRecordAgeInSeconds must be -1, or {LEAST_RECORD_AGE} or more: {age}"
        )


def _unsupported(parameter: str) -> InvalidParameterValueException:
    return InvalidParameterValueException(f"Unsupported {parameter} parameter for given event source mapping type.")
