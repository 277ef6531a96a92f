"""Calls of Lambent's own that only the region's operator may make: signed with the root key, never from a function."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.edge.http_proxy import MARK
from lambent.errors import AccessDeniedException
from lambent.identity.credential import read_signature
from lambent.identity.sigv4 import SignatureVerifier
from lambent.request import Request


@dataclass(frozen=True, slots=True)
class _Anyhow:
    """Stands for the operation: the call is Lambent's own, so a signature for any service will do."""

    signing_name: str = ""
    service: str = "lambent"
    protocol: str = "rest-json"


class OperatorCheck:
    def __init__(self, root_key_id: str, verifier: SignatureVerifier | None) -> None:
        """`verifier` None: no signature is asked for."""
        self._root_key_id = root_key_id
        self._verifier = verifier

    def check(self, request: Request) -> None:
        """Raises AccessDeniedException, or what AWS answers to a bad signature."""
        if request.sandbox_id is not None:
            raise AccessDeniedException("A function cannot make this call to the region that it runs in.")
        if request.header(MARK) is not None:
            # Functions may make APIs, and send through them what they may not send themselves.
            raise AccessDeniedException("An API cannot make this call to the region that it is served by.")
        if self._verifier is None:
            return
        signature = read_signature(request, _Anyhow())
        caller = self._verifier.verify(request, _Anyhow(signature.claim.service)).caller
        if caller.access_key_id != self._root_key_id:
            raise AccessDeniedException("Only the region's root key may make this call.")
