"""Every key that signs, and the root key of a data dir: made once, in a file that only its owner reads."""

from __future__ import annotations

import json
import os
import secrets
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lambent.context import Caller
from lambent.identity.faults import UnknownKey
from lambent.identity.key_ids import new_access_key_id
from lambent.identity.sessions import SessionTokens
from lambent.ports import SigningIdentity

SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"
ROOT_ACCOUNT = "000000000000"


class KeyFileError(Exception):
    """A sentence for the operator: why the root key cannot be read."""


def load_root_key(path: Path) -> SigningIdentity:
    """The key in `path`, made there with mode 0600 if there is none. Raises KeyFileError."""
    try:
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"Others may read the root key in {path}: run `chmod 600 {path}`.")
        text = path.read_text()
    except FileNotFoundError:
        text = _create(path)
    except PermissionError:
        raise KeyFileError(f"The root key in {path} belongs to another user.") from None
    try:
        fields = json.loads(text)
        access_key_id, secret = str(fields["AccessKeyId"]), str(fields["SecretAccessKey"])
    except (ValueError, KeyError, TypeError) as error:
        raise KeyFileError(f"{path} is not a key file of Lambent: remove it and a new key is made.") from error
    return SigningIdentity(secret, Caller.root(ROOT_ACCOUNT, access_key_id))


def new_secret_access_key() -> str:
    return "".join(secrets.choice(SECRET_ALPHABET) for _ in range(40))


def _create(path: Path) -> str:
    key = {"AccessKeyId": new_access_key_id("AKIA", ROOT_ACCOUNT), "SecretAccessKey": new_secret_access_key()}
    text = json.dumps(key, indent=2) + "\n"
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    # A crash leaves either no key or a whole one.
    temporary.replace(path)
    return text


class KeyRing(Protocol):
    """Keys that hold until they are deleted, from memory."""

    def find_key(self, access_key_id: str) -> SigningIdentity | None: ...


class KnownKeys:
    """`ports.Identity`: the root key, the session tokens that this region sealed itself, and the keys of `rings`."""

    def __init__(self, root: SigningIdentity, sessions: SessionTokens, rings: Sequence[KeyRing] = ()) -> None:
        self._root = root
        self._sessions = sessions
        self._rings = rings

    @property
    def root(self) -> SigningIdentity:
        return self._root

    def find_key(self, access_key_id: str, session_token: str | None) -> SigningIdentity:
        if session_token is not None:
            return self._sessions.open(access_key_id, session_token)
        if access_key_id == self._root.caller.access_key_id:
            return self._root
        for ring in self._rings:
            found = ring.find_key(access_key_id)
            if found is not None:
                return found
        raise UnknownKey
