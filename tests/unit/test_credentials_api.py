"""The credentials endpoint of a sandbox, asked by botocore's own provider over a socket."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from botocore.credentials import ContainerProvider

from lambent.clock import TestClock
from lambent.invoke.credentials_api import PATH, CredentialsApi
from lambent.invoke.http import SandboxApi
from lambent.ports import Credentials


class Role:
    """Issues credentials of an hour, numbered."""

    def __init__(self, clock: TestClock) -> None:
        self._clock = clock
        self.issued = 0

    def __call__(self) -> Credentials:
        self.issued += 1
        return Credentials(f"ASIA{self.issued}", "secret", f"token {self.issued}", self._clock.now() + 3600)


class Endpoint:
    def __init__(self, url: str, service: CredentialsApi, role: Role, clock: TestClock) -> None:
        self.url, self.service, self.role, self.clock = url, service, role, clock

    async def ask(self, token: str | None, path: str = PATH.decode(), method: str = "GET") -> tuple[int, bytes]:
        def ask() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=5)
            connection.request(method, path, headers={} if token is None else {"Authorization": token})
            response = connection.getresponse()
            return response.status, response.read()

        return await asyncio.to_thread(ask)


def serve(scenario: Callable[[Endpoint], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        clock = TestClock(datetime.now(UTC).timestamp())
        role = Role(clock)
        service = CredentialsApi(role, clock)
        listener = socket.create_server(("127.0.0.1", 0))
        tasks: set[asyncio.Task[None]] = set()

        def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
            tasks.add(asyncio.create_task(work, name=name))

        api = SandboxApi(asyncio.get_running_loop(), listener, spawn, lambda error: None)
        api.mount(PATH, service)
        api.listen()
        try:
            await scenario(Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}", service, role, clock))
        finally:
            api.close()
            listener.close()

    asyncio.run(run())


def test_an_sdk_gets_credentials_that_know_when_they_end() -> None:
    async def scenario(endpoint: Endpoint) -> None:
        environ = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url + PATH.decode(),
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": endpoint.service.token,
        }
        found = await asyncio.to_thread(ContainerProvider(environ).load)
        frozen = await asyncio.to_thread(found.get_frozen_credentials)
        assert tuple(frozen)[:3] == ("ASIA1", "secret", "token 1")
        answer = json.loads((await endpoint.ask(endpoint.service.token))[1])
        assert set(answer) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
        ends = datetime.strptime(answer["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert abs(ends.timestamp() - endpoint.clock.now() - 3600) < 1

    serve(scenario)


def test_nobody_gets_any_without_the_token() -> None:
    async def scenario(endpoint: Endpoint) -> None:
        token = endpoint.service.token
        for wrong in (None, "", token[:-1], token + "x", f"Bearer {token}"):
            status, body = await endpoint.ask(wrong)
            assert (status, b"AccessKeyId" in body) == (404, False)
        assert (await endpoint.ask(token, PATH.decode() + "/more"))[0] == 404
        assert (await endpoint.ask(token, method="PUT"))[0] == 405
        assert endpoint.role.issued == 0

    serve(scenario)


def test_they_are_the_same_until_they_are_about_to_run_out() -> None:
    async def scenario(endpoint: Endpoint) -> None:
        token = endpoint.service.token
        first = await endpoint.ask(token)
        endpoint.clock.advance(1500)
        assert await endpoint.ask(token) == first
        endpoint.clock.advance(600)
        assert b"ASIA2" in (await endpoint.ask(token))[1]

    serve(scenario)


def test_every_environment_has_a_token_of_its_own() -> None:
    clock = TestClock()
    tokens = {CredentialsApi(Role(clock), clock).token for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 32
