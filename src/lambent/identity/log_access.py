"""What functions write to their log streams: as on AWS what their roles allow, and without a word where they don't.

Decided from memory when an environment begins its stream, and anew whenever policies change: a line asks nobody. What
is refused is dropped; the invocation and the tail in its answer know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lambent.arn import partition_of
from lambent.context import Caller
from lambent.identity.authorization import Decide
from lambent.identity.principals import Grants, Principals
from lambent.ports import Credentials, FunctionVersion, Identity, LogWriter

#: (account, region, name) of a log group → whether it exists.
HasGroup = Callable[[str, str, str], bool]


class Write(Protocol):
    def __call__(self, timestamp_ms: int, message: bytes) -> bool: ...


class LogAccess:
    """Implements ports.LogAccess."""

    def __init__(self, decide: Decide, principals: Principals, identity: Identity, has_group: HasGroup) -> None:
        self._decide = decide
        self._principals = principals
        self._identity = identity
        self._has_group = has_group
        self._open: set[_Guarded] = set()
        principals.watch(self._look_again)

    def __repr__(self) -> str:
        return f"<LogAccess [{len(self._open)} open streams]>"

    def guarded(
        self, writer: LogWriter, function: FunctionVersion, credentials: Credentials, group: str, stream: str
    ) -> LogWriter:
        session = self._identity.find_key(credentials.access_key_id, credentials.session_token).caller
        guarded = _Guarded(self, writer, session, function, group, stream)
        self._open.add(guarded)
        return guarded

    def grants(self, session: Caller) -> Grants:
        return self._principals.grants(session)

    def may(self, session: Caller, action: str, arn: str) -> bool:
        return self._decide(session, action, arn, None, {}).allowed

    def has_group(self, account: str, region: str, name: str) -> bool:
        return self._has_group(account, region, name)

    def forget(self, guarded: _Guarded) -> None:
        self._open.discard(guarded)

    def _look_again(self) -> None:
        """Called after each change of whom there is and what they may do."""
        for guarded in self._open:
            guarded.look_again()


class _Guarded:
    """A LogWriter whose `write` is the writer's own, or drops."""

    def __init__(
        self, access: LogAccess, writer: LogWriter, session: Caller, function: FunctionVersion, group: str, stream: str
    ) -> None:
        self._access = access
        self._writer = writer
        self._session = session
        self._group = (function.account, function.region, group)
        self._arn = (
            f"arn:{partition_of(function.region)}:logs:{function.region}:{function.account}:log-group:{group}"
            ":log-stream:"
        )
        self._stream = stream
        self.on_drain = writer.on_drain
        self._grants = access.grants(session)
        self.write: Write = self._decided()

    def look_again(self) -> None:
        """Decide anew, if anything of the role has changed."""
        grants = self._access.grants(self._session)
        if grants is not self._grants:
            self._grants = grants
            self.write = self._decided()

    def close(self) -> None:
        self._access.forget(self)
        self._writer.close()

    def _decided(self) -> Write:
        if not all(self._may(action, self._arn + self._stream) for action in ("CreateLogStream", "PutLogEvents")):
            return _drop
        return self._writer.write if self._has_group() else self._write_to_group

    def _has_group(self) -> bool:
        """Whether the group is there, or may be made."""
        return self._access.has_group(*self._group) or self._may("CreateLogGroup", self._arn)

    def _may(self, action: str, arn: str) -> bool:
        return self._access.may(self._session, f"logs:{action}", arn)

    def _write_to_group(self, timestamp_ms: int, message: bytes) -> bool:
        """The role may not make the group; somebody else may have by now."""
        if not self._access.has_group(*self._group):
            return True
        self.write = self._writer.write
        return self.write(timestamp_ms, message)


def _drop(timestamp_ms: int, message: bytes) -> bool:
    return True
