"""What the tests of the Lambda service share: good parameters to change, and refusals to compare."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.roles import ROLE

HANDLER = "def handler(event, context):\n    return event\n"


def zipped(files: dict[str, str] | None = None) -> bytes:
    """A zip of `files`, by default a Python handler that returns its event."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (files or {"app.py": HANDLER}).items():
            # A fixed time: the same files give the same zip.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


def definition(name: str, **changes: Any) -> dict[str, Any]:
    """Parameters of CreateFunction."""
    base = {
        "FunctionName": name,
        "Role": ROLE,
        "Runtime": "python3.12",
        "Handler": "app.handler",
        "Code": {"ZipFile": zipped()},
    }
    return {**base, **changes}


class Refusal:
    """What a refused call answered, for `assert refused(call) == (status, code, message)`."""

    def __init__(self, client: Any) -> None:
        self._error = client.exceptions.ClientError

    def __call__(self, call: Callable[..., Any], **params: Any) -> tuple[int, str, str]:
        with pytest.raises(self._error) as refusal:
            call(**params)
        response = refusal.value.response
        error = response["Error"]
        return response["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]
