"""Versions with SnapStart while their snapshot is taken, and after: states, restarts, what it costs.

The data plane is a fake that takes as long as a test wants and says what a test wants.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lambda_helpers import definition, zipped
from service_world import KEY, World, play

from lambent.clock import TestClock
from lambent.errors import AwsError
from lambent.ports import FunctionVersion, SnapshotOutcome

ON = {"ApplyOn": "PublishedVersions"}
HOURS = 3600.0

Scenario = Callable[[World, "Camera", "Meter"], Awaitable[None]]


class Camera:
    """Stands for the data plane: a snapshot is there once `develop` says what became of it."""

    def __init__(self) -> None:
        self.asked: list[FunctionVersion] = []
        self._waiting: list[asyncio.Future[SnapshotOutcome]] = []

    async def prepare(self, function: FunctionVersion) -> SnapshotOutcome:
        self.asked.append(function)
        self._waiting.append(asyncio.get_running_loop().create_future())
        return await self._waiting[-1]

    async def develop(self, outcome: SnapshotOutcome) -> None:
        await eventually(lambda: bool(self._waiting))
        self._waiting.pop(0).set_result(outcome)


class Meter:
    """Stands for billing."""

    def __init__(self) -> None:
        self.inits: list[float] = []
        self.seconds = 0.0

    def initialised(self, function: FunctionVersion, init_ms: float) -> None:
        self.inits.append(init_ms)

    def cached(self, function: FunctionVersion, seconds: float) -> None:
        self.seconds += seconds


TAKEN = SnapshotOutcome(True, init_ms=812.5)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if condition():
                return
            await asyncio.sleep(0)


async def version(world: World, qualifier: str = "1") -> dict[str, Any]:
    return await world.call("GetFunctionConfiguration", FunctionName="hello", Qualifier=qualifier)


async def settled(world: World, qualifier: str = "1") -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            found = await version(world, qualifier)
            if found["State"] != "Pending":
                return found
            await asyncio.sleep(0)


async def publish(world: World) -> dict[str, Any]:
    """The first version of a function with SnapStart, still pending."""
    await world.call("CreateFunction", **definition("hello", SnapStart=ON))
    await world.settled()
    return await world.call("PublishVersion", FunctionName="hello")


def bound(scenario: Scenario, camera: Camera, meter: Meter) -> Callable[[World], Awaitable[None]]:
    return lambda world: scenario(world, camera, meter)


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def run(tmp_path: Path, clock: TestClock) -> Callable[..., Meter]:
    """Runs scenarios one after another, each in a new start on the same data dir; what they were billed together."""

    def start(*scenarios: Scenario) -> Meter:
        meter = Meter()
        for scenario in scenarios:
            camera = Camera()
            play(tmp_path / "data", clock, bound(scenario, camera, meter), snapshots=camera, snapshot_meter=meter)
        return meter

    return start


def test_a_version_is_pending_until_its_snapshot_is_there(run: Callable[..., Meter]) -> None:
    async def scenario(world: World, camera: Camera, meter: Meter) -> None:
        published = await publish(world)
        assert published["State"] == "Pending"
        assert published["StateReason"] == "The function is being created."
        assert published["StateReasonCode"] == "Creating"
        assert published["SnapStart"] == {**ON, "OptimizationStatus": "Off"}
        await eventually(lambda: len(camera.asked) == 1)
        function = camera.asked[0]
        assert (function.version, function.snap_start, function.state) == ("1", True, "Pending")
        await camera.develop(TAKEN)
        active = await settled(world)
        assert (active["State"], active["LastUpdateStatus"]) == ("Active", "Successful")
        assert active["SnapStart"] == {**ON, "OptimizationStatus": "On"}
        assert "StateReason" not in active
        # Whoever sees that it is active may invoke it at once.
        found = world.service.directory.find(*KEY, "1")
        assert found is not None
        assert (found.state, found.snap_start, found.environment_key) == ("Active", True, function.environment_key)
        latest = world.service.directory.find(*KEY, None)
        assert latest is not None
        assert not latest.snap_start
        assert (await version(world, "$LATEST"))["SnapStart"] == {**ON, "OptimizationStatus": "Off"}

    assert run(scenario).inits == [812.5]


FAILURES = {
    "an init that fails": (
        SnapshotOutcome(False, "InitError", "Runtime.ImportModuleError: no", 5.0, "Runtime.ImportModuleError"),
        "An error occurred during function initialization. Runtime.ImportModuleError: no",
        "FunctionError",
    ),
    "a hook that fails": (
        SnapshotOutcome(False, "HookError", "", 5.0, "Runtime.BeforeSnapshotError"),
        "An error occurred during function initialization.",
        "FunctionError",
    ),
    "an init that takes too long": (
        SnapshotOutcome(False, "InitTimeout", "It took longer than 130 s.", 130_000.0),
        "An error occurred during function initialization. It took longer than 130 s.",
        "FunctionError.InitTimeout",
    ),
    "a platform that fails": (
        SnapshotOutcome(False, "Internal", "The disk is full."),
        "The disk is full.",
        "InternalError",
    ),
}


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case.replace(" ", "-"))
def test_a_version_whose_snapshot_cannot_be_taken_has_failed_for_good(run: Callable[..., Meter], case: str) -> None:
    outcome, reason, code = FAILURES[case]
    expected = {
        "State": "Failed",
        "StateReason": reason,
        "StateReasonCode": code,
        "LastUpdateStatus": "Failed",
        "LastUpdateStatusReason": reason,
        "LastUpdateStatusReasonCode": code,
        "SnapStart": {**ON, "OptimizationStatus": "Off"},
    }

    async def fail(world: World, camera: Camera, meter: Meter) -> None:
        await publish(world)
        await camera.develop(outcome)
        found = await settled(world)
        assert {key: found[key] for key in expected} == expected
        again = await world.call("PublishVersion", FunctionName="hello")
        assert (again["Version"], again["State"]) == ("1", "Failed")
        with pytest.raises(AwsError) as refusal:
            await world.call("CreateAlias", FunctionName="hello", Name="live", FunctionVersion="1")
        assert refusal.value.wire_code == "ResourceConflictException"
        assert refusal.value.message.endswith(f"state: 'Failed', StateReasonCode: '{code}'")
        assert (await version(world, "$LATEST"))["State"] == "Active"

    async def look_again(world: World, camera: Camera, meter: Meter) -> None:
        assert (await version(world))["StateReasonCode"] == code
        assert world.service.directory.find(*KEY, "1").state == "Failed"  # type: ignore[union-attr]
        # Better code makes another version.
        await world.call("UpdateFunctionCode", FunctionName="hello", ZipFile=zipped({"app.py": "handler = print"}))
        await world.call("PublishVersion", FunctionName="hello")
        await camera.develop(TAKEN)
        assert (await settled(world, "2"))["State"] == "Active"
        assert len(camera.asked) == 1
        await world.call("DeleteFunction", FunctionName="hello", Qualifier="1")

    run(fail, look_again)


def test_a_function_that_cannot_be_copied_starts_as_any_other_and_says_why(run: Callable[..., Meter]) -> None:
    async def fall_back(world: World, camera: Camera, meter: Meter) -> None:
        await publish(world)
        await camera.develop(SnapshotOutcome(False, "Fallback", "A thread runs: worker.", 40.0))
        found = await settled(world)
        assert (found["State"], found["StateReason"]) == ("Active", "A thread runs: worker.")
        assert found["SnapStart"] == {**ON, "OptimizationStatus": "Off"}
        assert "StateReasonCode" not in found

    async def look_again(world: World, camera: Camera, meter: Meter) -> None:
        assert (await version(world))["StateReason"] == "A thread runs: worker."
        function = world.service.directory.find(*KEY, "1")
        assert function is not None
        assert (function.state, function.snap_start) == ("Active", False)
        assert camera.asked == []

    assert run(fall_back, look_again).seconds == 0


def test_a_restart_in_the_middle_takes_the_snapshot_again(run: Callable[..., Meter]) -> None:
    async def leave(world: World, camera: Camera, meter: Meter) -> None:
        await publish(world)
        await eventually(lambda: len(camera.asked) == 1)

    async def finish(world: World, camera: Camera, meter: Meter) -> None:
        assert (await version(world))["State"] == "Pending"
        await camera.develop(TAKEN)
        assert (await settled(world))["SnapStart"]["OptimizationStatus"] == "On"

    async def nothing_is_asked_again(world: World, camera: Camera, meter: Meter) -> None:
        assert (await version(world))["SnapStart"]["OptimizationStatus"] == "On"
        assert camera.asked == []

    run(leave, finish, nothing_is_asked_again)


def test_publishing_again_meanwhile_gives_the_same_version_and_asks_once(run: Callable[..., Meter]) -> None:
    async def scenario(world: World, camera: Camera, meter: Meter) -> None:
        first = await publish(world)
        revision = (await version(world, "$LATEST"))["RevisionId"]
        again = await world.call("PublishVersion", FunctionName="hello")
        assert (again["Version"], again["State"], again["RevisionId"]) == ("1", "Pending", first["RevisionId"])
        assert (await version(world, "$LATEST"))["RevisionId"] == revision
        await camera.develop(TAKEN)
        await settled(world)
        assert len(camera.asked) == 1

    run(scenario)


@pytest.mark.parametrize("qualifier", [None, "1"])
def test_deleting_it_meanwhile_ends_the_wait(run: Callable[..., Meter], qualifier: str | None) -> None:
    async def scenario(world: World, camera: Camera, meter: Meter) -> None:
        await publish(world)
        await eventually(lambda: len(camera.asked) == 1)
        await world.call("DeleteFunction", FunctionName="hello", **({"Qualifier": qualifier} if qualifier else {}))
        await eventually(lambda: not [task for task in asyncio.all_tasks() if "hello:1" in task.get_name()])
        if qualifier is None:
            await publish(world)
            assert (await version(world, "2"))["State"] == "Pending"
            await eventually(lambda: len(camera.asked) == 2)

    run(scenario)


def test_an_update_with_publish_takes_a_snapshot_too(run: Callable[..., Meter]) -> None:
    async def scenario(world: World, camera: Camera, meter: Meter) -> None:
        created = await world.call("CreateFunction", **definition("hello", SnapStart=ON, Publish=True))
        assert (created["Version"], created["State"]) == ("1", "Pending")
        await camera.develop(TAKEN)
        await settled(world)
        code = zipped({"app.py": "handler = print"})
        updated = await world.call("UpdateFunctionCode", FunctionName="hello", ZipFile=code, Publish=True)
        assert (updated["Version"], updated["State"]) == ("2", "Pending")
        await camera.develop(TAKEN)
        await settled(world, "2")
        # Switched off, the next version has none.
        await world.call("UpdateFunctionConfiguration", FunctionName="hello", SnapStart={"ApplyOn": "None"})
        third = await world.call("PublishVersion", FunctionName="hello")
        assert third["Version"] == "3"
        assert (await settled(world, "3"))["SnapStart"] == {"ApplyOn": "None", "OptimizationStatus": "Off"}
        assert [function.version for function in camera.asked] == ["1", "2"]

    run(scenario)


def test_a_snapshot_is_billed_from_when_it_is_there_until_it_is_deleted_and_for_three_hours_at_least(
    run: Callable[..., Meter], clock: TestClock
) -> None:
    async def take(world: World, camera: Camera, meter: Meter) -> None:
        await publish(world)
        await camera.develop(TAKEN)
        await settled(world)
        await eventually(lambda: meter.seconds == 3 * HOURS)
        clock.advance(2 * HOURS)

    async def keep(world: World, camera: Camera, meter: Meter) -> None:
        clock.advance(2 * HOURS)
        await world.call("DeleteFunction", FunctionName="hello", Qualifier="1")
        assert meter.seconds == 4 * HOURS
        clock.advance(2 * HOURS)

    assert run(take, keep).seconds == 4 * HOURS
