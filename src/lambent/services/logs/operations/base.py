"""What the operations of all nouns share: the store, finding what a request names, tokens of Describe pages."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from lambent.context import Context
from lambent.services.logs.catalogue import Group, Stream
from lambent.services.logs.domain import group_name
from lambent.services.logs.errors import InvalidParameterException, ResourceNotFoundException
from lambent.services.logs.store import LogStore

Params = dict[str, Any]
Result = dict[str, Any]


class Operations:
    def __init__(self, store: LogStore) -> None:
        self._store = store

    def _group(self, context: Context, name: str) -> Group:
        group = self._store.find_group(context.account, context.region, name)
        if group is None:
            raise ResourceNotFoundException
        return group

    def _identified_group(self, context: Context, params: Params) -> Group:
        """By `logGroupName` or `logGroupIdentifier`, exactly one of which must be there."""
        name, identifier = params.get("logGroupName"), params.get("logGroupIdentifier")
        if (name is None) == (identifier is None):
            raise InvalidParameterException("Exactly one of logGroupName and logGroupIdentifier must be specified.")
        return self._group(context, name) if name is not None else self._group_of(context, identifier or "")

    def _group_of(self, context: Context, identifier: str) -> Group:
        """By name or ARN."""
        return self._group(context, group_name(identifier, context.account, context.region))

    @staticmethod
    def _stream(group: Group, name: str) -> Stream:
        stream = group.streams.get(name)
        if stream is None:
            raise ResourceNotFoundException("The specified log stream does not exist.")
        return stream


def encode_token(last: str) -> str:
    """A Describe page's token: the sort key of its last item."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def decode_token(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise InvalidParameterException("The specified nextToken is invalid.") from None
