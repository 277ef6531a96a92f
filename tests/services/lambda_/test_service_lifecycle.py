"""The service without a server around it: settling, restarts, collection of packages, links over time, full disks."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lambda_helpers import definition, zipped
from service_world import ACCOUNT, KEY, REGION, Scenario, World, play
from sqlalchemy import text

from lambent.clock import TestClock
from lambent.errors import AwsError
from lambent.ports import FunctionVersion
from lambent.services.lambda_.domain import State
from lambent.storage.faults import StorageFull


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., None]:
    """Runs scenarios one after another, each in a new start of the service on the same data dir."""
    return functools.partial(play, tmp_path / "data", TestClock())


async def create(world: World, **changes: Any) -> None:
    await world.call("CreateFunction", **definition("hello", **changes))
    await world.settled()


async def stay_updating(world: World) -> None:
    await world.set_row(lambda function: function.updated(world.clock.now()))


async def stay_pending(world: World) -> None:
    await world.set_row(lambda function: dataclasses.replace(function, state=State.PENDING))


@pytest.mark.parametrize("operation", ["UpdateFunctionCode", "UpdateFunctionConfiguration"])
def test_an_update_is_refused_while_another_is_in_progress(run: Callable[..., None], operation: str) -> None:
    async def scenario(world: World) -> None:
        await create(world)
        await stay_updating(world)
        change = {"ZipFile": zipped()} if operation == "UpdateFunctionCode" else {"Timeout": 9}
        with pytest.raises(AwsError) as refusal:
            await world.call(operation, FunctionName="hello", **change)
        assert (refusal.value.wire_code, refusal.value.message) == (
            "ResourceConflictException",
            "The operation cannot be performed at this time. An update is in progress for resource: "
            f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:hello",
        )

    run(scenario)


def test_an_update_is_refused_while_the_function_is_pending(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        await create(world)
        await stay_pending(world)
        with pytest.raises(AwsError) as refusal:
            await world.call("UpdateFunctionConfiguration", FunctionName="hello", Timeout=9)
        assert refusal.value.message == (
            "The operation cannot be performed at this time. The function is currently in the following state: Pending"
        )

    run(scenario)


@pytest.mark.parametrize("unsettled", [stay_pending, stay_updating])
def test_what_was_unsettled_at_the_end_settles_at_the_next_start(run: Callable[..., None], unsettled: Scenario) -> None:
    async def first(world: World) -> None:
        await create(world)
        await unsettled(world)

    async def second(world: World) -> None:
        assert (await world.settled()).name == "hello"

    run(first, second)


def test_the_data_plane_sees_a_change_as_soon_as_it_is_acknowledged(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        find = world.service.directory.find
        await world.call("CreateFunction", **definition("hello", Environment={"Variables": {"KEY": "one"}}))
        one = find(*KEY, None)
        assert one is not None
        assert dict(one.environment) == {"KEY": "one"}
        await world.settled()
        assert find(*KEY, "$LATEST").environment_key == one.environment_key  # type: ignore[union-attr]
        assert world.invoker.keys == []
        await world.call("UpdateFunctionConfiguration", FunctionName="hello", Environment={"Variables": {"KEY": "two"}})
        two = find(*KEY, None)
        assert two is not None
        assert (dict(two.environment), two.environment_key == one.environment_key) == ({"KEY": "two"}, False)
        assert world.invoker.keys == [KEY]
        await world.call("DeleteFunction", FunctionName="hello")
        assert find(*KEY, None) is None
        assert world.invoker.keys == [KEY, KEY]

    run(scenario)


def test_tags_and_concurrency_leave_environments_alone(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        await create(world)
        before = world.service.directory.find(*KEY, None)
        await world.call("PutFunctionConcurrency", FunctionName="hello", ReservedConcurrentExecutions=5)
        await world.call("TagResource", Resource=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:hello", Tags={"a": "b"})
        after = world.service.directory.find(*KEY, None)
        assert before is not None
        assert after == dataclasses.replace(before, reserved_concurrency=5)
        assert world.invoker.keys == []
        assert world.invoker.reservations == {"hello": 5}

    async def restarted(world: World) -> None:
        # Set aside whether it runs or not.
        assert world.invoker.reservations == {"hello": 5}
        await world.call("DeleteFunction", FunctionName="hello")
        assert world.invoker.reservations == {}

    run(scenario, restarted)


def test_the_directory_is_the_same_after_a_restart(run: Callable[..., None]) -> None:
    seen: list[FunctionVersion | None] = []

    async def look(world: World) -> None:
        seen.append(world.service.directory.find(*KEY, None))

    async def first(world: World) -> None:
        await create(world, Environment={"Variables": {"KEY": "value"}}, Timeout=9, Tags={"a": "b"})
        await look(world)

    run(first, look)
    assert seen[0] is not None
    assert seen[0] == seen[1]


def test_a_missing_tree_is_extracted_again_at_start(run: Callable[..., None]) -> None:
    async def first(world: World) -> None:
        await create(world)
        tree = world.service.directory.find(*KEY, None).code_root  # type: ignore[union-attr]
        (tree / "app.py").unlink()
        tree.rmdir()

    async def second(world: World) -> None:
        tree = world.service.directory.find(*KEY, None).code_root  # type: ignore[union-attr]
        assert [path.name for path in tree.iterdir()] == ["app.py"]

    run(first, second)


def test_a_lost_package_does_not_keep_the_region_from_starting(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    async def first(world: World) -> None:
        await create(world)
        await world.call("CreateFunction", **definition("other", Code={"ZipFile": zipped({"other.py": ""})}))
        digest = (await world.settled()).package.sha256
        shutil.rmtree(world.data_dir / "code" / digest)
        shutil.rmtree(world.data_dir / "packages" / digest[:2])

    async def second(world: World) -> None:
        assert len((await world.call("ListFunctions"))["Functions"]) == 2
        assert "gone or damaged" in caplog.text

    run(first, second)


def test_half_made_and_unused_packages_are_gone_after_a_restart(run: Callable[..., None]) -> None:
    async def first(world: World) -> None:
        await create(world)
        await world.call("UpdateFunctionCode", FunctionName="hello", ZipFile=zipped({"two.py": ""}))
        half = world.data_dir / "code" / ".tmp-0123456789abcdef"
        half.mkdir()
        (half / "part").write_text("half")

    async def second(world: World) -> None:
        function = await world.settled()
        # Behind the collection that the start began, there is nothing left to do.
        await world.service.collect()
        assert {path.name for path in (world.data_dir / "code").iterdir()} == {function.package.sha256}

    run(first, second)


def test_an_unused_package_stays_for_one_collection_and_goes_with_the_next(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        await create(world)
        old = (await world.settled()).package.sha256
        await world.call("UpdateFunctionCode", FunctionName="hello", ZipFile=zipped({"two.py": ""}))
        new = (await world.settled()).package.sha256
        await world.service.collect()
        assert world.packages() == {old, new}
        await world.service.collect()
        assert world.packages() == {new}

    run(scenario)


def test_a_package_used_again_between_collections_stays(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        await create(world)
        first = (await world.settled()).package.sha256
        await world.call("DeleteFunction", FunctionName="hello")
        await world.service.collect()
        await create(world)
        await world.service.collect()
        assert world.packages() == {first}
        await world.service.collect()
        assert world.packages() == {first}

    run(scenario)


def test_the_package_of_a_layer_stays_as_long_as_a_version_of_it_or_of_a_function_uses_it(
    run: Callable[..., None],
) -> None:
    async def scenario(world: World) -> None:
        layer = await world.call("PublishLayerVersion", LayerName="tools", Content={"ZipFile": zipped({"tool": "1"})})
        own = await world.call("PublishLayerVersion", LayerName="lonely", Content={"ZipFile": zipped({"tool": "2"})})
        await create(world, Layers=[layer["LayerVersionArn"]])
        function = await world.settled()
        code, used = function.package.sha256, function.settings.layers[0].sha256
        await world.call("PublishVersion", FunctionName="hello")
        await world.settled()
        await world.call("UpdateFunctionConfiguration", FunctionName="hello", Layers=[])
        await world.settled()
        for arn in (layer["LayerArn"], own["LayerArn"]):
            await world.call("DeleteLayerVersion", LayerName=arn, VersionNumber=1)
        await world.service.collect(at_once=True)
        assert world.packages() == {code, used}
        await world.call("DeleteFunction", FunctionName="hello", Qualifier="1")
        await world.service.collect(at_once=True)
        assert world.packages() == {code}

    run(scenario)


@pytest.mark.slow
def test_creates_during_collections_keep_their_packages(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        async def churn() -> None:
            for _ in range(15):
                await create(world)
                await world.call("DeleteFunction", FunctionName="hello")
            await create(world)

        task = asyncio.create_task(churn(), name="churn")
        while not task.done():
            await world.service.collect(at_once=True)
        await task
        function = await world.settled()
        assert (world.data_dir / "code" / function.package.sha256 / "app.py").exists()
        assert (await world.get((await world.call("GetFunction", FunctionName="hello"))["Code"]["Location"])).body

    run(scenario)


def test_a_code_location_works_for_ten_minutes(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        await create(world)
        url = (await world.call("GetFunction", FunctionName="hello"))["Code"]["Location"]
        world.clock.advance(600)
        assert (await world.get(url)).status == 200
        world.clock.advance(1)
        late = await world.get(url)
        assert (late.status, b"Request has expired" in late.body) == (403, True)

    run(scenario)


def test_a_code_location_of_a_removed_package_is_not_found(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        await create(world)
        url = (await world.call("GetFunction", FunctionName="hello"))["Code"]["Location"]
        await world.service.reset()
        assert (await world.get(url)).status == 404

    run(scenario)


def test_a_reset_leaves_no_function_and_no_code(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        await create(world)
        await world.service.reset()
        assert world.packages() == set()
        assert (await world.call("ListFunctions"))["Functions"] == []
        assert world.service.directory.find(*KEY, None) is None
        assert world.invoker.keys == [KEY]
        await create(world)

    run(scenario)


def test_a_full_disk_refuses_a_create_and_leaves_nothing_of_it(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        pages = await world.database.read(lambda tx: tx.execute(text("PRAGMA page_count")).scalar_one())
        await world.database.write(lambda tx: tx.execute(text(f"PRAGMA max_page_count = {pages}")))
        big = {f"KEY{number}": "x" * 40 for number in range(70)}
        calls = [
            world.call("CreateFunction", **definition(f"f{number}", Environment={"Variables": big}))
            for number in range(20)
        ]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} == {dict, StorageFull}
        created = [f"f{number}" for number, result in enumerate(results) if isinstance(result, dict)]
        listed = (await world.call("ListFunctions"))["Functions"]
        assert sorted(function["FunctionName"] for function in listed) == sorted(created)
        found = [f"f{number}" for number in range(20) if world.service.directory.find(*KEY[:2], f"f{number}", None)]
        assert found == created

    run(scenario)
