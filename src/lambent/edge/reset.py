"""`POST /_lambent/reset`: the region as on its first day, for test suites. The root key's call alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from lambent.edge.local import json_response
from lambent.errors import AccessDeniedException
from lambent.identity.credential import read_signature
from lambent.identity.sigv4 import SignatureVerifier
from lambent.ports import Resettable
from lambent.request import Request, Response

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Anyhow:
    """Stands for the operation: the call is Lambent's own, so a signature for any service will do."""

    signing_name: str = ""
    service: str = "lambent"
    protocol: str = "rest-json"


class Reset:
    """Empties `parts` in order: what runs comes before what it writes to."""

    def __init__(self, parts: Sequence[Resettable], root_key_id: str, verifier: SignatureVerifier | None) -> None:
        """`verifier` None: no signature is asked for."""
        self._parts = parts
        self._root_key_id = root_key_id
        self._verifier = verifier

    async def post(self, request: Request) -> Response:
        self._check(request)
        for part in self._parts:
            await part.reset()
        log.info("The region was reset.")
        return json_response({})

    def _check(self, request: Request) -> None:
        if request.sandbox_id is not None:
            raise AccessDeniedException("A function cannot reset the region that it runs in.")
        if self._verifier is None:
            return
        signature = read_signature(request, _Anyhow())
        caller = self._verifier.verify(request, _Anyhow(signature.service)).caller
        if caller.access_key_id != self._root_key_id:
            raise AccessDeniedException("Only the region's root key may reset it.")
