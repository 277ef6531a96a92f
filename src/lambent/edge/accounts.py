"""`/_lambent/accounts`: what `lambent accounts` asks. The operator's call alone.

A call to the running region, not a change of its data dir: the region holds the one lock on that, serves keys from
memory, and so believes a new root key from the next request on.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from lambent.edge.local import json_response
from lambent.edge.operator import OperatorCheck
from lambent.identity.keys import ROOT_ACCOUNT
from lambent.request import Request, Response
from lambent.services.iam.accounts import Account, AccountExists, Accounts

_ID = re.compile(r"\d{12}", re.ASCII)
NAME_CHARACTERS = 64


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    id: str | None = None
    name: str = ""


_decode = msgspec.json.Decoder(_Wanted).decode


class AccountsRoute:
    def __init__(self, accounts: Accounts, root_key_id: str, operator: OperatorCheck) -> None:
        self._accounts = accounts
        self._root_key_id = root_key_id
        self._operator = operator

    async def get(self, request: Request) -> Response:
        self._operator.check(request)
        first = Account(ROOT_ACCOUNT, "", 0, self._root_key_id)
        return json_response({"accounts": [_shown(account) for account in (first, *self._accounts.listed())]})

    async def post(self, request: Request) -> Response:
        self._operator.check(request)
        try:
            wanted = _decode(request.body or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return json_response({"message": 'Send JSON: {"id": "<twelve digits>", "name": "…"}, both optional.'}, 400)
        if wanted.id is not None and not _ID.fullmatch(wanted.id):
            return json_response({"message": f"The id of an account is twelve digits, not {wanted.id!r}."}, 400)
        if len(wanted.name) > NAME_CHARACTERS or not wanted.name.isprintable():
            return json_response({"message": f"The name of an account has {NAME_CHARACTERS} letters at most."}, 400)
        try:
            account, secret = await self._accounts.create(wanted.id, wanted.name)
        except AccountExists as error:
            return json_response({"message": str(error)}, 409)
        return json_response({**_shown(account), "secret_access_key": secret}, 201)


def _shown(account: Account) -> dict[str, Any]:
    """Never the secret."""
    return msgspec.structs.asdict(account)
