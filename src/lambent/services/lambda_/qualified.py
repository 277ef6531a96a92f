"""What a name with or without a qualifier stands for in the tables: the function, one of its versions, an alias.

For what hangs on any of them: policies, URLs.
"""

from __future__ import annotations

from sqlalchemy import Connection

from lambent.ids import revision_id
from lambent.services.lambda_.aliases.domain import Alias
from lambent.services.lambda_.aliases.store import AliasStore
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.errors import ResourceNotFoundException
from lambent.services.lambda_.names import LATEST, FunctionName, is_alias
from lambent.services.lambda_.store import FunctionStore


class Qualified:
    """Call its methods inside `Database.read` or `write`."""

    def __init__(self, functions: FunctionStore, aliases: AliasStore) -> None:
        self._functions = functions
        self._aliases = aliases

    def find_function(self, tx: Connection, name: FunctionName, missing: str = "Function not found") -> Function:
        """Its $LATEST. Raises ResourceNotFoundException, `missing` before its ARN."""
        function = self._functions.find(tx, name.key)
        if function is None:
            raise ResourceNotFoundException(f"{missing}: {FunctionName(*name.key, None).arn}")
        return function

    def find(self, tx: Connection, name: FunctionName, missing: str = "Function not found") -> Function | Alias:
        """Raises ResourceNotFoundException, in the words of AWS for what does not exist."""
        function = self.find_function(tx, name, missing)
        qualifier = name.qualifier or LATEST
        if qualifier == LATEST:
            return function
        if not is_alias(qualifier):
            version = self._functions.find_version(tx, name.key, qualifier)
            if version is None:
                raise name.not_found()
            return version
        alias = self._aliases.find(tx, name.key, qualifier)
        if alias is None:
            # A name that no alias can have is looked for among the versions.
            raise (
                name.not_found()
                if "$" in qualifier
                else ResourceNotFoundException(f"Cannot find alias arn: {name.arn}")
            )
        return alias

    def touch(self, tx: Connection, target: Function | Alias) -> None:
        """Give what `find` gave a new RevisionId."""
        if isinstance(target, Alias):
            self._aliases.replace(tx, target.changed())
        else:
            self._functions.touch(tx, target, revision_id())
