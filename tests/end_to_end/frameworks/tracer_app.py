"""Traces itself with the X-Ray SDK and with Powertools, and calls the next function where the event names one."""

import json
import os

import boto3
from aws_lambda_powertools import Tracer
from aws_xray_sdk.core import xray_recorder

tracer = Tracer(service="shop", patch_modules=("botocore",))
functions = boto3.client("lambda")


@tracer.capture_method
def price(order):
    with xray_recorder.in_subsegment("## tax") as subsegment:
        subsegment.put_metadata("order", order)
    return 7


@tracer.capture_lambda_handler
def handler(event, context):
    tracer.put_annotation("order", event["order"])
    price(event["order"])
    if "next" in event:
        functions.invoke(FunctionName=event["next"], Payload=json.dumps({"order": event["order"]}))
    return os.environ["_X_AMZN_TRACE_ID"]
