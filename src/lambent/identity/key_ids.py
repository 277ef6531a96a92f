"""Ids of access keys, which name their account as AWS's do: whoever finds a key learns whose it is, and nothing else.

https://awsteele.com/blog/2020/09/26/aws-access-key-format.html
"""

from __future__ import annotations

import base64
import binascii
import os

_PREFIX = 4
_ID_BYTES = 10
_ACCOUNT_SHIFT = 39
_ACCOUNT_BITS = (1 << 40) - 1
#: The first bit of an id that holds an account.
_MARK = 1 << 79


def new_access_key_id(prefix: str, account: str = "") -> str:
    """`AKIA…` or `ASIA…`; every account is twelve digits."""
    random = int.from_bytes(os.urandom(5)) >> 1
    number = _MARK | int(account or 0) << _ACCOUNT_SHIFT | random
    return prefix + base64.b32encode(number.to_bytes(_ID_BYTES)).decode()


def account_of(access_key_id: str) -> str | None:
    """The account that `access_key_id` names; None for an id that names none."""
    try:
        number = int.from_bytes(base64.b32decode(access_key_id[_PREFIX:]))
    except (binascii.Error, ValueError):
        return None
    account = number >> _ACCOUNT_SHIFT & _ACCOUNT_BITS
    if number >> 79 != 1 or account >= 10**12:
        return None
    return f"{account:012d}"
