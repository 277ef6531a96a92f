"""What a function's code signing configuration says to a deployment.

There is no signer here, so no package is signed by anybody: Enforce refuses every one, Warn takes it, says so and
counts it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import Connection

from lambent.arn import function_arn
from lambent.context import Context
from lambent.ports import MetricSink
from lambent.services.lambda_.errors import CodeSigningConfigNotFoundException, CodeVerificationFailedException
from lambent.services.lambda_.signing.domain import ENFORCE, CodeSigningConfig, config_key
from lambent.services.lambda_.signing.store import SigningStore
from lambent.services.lambda_.store import Key
from lambent.storage.database import Database

log = logging.getLogger(__name__)


class Signing:
    """The region's code signing. Implements changes.Attachment."""

    def __init__(self, database: Database, store: SigningStore, metrics: MetricSink | None = None) -> None:
        self._database = database
        self._store = store
        self._metrics = metrics

    async def find(self, context: Context, arn: str) -> CodeSigningConfig:
        """The configuration to put on a function; raises CodeSigningConfigNotFoundException."""
        missing = CodeSigningConfigNotFoundException(
            "The code signing configuration cannot be found. "
            f"Check that the provided configuration is not deleted: {arn}."
        )
        key = config_key(context, arn, missing)
        config = await self._database.read(lambda tx: self._store.find(tx, key))
        if config is None:
            raise missing
        return config

    async def admit_new(self, context: Context, arn: str | None, function: Key) -> Callable[[Connection], None]:
        """The deployment of a function that is to have the configuration `arn`; returns what to write with it."""
        if not arn:
            return lambda tx: None
        config = await self.find(context, arn)
        self._judge(config, function)
        return lambda tx: self._store.use(tx, function, config.id)

    async def admit(self, function: Key, *, dry: bool = False) -> None:
        """A deployment of code or layers to `function`; raises CodeVerificationFailedException where it may not be.

        A `dry` one is asked about, and does not happen.
        """
        config = await self._database.read(lambda tx: self._store.used_by(tx, function))
        if config is not None:
            self._judge(config, function, dry)

    def _judge(self, config: CodeSigningConfig, function: Key, dry: bool = False) -> None:
        if config.policy == ENFORCE:
            raise CodeVerificationFailedException(
                "Lambda cannot deploy the function. The function or layer might be signed using a signature that the "
                f"client is not configured to accept. Check the provided signature for {function[2]}."
            )
        if dry:
            return
        log.warning("The code of %s is not signed, which %s allows.", function[2], config.arn)
        if self._metrics is not None:
            account, region, name = function
            self._metrics.count(function_arn(region, account, name), "SignatureValidationErrors")

    # ---- as an Attachment ----

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> None:
        # It is on the function alone.
        if qualifier is None:
            self._store.release(tx, key)

    def forget(self, key: Key, qualifier: str | None) -> None:
        pass

    def delete_all(self, tx: Connection) -> None:
        self._store.delete_all(tx)

    def forget_all(self) -> None:
        pass
