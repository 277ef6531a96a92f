"""Provisioned concurrency in the data plane: environments that are there before anybody asks, and stay."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lambent.clock import TestClock
from lambent.invoke.admission import Admission
from lambent.invoke.errors import TenantIdRefused, TooManyRequestsException
from lambent.invoke.provisioning import INIT_FAILED, NO_MEMORY
from lambent.invoke.starts import AT_ONCE
from lambent.ports import FunctionVersion, Provision
from lambent.sandbox.spec import SandboxError
from tests.invoke_support import Bench, bench, do, function, invocation

Scenario = Callable[[Bench], Awaitable[None]]
VERSION = function(version="1")


def run(folder: Path, scenario: Scenario, **options: Any) -> None:
    async def main() -> None:
        async with bench(folder, **options) as b:
            await scenario(b)

    asyncio.run(main())


def states(b: Bench) -> list[str]:
    return sorted(
        f"{each['state']}{' provisioned' if each['provisioned'] else ''}" for each in b.invoker.environments()
    )


async def ready(b: Bench, count: int, version: FunctionVersion = VERSION) -> None:
    await b.settle(lambda: b.invoker.provision_of(version).available == count)


def test_environments_are_there_before_anybody_asks(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.invoker.provision(VERSION, 3)
        assert b.invoker.provision_of(VERSION).requested == 3
        await ready(b, 3)
        assert b.invoker.provision_of(VERSION) == Provision(3, 3, 3, "")
        result = await b.invoker.invoke(VERSION, invocation(1))
        assert len(b.launcher.launched) == 3
        assert result.record.provisioned is True
        # Its init shows, and was paid for before.
        assert result.record.init_ms is not None
        assert result.record.billed_ms < 1 + result.record.duration_ms + result.record.init_ms
        assert sum(line.startswith("INIT_REPORT Init Duration: ") for line in b.lines()) == 3
        assert next(line for line in b.lines() if line.startswith("INIT_REPORT")).endswith("\tPhase: init\n")

    run(tmp_path, scenario)


def test_the_runtime_is_told_how_it_was_initialised(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.invoker.provision(VERSION, 1)
        await ready(b, 1)
        told = json.loads((await b.invoker.invoke(VERSION, do({"variable": "AWS_LAMBDA_INITIALIZATION_TYPE"}))).payload)
        assert told == "provisioned-concurrency"
        other = function(name="other")
        told = json.loads((await b.invoker.invoke(other, do({"variable": "AWS_LAMBDA_INITIALIZATION_TYPE"}))).payload)
        assert told == "on-demand"

    run(tmp_path, scenario)


def test_what_it_has_no_room_for_spills_over_to_on_demand(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.invoker.provision(VERSION, 1)
        await ready(b, 1)
        both = await asyncio.gather(*(b.invoker.invoke(VERSION, do({"sleep": 0.2})) for _ in range(2)))
        assert sorted(result.record.provisioned for result in both) == [False, True]
        # The provisioned one is preferred afterwards.
        assert (await b.invoker.invoke(VERSION, invocation(1))).record.provisioned is True

    run(tmp_path, scenario)


def test_a_reservation_of_the_same_size_lets_nothing_spill(tmp_path: Path) -> None:
    version = function(version="1", reserved_concurrency=1)

    async def scenario(b: Bench) -> None:
        b.invoker.reserve("000000000000", "us-east-1", "hello", 1)
        b.invoker.provision(version, 1)
        await ready(b, 1, version)
        first = asyncio.create_task(b.invoker.invoke(version, do({"sleep": 0.2})))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequestsException) as caught:
            await b.invoker.invoke(version, invocation(1))
        assert caught.value.members["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        await first

    run(tmp_path, scenario)


def test_idling_takes_none_of_them_away(tmp_path: Path) -> None:
    clock = TestClock()

    async def scenario(b: Bench) -> None:
        b.invoker.provision(VERSION, 2)
        await ready(b, 2)
        await b.invoker.invoke(function(name="other"), invocation(1))
        for seconds in (1, 700, 700):
            clock.advance(seconds)
            b.invoker._timers.run_due()
        assert states(b) == ["frozen provisioned"] * 2
        assert (await b.invoker.invoke(VERSION, invocation(1))).record.provisioned is True
        assert len(b.launcher.launched) == 3

    run(tmp_path, scenario, clock=clock)


def test_scarce_memory_takes_none_of_them_away(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.invoker.provision(VERSION, 1)
        await ready(b, 1)
        for number in range(6):
            await b.invoker.invoke(function(name=f"f{number}"), invocation(1))
        assert any(state.endswith(" provisioned") for state in states(b))
        assert len(states(b)) < 6

    run(tmp_path, scenario, memory_budget_mb=100)


def test_one_that_dies_is_replaced(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.invoker.provision(VERSION, 1)
        await ready(b, 1)
        [first] = b.launcher.launched
        os.killpg(first._process.pid, signal.SIGKILL)
        await b.settle(lambda: len(b.launcher.launched) == 2)
        await ready(b, 1)
        # And so is one that ends while it serves.
        assert (await b.invoker.invoke(VERSION, do({"exit": 1}))).function_error == "Unhandled"
        await b.settle(lambda: len(b.launcher.launched) == 3, seconds=8)
        await ready(b, 1)
        assert (await b.invoker.invoke(VERSION, invocation(1))).record.provisioned is True

    run(tmp_path, scenario)


def test_before_its_credentials_run_out_it_is_replaced(tmp_path: Path) -> None:
    clock = TestClock()

    async def scenario(b: Bench) -> None:
        b.invoker.provision(VERSION, 1)
        await ready(b, 1)
        for seconds in (1, 12 * 3600):
            clock.advance(seconds)
            b.invoker._timers.run_due()
        await b.settle(lambda: len(b.launcher.launched) == 2)
        await ready(b, 1)

    run(tmp_path, scenario, clock=clock)


def test_a_failing_init_is_said_and_tried_again_ever_more_seldom(tmp_path: Path) -> None:
    clock = TestClock()
    broken = function(version="1", environment={"INIT": json.dumps([{"fail": "Runtime.ImportModuleError"}])})

    async def scenario(b: Bench) -> None:
        b.invoker.provision(broken, 1)
        await b.settle(lambda: len(b.launcher.launched) == 2)
        await b.settle(lambda: b.invoker.provision_of(broken).allocated == 0)
        assert b.invoker.provision_of(broken) == Provision(1, 0, 0, INIT_FAILED)
        for launches in (3, 4, 5):
            clock.advance(2.0 ** (launches - 3))
            b.invoker._timers.run_due()
            await b.settle(lambda launches=launches: len(b.launcher.launched) == launches)
            await b.settle(lambda: b.invoker.provision_of(broken).allocated == 0)
            b.invoker._timers.run_due()
            assert len(b.launcher.launched) == launches

    run(tmp_path, scenario, clock=clock)


def test_too_little_memory_is_said_and_mended_when_there_is_more(tmp_path: Path) -> None:
    clock = TestClock()

    async def scenario(b: Bench) -> None:
        call = asyncio.create_task(b.invoker.invoke(function(name="other"), do({"sleep": 0.3})))
        await b.settle(lambda: b.invoker.statistics()["busy"] == 1)
        b.invoker.provision(VERSION, 1)
        assert b.invoker.provision_of(VERSION).failure == NO_MEMORY
        await call
        clock.advance(5)
        b.invoker._timers.run_due()
        await ready(b, 1)
        assert b.invoker.provision_of(VERSION).failure == ""

    run(tmp_path, scenario, clock=clock, memory_budget_mb=50)


def test_what_the_platform_cannot_start_fails_no_request(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.launcher.launch_error = SandboxError("launch", "no such thing")
        b.invoker.provision(VERSION, 1)
        await b.settle(lambda: b.invoker.provision_of(VERSION).failure != "")
        b.launcher.launch_error = None
        assert (await b.invoker.invoke(VERSION, invocation(1))).payload == b"1"
        await ready(b, 1)

    run(tmp_path, scenario)


def test_less_of_it_ends_what_is_idle_and_lets_the_rest_finish(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.invoker.provision(VERSION, 3)
        await ready(b, 3)
        call = asyncio.create_task(b.invoker.invoke(VERSION, do({"sleep": 0.1})))
        await asyncio.sleep(0)
        b.invoker.provision(VERSION, 0)
        assert states(b) == ["busy"]
        assert b.invoker.provision_of(VERSION) == Provision()
        await call
        assert states(b) == ["ready"]
        b.invoker.provision(VERSION, 2)
        await ready(b, 2)

    run(tmp_path, scenario)


def test_a_deleted_function_takes_what_was_provisioned_with_it(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.invoker.provision(VERSION, 2)
        await ready(b, 2)
        b.invoker.retire("000000000000", "us-east-1", "hello")
        b.invoker.forget("000000000000", "us-east-1", "hello")
        await b.settle(lambda: b.launcher.alive == {})
        assert b.invoker.statistics()["groups"] == 0

    run(tmp_path, scenario)


def test_so_many_are_started_at_once_and_the_rest_wait_their_turn(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.launcher.gate = asyncio.Event()
        count = AT_ONCE + 5
        calls = [asyncio.create_task(b.invoker.invoke(function(), invocation(1))) for _ in range(count)]
        other = asyncio.create_task(b.invoker.invoke(function(name="other"), invocation(2)))
        await asyncio.sleep(0)
        statistics = b.invoker.statistics()
        assert (statistics["launching"], statistics["starts_waiting"]) == (AT_ONCE, 6)
        b.launcher.gate.set()
        assert (await other).payload == b"2"
        await asyncio.gather(*calls)
        # Whoever was free first served those who waited: what was not begun by then never was.
        await b.settle(lambda: b.invoker.statistics()["launching"] == 0)
        assert b.invoker.statistics()["starts_waiting"] == 0
        assert len(b.launcher.launched) <= count + 1

    run(tmp_path, scenario)


def test_tenants_together_have_so_many_environments(tmp_path: Path) -> None:
    shared = function(per_tenant=True)

    async def scenario(b: Bench) -> None:
        for tenant in "abcdefgh":
            await b.invoker.invoke(shared, invocation(1, tenant_id=tenant))
        tenants = [each["tenant"] for each in b.invoker.environments()]
        assert len(tenants) == 5
        assert "h" in tenants

    run(tmp_path, scenario, account_concurrency=2)


@pytest.mark.parametrize("tenant", ["", "a\0b", "ü", "x" * 257, "a\n"])
def test_whoever_asks_for_no_tenant_or_for_none_that_can_be_is_refused(tmp_path: Path, tenant: str) -> None:
    async def scenario(b: Bench) -> None:
        with pytest.raises(TenantIdRefused):
            await b.invoker.invoke(function(per_tenant=True), invocation(1, tenant_id=tenant))
        assert b.invoker.statistics()["running"] == 0

    run(tmp_path, scenario)


def test_starts_that_were_called_off_do_not_count_against_the_rate(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.launcher.gate = asyncio.Event()
        calls = [asyncio.create_task(b.invoker.invoke(function(), invocation(1))) for _ in range(200)]
        await asyncio.sleep(0)
        b.launcher.gate.set()
        await asyncio.gather(*calls)
        await b.settle(lambda: b.invoker.statistics()["launching"] == 0)
        left = b.invoker._admissions["000000000000", "us-east-1"].loads["hello"].start_tokens
        assert left >= 1000 - len(b.launcher.launched)

    run(tmp_path, scenario)


# ---- the arithmetic ----


def test_what_is_provisioned_is_set_aside_from_the_account() -> None:
    admission = Admission(10)
    admission.provision("a", "1", 4, 0.0)
    for _ in range(6):
        admission.acquire("b", "$LATEST", None, 0.0)
    with pytest.raises(TooManyRequestsException):
        admission.acquire("b", "$LATEST", None, 0.0)
    shares = [admission.acquire("a", "1", None, 0.0) for _ in range(4)]
    with pytest.raises(TooManyRequestsException) as caught:
        admission.acquire("a", "1", None, 0.0)
    assert caught.value.members["Reason"] == "ConcurrentInvocationLimitExceeded"
    assert admission.running == 10
    admission.release(*shares[0])
    admission.acquire("a", "1", None, 0.0)


def test_other_versions_do_not_use_what_is_provisioned_for_one() -> None:
    admission = Admission(1000)
    admission.reserve("a", 3, 0.0)
    admission.provision("a", "1", 2, 0.0)
    admission.acquire("a", "$LATEST", 3, 0.0)
    with pytest.raises(TooManyRequestsException):
        admission.acquire("a", "$LATEST", 3, 0.0)
    for _ in range(2):
        assert admission.acquire("a", "1", 3, 0.0)[1] is not None


def test_faster_than_ten_requests_a_second_for_each_unit_spills_over() -> None:
    admission = Admission(1000)
    admission.provision("a", "1", 2, 0.0)

    def shared() -> bool:
        load, share = admission.acquire("a", "1", None, 0.0)
        admission.release(load, share)
        return share is not None

    assert [shared() for _ in range(21)] == [True] * 20 + [False]


def test_peaks_are_told_once() -> None:
    admission = Admission(1000)
    admission.provision("a", "1", 1, 0.0)
    taken = [admission.acquire("a", "1", None, 0.0) for _ in range(3)]
    for each in taken[:2]:
        admission.release(*each)
    assert admission.take_peaks() == ({"a": 3}, 3, 2)
    assert admission.take_share_peak("a", "1") == (1, 1)
    assert admission.take_peaks() == ({"a": 1}, 1, 1)
    admission.release(*taken[2])
    admission.take_peaks()
    assert admission.take_peaks() == ({}, 0, 0)
