"""What the tests of CloudWatch Logs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

NO_GROUP = ("ResourceNotFoundException", "The specified log group does not exist.")
NO_STREAM = ("ResourceNotFoundException", "The specified log stream does not exist.")


def refusal(call: Callable[..., Any], **params: Any) -> tuple[str, str]:
    """Code and message of the error that the call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def texts(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]
