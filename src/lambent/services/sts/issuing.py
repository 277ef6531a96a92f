"""From a session that is allowed to the answer that carries its credentials."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lambent.context import Caller
from lambent.identity.sessions import TOKEN_BYTES, SessionTokens
from lambent.ports import Credentials
from lambent.services.sts import rules

#: Digits that are added at a time to a token that is to be longer; sealing and base64 make them take more.
_PADDING_STEP = 32


class Issuer:
    def __init__(self, sessions: SessionTokens) -> None:
        self._sessions = sessions

    def answer(self, caller: Caller, duration_s: int, params: Mapping[str, Any]) -> dict[str, Any]:
        """The members that all answers with credentials have. Raises PackedPolicyTooLargeException."""
        assert caller.session is not None
        packed = rules.packed_percentage(caller.session)
        credentials = self._issued(caller, duration_s, params.get("MinimumSessionTokenSize") or 0)
        size = len(credentials.session_token)
        result: dict[str, Any] = {
            "Credentials": {
                "AccessKeyId": credentials.access_key_id,
                "SecretAccessKey": credentials.secret_access_key,
                "SessionToken": credentials.session_token,
                "Expiration": datetime.fromtimestamp(int(credentials.expires_at), UTC),
            },
            "SessionTokenSize": size,
            "SessionTokenUtilization": size * 100 // TOKEN_BYTES,
        }
        if packed is not None:
            result["PackedPolicySize"] = packed
        return result

    def _issued(self, caller: Caller, duration_s: int, least: int) -> Credentials:
        """With a token of at least `least` characters, as far as the limit of tokens allows."""
        padding = ""
        while True:
            credentials = self._sessions.issue(caller, duration_s, padding)
            missing = least - len(credentials.session_token)
            if missing <= 0:
                return credentials
            # Random digits: others would be packed away. Two thirds of what is missing never overshoots.
            added = max(_PADDING_STEP, missing * 2 // 3) if missing > _PADDING_STEP else 1
            padding += secrets.token_hex(added)[:added]
