"""What Powertools for Python users write: logger, metrics, tracer, batch and idempotency in one function."""

from __future__ import annotations

import json
import os
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer, DataRecord

logger = Logger(service="shop")
metrics = Metrics(namespace="Shop", service="shop")
tracer = Tracer(service="shop")
processor = BatchProcessor(event_type=EventType.SQS)


class FilesInTmp(BasePersistenceLayer):
    """Keeps idempotency records where a table would be."""

    def _path(self, key: str) -> str:
        return f"/tmp/{key.replace('#', '-').replace('/', '-')}"

    def _get_record(self, idempotency_key: str) -> DataRecord:
        try:
            with open(self._path(idempotency_key)) as file:
                return DataRecord(**json.load(file))
        except FileNotFoundError:
            raise IdempotencyItemNotFoundError from None

    def _put_record(self, data_record: DataRecord) -> None:
        if os.path.exists(self._path(data_record.idempotency_key)):
            raise IdempotencyItemAlreadyExistsError
        self._update_record(data_record)

    def _update_record(self, data_record: DataRecord) -> None:
        fields = ("idempotency_key", "status", "expiry_timestamp", "in_progress_expiry_timestamp", "response_data")
        record = {name: getattr(data_record, name) for name in fields}
        record["status"] = data_record._status
        with open(self._path(data_record.idempotency_key), "w") as file:
            json.dump(record, file)

    def _delete_record(self, data_record: DataRecord) -> None:
        os.unlink(self._path(data_record.idempotency_key))


runs = 0


@idempotent(persistence_store=FilesInTmp(), config=IdempotencyConfig(event_key_jmespath="order"))
def pay(event: dict[str, Any], context: Any) -> dict[str, Any]:
    global runs
    runs += 1
    return {"paid": event["order"], "runs": runs}


@tracer.capture_method
def one_of_batch(record: Any) -> None:
    if json.loads(record.body)["bad"]:
        raise ValueError("a bad record")


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: Any) -> Any:
    if "Records" in event:
        return process_partial_response(event=event, record_handler=one_of_batch, processor=processor, context=context)
    if "order" in event:
        return pay(event, context)
    logger.info("An order came", extra={"order_id": event["id"]})
    metrics.add_metric(name="Orders", unit=MetricUnit.Count, value=2)
    tracer.put_annotation(key="order", value=event["id"])
    return {"ok": True}
