"""What environments do about extensions, whose part the test plays over the Extensions API."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lambent.clock import TestClock
from lambent.ports import FunctionVersion
from lambent.sandbox.spec import ExitStatus
from tests.invoke_support import Bench, PlainSandbox, bench, do, function


class Actor:
    """One extension, as far as the API sees it."""

    def __init__(self, sandbox: PlainSandbox, name: str) -> None:
        self.sandbox = sandbox
        self.name = name
        self.id = ""

    async def call(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any]:
        host, port = self.sandbox.runtime_api_address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = [f"{method} /2020-01-01/extension/{path} HTTP/1.1", "Host: api", f"Content-Length: {len(body)}"]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*head, "Connection: close", "", body]).encode())
        try:
            answer = await reader.read()
        finally:
            writer.close()
        start, _, content = answer.partition(b"\r\n\r\n")
        for line in start.decode().split("\r\n"):
            if line.lower().startswith("lambda-extension-identifier:"):
                self.id = line.split(": ")[1]
        return int(start.split()[1]), json.loads(content or b"null")

    async def register(self, *events: str) -> int:
        body = json.dumps({"events": events})
        return (await self.call("POST", "register", body, Lambda_Extension_Name=self.name))[0]

    async def next(self) -> Any:
        return (await self.call("GET", "event/next", Lambda_Extension_Identifier=self.id))[1]

    def ends(self, code: int = 1) -> None:
        self.sandbox.extensions_exited[0].set_result(ExitStatus(code, None))


@pytest.fixture
def layered(tmp_path: Path) -> FunctionVersion:
    """A function with one extension, `watch`."""
    program = tmp_path / "layer" / "extensions" / "watch"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    return function(layers=(tmp_path / "layer",))


def run(folder: Path, scenario: Callable[[Bench], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with bench(folder / "sandboxes", **options) as b:
            await asyncio.wait_for(scenario(b), 20)

    (folder / "sandboxes").mkdir()
    asyncio.run(main())


async def started(b: Bench) -> PlainSandbox:
    await b.settle(lambda: bool(b.launcher.launched))
    return b.launcher.launched[-1]


async def begun(b: Bench, layered: FunctionVersion, *events: str) -> tuple[Actor, asyncio.Future[Any]]:
    """An invocation that waits for its first environment, and the extension registered there."""
    call = asyncio.ensure_future(b.invoker.invoke(layered, do({"calls": 0})))
    actor = Actor(await started(b), "watch")
    assert await actor.register(*events) == 200
    return actor, call


def test_the_runtime_initialises_after_extensions_registered_and_runs_once_they_wait(
    tmp_path: Path, layered: FunctionVersion
) -> None:
    async def scenario(b: Bench) -> None:
        said = function(layers=layered.layers, environment={"INIT": '[{"say": "init of the function\\n"}]'})
        call = asyncio.ensure_future(b.invoker.invoke(said, do({"calls": 0})))
        actor = Actor(await started(b), "watch")
        await asyncio.sleep(0.02)
        assert "init of the function\n" not in b.lines()
        await actor.register("INVOKE", "SHUTDOWN")
        await b.settle(lambda: "init of the function\n" in b.lines())
        await asyncio.sleep(0.02)
        assert not any(line.startswith("START") for line in b.lines())
        event = await actor.next()
        assert event["eventType"] == "INVOKE"
        assert (await call).payload == b"1"
        assert not any(line.startswith("END") for line in b.lines())
        waiting = asyncio.ensure_future(actor.next())
        await b.settle(lambda: any(line.startswith("REPORT") for line in b.lines()))
        [record] = b.records.records
        assert record.extensions_ms > 0
        assert record.duration_ms > record.extensions_ms
        await b.settle(lambda: "freeze" in actor.sandbox.history)
        b.invoker.age(600)
        assert (await waiting)["shutdownReason"] == "spindown"
        assert actor.sandbox.history[1:3] == ["thaw", "terminate"]
        actor.ends(0)
        await b.settle(lambda: b.launcher.alive == {})

    run(tmp_path, scenario)


def test_one_that_never_registers_costs_init_and_function_their_time(tmp_path: Path, layered: FunctionVersion) -> None:
    clock = TestClock()

    async def scenario(b: Bench) -> None:
        call = asyncio.ensure_future(b.invoker.invoke(layered, do({"calls": 0})))
        sandbox = await started(b)
        await b.settle(lambda: any("INIT_START" in line for line in b.lines()))
        clock.advance(10.1)
        b.invoker._timers.run_due()
        # It has its time to shut down, though it cannot hear of it; then the invocation has its own.
        await b.settle(lambda: "restart" in sandbox.history)
        await b.settle(lambda: b.invoker.environments()[0]["state"] == "reinit")
        clock.advance(5.1)
        b.invoker._timers.run_due()
        assert json.loads((await call).payload)["errorType"] == "Sandbox.Timedout"
        assert [line.split("Phase: ")[1] for line in b.lines() if line.startswith("INIT_REPORT")] == [
            "init\tStatus: timeout\n",
            "invoke\tStatus: timeout\n",
        ]
        assert "EXTENSION\tName: watch\tState: Started\tEvents: []\n" in b.lines()

    run(tmp_path, scenario, clock=clock)


def test_one_that_ends_while_idle_is_started_anew_with_the_next_invocation(
    tmp_path: Path, layered: FunctionVersion
) -> None:
    async def scenario(b: Bench) -> None:
        actor, call = await begun(b, layered, "SHUTDOWN")
        waiting = asyncio.ensure_future(actor.next())
        assert (await call).payload == b"1"
        actor.ends()
        await b.settle(lambda: b.invoker.environments()[0]["state"] == "stopped")
        second = asyncio.ensure_future(b.invoker.invoke(layered, do({"calls": 0})))
        await b.settle(lambda: "restart" in actor.sandbox.history)
        assert (await asyncio.gather(waiting, return_exceptions=True))[0] is not None
        again = Actor(actor.sandbox, "watch")
        await again.register("SHUTDOWN")
        waiting = asyncio.ensure_future(again.next())
        assert (await second).payload == b"1"
        again.ends(0)

    run(tmp_path, scenario)


def test_one_that_ends_after_the_answer_fails_the_invocation_and_not_the_client(
    tmp_path: Path, layered: FunctionVersion
) -> None:
    async def scenario(b: Bench) -> None:
        actor, call = await begun(b, layered, "INVOKE")
        await actor.next()
        result = await call
        assert (result.payload, result.function_error) == (b"1", None)
        actor.ends(3)
        await b.settle(lambda: bool(b.records.records))
        [record] = b.records.records
        assert (record.status, record.error_type) == ("failure", "Extension.Crash")
        assert b.lines()[-1].endswith("\tStatus: error\tError Type: Extension.Crash\n")

    run(tmp_path, scenario)


def test_who_asked_for_the_log_waits_for_its_end_and_gets_the_functions_answer_all_the_same(
    tmp_path: Path, layered: FunctionVersion
) -> None:
    async def scenario(b: Bench) -> None:
        call = asyncio.ensure_future(b.invoker.invoke(layered, do({"calls": 0}, log_tail=True)))
        actor = Actor(await started(b), "watch")
        await actor.register("INVOKE")
        await actor.next()
        await b.settle(lambda: b.invoker.environments()[0]["state"] == "finishing")
        assert not call.done()
        os.write(actor.sandbox.extension_ends[0], b"last words of the extension\n")
        actor.ends(3)
        result = await call
        assert (result.payload, result.function_error) == (b"1", None)
        lines = (result.log_tail or b"").splitlines()
        assert lines[1] == b"last words of the extension"
        assert lines[-1].endswith(b"\tError Type: Extension.Crash")

    run(tmp_path, scenario)


def test_the_runtimes_end_while_an_extension_works_resets_the_environment(
    tmp_path: Path, layered: FunctionVersion
) -> None:
    async def scenario(b: Bench) -> None:
        actor, call = await begun(b, layered, "INVOKE", "SHUTDOWN")
        await actor.next()
        await call
        os.killpg(actor.sandbox._process.pid, 9)
        await b.settle(lambda: b.invoker.environments()[0]["state"] == "stopped")
        event = await actor.next()
        assert (event["eventType"], event["shutdownReason"]) == ("SHUTDOWN", "failure")
        actor.ends(0)
        await b.settle(lambda: bool(b.records.records))
        assert b.records.records[0].error_type == "Runtime.ExitError"

    run(tmp_path, scenario)


def test_a_region_that_stops_gives_extensions_their_time(tmp_path: Path, layered: FunctionVersion) -> None:
    async def scenario(b: Bench) -> None:
        actor, call = await begun(b, layered, "SHUTDOWN")
        waiting = asyncio.ensure_future(actor.next())
        await call
        stopping = asyncio.ensure_future(b.invoker.stop())
        assert (await waiting)["shutdownReason"] == "spindown"
        assert not stopping.done()
        actor.ends(0)
        await stopping

    run(tmp_path, scenario)
