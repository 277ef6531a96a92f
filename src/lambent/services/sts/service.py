"""STS of a region put together: what `app` builds and registers. It stores nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lambent.clock import Clock
from lambent.config import OidcIssuer
from lambent.identity.messages import AuthorizationMessages
from lambent.identity.principals import Principals
from lambent.identity.sessions import SessionTokens
from lambent.identity.signing_keys import Get, SigningKeys
from lambent.services.sts.issuers import Issuers
from lambent.services.sts.operations import StsOperations
from lambent.services.sts.web_identity import WebIdentityOperations


class StsService:
    def __init__(
        self,
        *,
        sessions: SessionTokens,
        principals: Principals,
        messages: AuthorizationMessages,
        issuers: Mapping[str, OidcIssuer],
        get: Get,
        clock: Clock,
        strict: bool,
        trusting: bool,
    ) -> None:
        """`get` asks token issuers. `strict` False: roles need not exist, and a root may assume them.

        `trusting`: holders of web identities are let in by roles that do not trust them. Nobody else signs for them, so
        this is for `--auth off` alone.
        """
        places = {url: issuer.jwks for url, issuer in issuers.items() if issuer.jwks}
        known = Issuers(issuers, SigningKeys(get, clock, places), clock)
        self.operations: Sequence[object] = (
            StsOperations(sessions, principals, messages, clock, strict=strict),
            WebIdentityOperations(sessions, principals, known, clock, trusting=trusting),
        )
