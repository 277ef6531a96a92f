"""The Lambda service without a server around it, on a data dir that it can be started on again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lambent.clock import TestClock
from lambent.context import Caller, Context
from lambent.ports import FunctionVersion, Invocation, InvokeResult, Provision
from lambent.request import Request, Response
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.service import LambdaService
from lambent.services.lambda_.store import FunctionStore
from lambent.storage.database import Database
from lambent.storage.secrets import SecretBox
from lambent.triggers.sink import Events

ACCOUNT, REGION = "000000000000", "us-east-1"
CALLER = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "AKIA")
CONTEXT = Context(ACCOUNT, REGION, CALLER, "request", "http://localhost:4566")
KEY = (ACCOUNT, REGION, "hello")


class Retired:
    """Stands for the data plane; remembers whose environments it was told to throw away."""

    def __init__(self) -> None:
        self.keys: list[tuple[str, str, str]] = []
        self.reservations: dict[str, int | None] = {}

    async def invoke(self, function: FunctionVersion, invocation: Invocation) -> InvokeResult:
        raise AssertionError("nothing is invoked here")

    def retire(self, account: str, region: str, name: str, version: str | None = None) -> None:
        self.keys.append((account, region, name))

    def reserve(self, account: str, region: str, name: str, amount: int | None) -> None:
        self.reservations[name] = amount

    def provision(self, function: FunctionVersion, amount: int) -> None: ...

    def provision_of(self, function: FunctionVersion) -> Provision:
        return Provision()

    def forget(self, account: str, region: str, name: str) -> None:
        self.reservations.pop(name, None)


class World:
    """One start of the service on a data dir."""

    def __init__(self, data_dir: Path, clock: TestClock, **options: Any) -> None:
        secrets = SecretBox(data_dir / "secret.key")
        self.data_dir = data_dir
        self.clock = clock
        self.database = Database(data_dir / "region.db")
        self.store = FunctionStore(secrets)
        self.invoker = Retired()
        events = Events(self.database, clock)
        self.service = LambdaService(
            data_dir=data_dir,
            database=self.database,
            secrets=secrets,
            invoker=self.invoker,
            events=events,
            destinations=events.destinations,
            clock=clock,
            **options,
        )

    async def call(self, operation: str, **params: Any) -> dict[str, Any]:
        for provider in self.service.operations:
            if method := getattr(provider, operation, None):
                result: dict[str, Any] = await method(CONTEXT, params)
                return result
        raise AssertionError(operation)

    async def row(self) -> Function | None:
        return await self.database.read(lambda tx: self.store.find(tx, KEY))

    async def set_row(self, change: Callable[[Function], Function]) -> None:
        await self.database.write(lambda tx: self.store.change(tx, KEY, lambda _tx, function: change(function)))

    async def settled(self) -> Function:
        async with asyncio.timeout(10):
            while True:
                function = await self.row()
                if function is not None and function.is_settled:
                    return function
                await asyncio.sleep(0)

    async def get(self, url: str) -> Response:
        parts = urlsplit(url)
        request = Request("GET", parts.path.encode(), parts.query.encode(), [], b"", "request")
        return await self.service.links.get(request)

    def packages(self) -> set[str]:
        trees = {path.name for path in (self.data_dir / "code").iterdir()}
        zips = {path.name for path in (self.data_dir / "packages").glob("*/*")}
        assert trees == zips
        return trees


Scenario = Callable[[World], Awaitable[None]]


def play(data_dir: Path, clock: TestClock, *scenarios: Scenario, **options: Any) -> None:
    """Run scenarios one after another, each in a new start of the service."""

    async def one(scenario: Scenario) -> None:
        world = World(data_dir, clock, **options)
        await world.database.start()
        await world.service.start()
        try:
            await scenario(world)
        finally:
            await world.service.stop()
            await world.database.stop()

    for scenario in scenarios:
        asyncio.run(one(scenario))
