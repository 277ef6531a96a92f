"""Documents and questions that the tests of IAM share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

ACCOUNT = "000000000000"


def trust(service: str = "lambda.amazonaws.com") -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allow(*actions: str, resource: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contextmanager
def refused(code: str, message: str | None = None, status: int | None = None) -> Iterator[None]:
    """The call inside is refused with exactly this."""
    with pytest.raises(ClientError) as caught:
        yield
    error: Any = caught.value.response
    found = (error["Error"]["Code"], error["Error"]["Message"], error["ResponseMetadata"]["HTTPStatusCode"])
    expected = (code, found[1] if message is None else message, found[2] if status is None else status)
    assert found == expected


def no_such(noun: str, name: str) -> tuple[str, str, int]:
    return "NoSuchEntity", f"The {noun} with name {name} cannot be found.", 404


def body(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
