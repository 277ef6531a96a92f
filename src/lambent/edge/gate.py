"""Who sent a request: the check of signatures that `--auth` chose, for the AWS APIs and the doors beside them."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from lambent.identity.faults import SignedOperation
from lambent.identity.sigv4 import Verified
from lambent.request import Request

#: Hashing (and parsing) a body of this size takes longer than handing it to a thread.
LARGE_BODY = 256 * 1024


class Gate(Protocol):
    def verify(self, request: Request, operation: SignedOperation) -> Verified:
        """Who asks, and for which region; raises an AwsError where the signature is missing or does not hold."""


@dataclass(frozen=True, slots=True)
class SignedFor:
    """Stands for the operation where requests are none of an AWS API."""

    service: str
    signing_name: str
    protocol: str = "rest-json"


FUNCTION_URL = SignedFor("lambda", "lambda")
EXECUTE_API = SignedFor("execute-api", "execute-api")


async def verified(gate: Gate, request: Request, signed_for: SignedFor, workers: Executor) -> Verified:
    """`gate.verify`, on a thread where the body is large."""
    if len(request.body) < LARGE_BODY:
        return gate.verify(request, signed_for)
    return await asyncio.get_running_loop().run_in_executor(workers, gate.verify, request, signed_for)
