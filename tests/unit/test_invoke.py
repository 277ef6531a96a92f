"""The invoker and its environments over real processes that speak frames."""

from __future__ import annotations

import asyncio
import json
import platform
import re
from pathlib import Path

import pytest

from lambent.clock import TestClock
from lambent.invoke.errors import InvalidRuntimeException, ServiceException, TooManyRequestsException
from tests.invoke_support import Bench, bench, do, function, invocation, matches


def run(folder: Path, scenario, **options) -> None:  # type: ignore[no-untyped-def]
    async def main() -> None:
        async with bench(folder, **options) as b:
            await scenario(b)

    asyncio.run(main())


def test_a_warm_invocation_reuses_the_environment_and_its_globals(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        first = await b.invoker.invoke(function(), do({"calls": 0}))
        second = await b.invoker.invoke(function(), do({"calls": 0}))
        assert (first.payload, second.payload) == (b"1", b"2")
        assert (first.function_error, first.executed_version) == (None, "$LATEST")
        assert first.record.init_ms is not None
        assert second.record.init_ms is None
        assert first.record.billed_ms == -(-(first.record.duration_ms + first.record.init_ms) // 1)
        assert len(b.launcher.launched) == 1

    run(tmp_path, scenario)


def test_log_lines_are_those_of_lambda(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        call = do({"say": "hello\n"}, {"print": "from a child\nand more"}, log_tail=True)
        result = await b.invoker.invoke(function(), call)
        lines = b.lines()
        assert matches(
            lines,
            "INIT_START Runtime Version: python:3.12.v1\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:",
            f"START RequestId: {call.request_id} Version: $LATEST\n",
            "hello\n",
            "from a child\n",
            "and more",
            f"END RequestId: {call.request_id}\n",
            f"REPORT RequestId: {call.request_id}\tDuration: ",
        )
        assert re.fullmatch(
            rf"REPORT RequestId: {call.request_id}\tDuration: [0-9.]+ ms\tBilled Duration: [0-9]+ ms\t"
            r"Memory Size: 128 MB\tMax Memory Used: 30 MB\tInit Duration: [0-9.]+ ms\t\n",
            lines[-1],
        )
        assert result.log_tail == "".join(line.rstrip("\n") + "\n" for line in lines[1:]).encode()
        assert re.fullmatch(
            r"/aws/lambda/hello/[0-9]{4}/[0-9]{2}/[0-9]{2}/\[\$LATEST\][0-9a-f]{32}", b.logs.streams[0].name
        )

    run(tmp_path, scenario)


def test_the_runtime_gets_the_header_that_was_sent(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        call = invocation({"do": "header"}, client_context='{"a":1}', trace_id="Root=1-0-0;Parent=1;Sampled=1")
        request_id, deadline, arn, trace, context, cognito, tenant = json.loads(
            (await b.invoker.invoke(function(), call)).payload
        )
        assert (request_id, arn, context, cognito, tenant) == (call.request_id, call.invoked_arn, '{"a":1}', "", "")
        assert re.fullmatch(r"Root=1-0-0;Parent=[0-9a-f]{16};Sampled=1;Lineage=0b9ba47a:1", trace)
        record = b.records.records[0]
        assert (record.trace_id, record.received_trace) == (trace, call.trace_id)
        assert 4000 < int(deadline) - b.records.records[0].started_at * 1000 < 5100

    run(tmp_path, scenario)


def test_payloads_of_six_megabytes_pass_both_ways(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        payload = b'"' + b"z" * (6 * 1024 * 1024 - 2) + b'"'
        result = await b.invoker.invoke(function(), invocation(payload))
        assert result.payload == payload

    run(tmp_path, scenario)


def test_a_function_error_is_unhandled_and_keeps_the_environment(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        result = await b.invoker.invoke(function(), do({"error": "boom"}))
        assert (result.function_error, json.loads(result.payload)["errorMessage"]) == ("Unhandled", "boom")
        assert result.record.status == "error"
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"2"

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"exit": 0}, "Runtime exited without providing a reason"),
        ({"exit": 3}, "Runtime exited with error: exit status 3"),
        ({"signal": 11}, "Runtime exited with error: signal: segmentation fault"),
        ({"signal": 9}, "Runtime exited with error: signal: killed"),
    ],
)
def test_an_exit_is_reported_and_the_next_invocation_works(tmp_path: Path, step: dict[str, int], words: str) -> None:
    async def scenario(b: Bench) -> None:
        call = do({"touch": "kept"}, {"say": "last words\n"}, step)
        result = await b.invoker.invoke(function(), call)
        assert result.function_error == "Unhandled"
        assert json.loads(result.payload) == {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {call.request_id} Error: {words}",
        }
        assert b.lines()[-3] == "last words\n"
        assert b.lines()[-1].endswith("\tStatus: error\tError Type: Runtime.ExitError\n")
        # The same environment, its globals lost and its /tmp kept.
        after = await b.invoker.invoke(function(), do({"tmp": 0}))
        assert (after.payload, after.record.init_ms) == (b'["kept"]', None)
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"2"
        assert len(b.launcher.launched) == 1

    run(tmp_path, scenario)


def test_out_of_memory_is_named_in_the_report(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.launcher.out_of_memory = True
        result = await b.invoker.invoke(function(), do({"signal": 9}))
        assert json.loads(result.payload)["errorType"] == "Runtime.ExitError"
        assert b.lines()[-1].endswith("\tStatus: error\tError Type: Runtime.OutOfMemory\n")
        assert result.record.error_type == "Runtime.OutOfMemory"

    run(tmp_path, scenario)


@pytest.mark.slow
def test_a_timeout_kills_and_says_so(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        hello = function(timeout_s=1)
        call = do({"print": "before\n"}, {"sleep": 60})
        result = await b.invoker.invoke(hello, call)
        assert (
            result.payload
            == (
                f'{{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: {call.request_id} '
                'Error: Task timed out after 1.00 seconds"}'
            ).encode()
        )
        assert result.function_error == "Unhandled"
        report = b.lines()[-1]
        assert "\tDuration: 1000.00 ms\t" in report
        assert report.endswith("\tStatus: timeout\n")
        assert (await b.invoker.invoke(hello, do({"calls": 0}))).payload == b"1"

    run(tmp_path, scenario)


def test_a_failed_init_is_tried_again_within_the_first_invocation(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        once = function(environment={"INIT": '[{"say": "loading\\n"}, {"fail_once": 2}]'})
        result = await b.invoker.invoke(once, do({"calls": 0}))
        assert (result.payload, result.record.init_ms) == (b"1", None)
        assert matches(
            b.lines(),
            "INIT_START ", "loading\n", "INIT_REPORT Init Duration: ", "loading\n", "START ", "END ", "REPORT ",
        )  # fmt: skip
        assert b.lines()[2].endswith("\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n")

    run(tmp_path, scenario)


def test_an_init_that_keeps_failing_gives_its_error_each_time(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        broken = function(environment={"INIT": '[{"fail": "Runtime.HandlerNotFound"}]'})
        for _ in range(2):
            result = await b.invoker.invoke(broken, do({"calls": 0}))
            assert json.loads(result.payload) == {
                "errorMessage": "no such handler",
                "errorType": "Runtime.HandlerNotFound",
            }
            assert result.function_error == "Unhandled"
        ends = [line.split("ms\t", 1)[1] for line in b.lines() if line.startswith("INIT_REPORT")]
        assert ends == [
            "Phase: init\tStatus: error\tError Type: Runtime.HandlerNotFound\n",
            "Phase: invoke\tStatus: error\tError Type: Runtime.HandlerNotFound\n",
            "Phase: invoke\tStatus: error\tError Type: Runtime.HandlerNotFound\n",
        ]

    run(tmp_path, scenario)


@pytest.mark.parametrize("junk", ["\x00\x00\x00\x01Z", "\xff\xff\xff\xffA", "\x00\x00\x00\x00 "])
def test_a_runtime_that_breaks_the_protocol_is_reset(tmp_path: Path, junk: str) -> None:
    async def scenario(b: Bench) -> None:
        result = await b.invoker.invoke(function(), do({"raw": junk}, {"sleep": 60}))
        assert json.loads(result.payload)["errorType"] == "Runtime.ExitError"
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"1"

    run(tmp_path, scenario)


def test_a_report_names_no_error_class_of_the_functions_own(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        broken = function(environment={"INIT": '[{"fail": "ValueError"}]'})
        result = await b.invoker.invoke(broken, do())
        assert json.loads(result.payload)["errorType"] == "ValueError"
        assert b.lines()[-1].endswith("\tStatus: error\tError Type: Runtime.Unknown\n")
        assert (await b.invoker.invoke(function(), do({"error": "boom"}))).record.error_type == "Runtime.Unknown"

    run(tmp_path, scenario)


def test_a_runtime_that_answers_with_its_last_error_gets_no_further_invocation(tmp_path: Path) -> None:
    last_words = 'Error\0{"errorType":"Error"}'
    frame = f"\0\0\0{chr(1 + len(last_words))}F{last_words}"

    async def scenario(b: Bench) -> None:
        result = await b.invoker.invoke(function(), do({"raw": frame}, {"sleep": 60}))
        assert (result.function_error, result.payload) == ("Unhandled", b'{"errorType":"Error"}')
        assert b.lines()[-1].endswith("\tStatus: error\tError Type: Runtime.ExitError\n")
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"1"

    run(tmp_path, scenario)


def test_a_response_over_the_limit_is_refused(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        result = await b.invoker.invoke(function(), do({"big": 6_291_557}))
        assert json.loads(result.payload) == {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        }
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"1"

    run(tmp_path, scenario)


def test_an_idle_environment_freezes_and_thaws_for_the_next_invocation(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        for _ in range(20):
            await b.invoker.invoke(function(), do())
        sandbox = b.launcher.launched[0]
        assert sandbox.history == []
        await b.settle(lambda: sandbox.history == ["freeze"])
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"21"
        assert sandbox.history == ["freeze", "thaw"]

    run(tmp_path, scenario)


def test_a_process_that_dies_while_idle_is_replaced_without_an_error(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        await b.invoker.invoke(function(), do({"touch": "kept"}))
        b.launcher.launched[0].kill("the test")
        await b.settle(lambda: len(b.launcher.launched[0].history) > 1)
        await asyncio.sleep(0.15)  # longer than until an idle one would freeze
        assert (await b.invoker.invoke(function(), do({"tmp": 0}))).payload == b'["kept"]'
        assert len(b.launcher.launched) == 1

    run(tmp_path, scenario)


def test_an_idle_environment_is_reaped_after_the_idle_limit(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        await b.invoker.invoke(function(), do())
        await b.settle(lambda: b.launcher.alive == {})
        assert b.launcher.launched[0].history[-1] == "destroy: it was idle for too long"
        assert b.logs.streams[0].closed

    run(tmp_path, scenario, idle_timeout=0.15)


@pytest.mark.parametrize(
    ("idle", "end"),
    [(12 * 3600, "its credentials are about to expire"), (11 * 3600, "")],
)
def test_however_long_one_may_idle_its_credentials_never_run_out(tmp_path: Path, idle: float, end: str) -> None:
    clock = TestClock()

    async def scenario(b: Bench) -> None:
        await b.invoker.invoke(function(), do())
        for seconds in (1, idle):
            clock.advance(seconds)
            b.invoker._timers.run_due()
        if end:
            await b.settle(lambda: b.launcher.alive == {})
            assert b.launcher.launched[0].history[-1] == f"destroy: {end}"
        assert not (await b.invoker.invoke(function(), do({"calls": 0}))).function_error
        assert len(b.launcher.launched) == (2 if end else 1)

    run(tmp_path, scenario, idle_timeout=7 * 86400.0, clock=clock)


def test_parallel_requests_get_environments_of_their_own(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        calls = [b.invoker.invoke(function(), do({"sleep": 0.05})) for _ in range(4)]
        await asyncio.gather(*calls)
        assert len(b.launcher.launched) == 4

    run(tmp_path, scenario)


def test_a_request_takes_an_environment_that_frees_before_its_own_is_ready(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        await b.invoker.invoke(function(), do())
        b.launcher.gate = asyncio.Event()
        slow = asyncio.ensure_future(b.invoker.invoke(function(), do({"sleep": 0.02})))
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(b.invoker.invoke(function(), do({"calls": 0})))
        await slow
        assert (await waiting).payload == b"3"
        assert len(b.launcher.launched) == 1
        b.launcher.gate.set()
        await b.settle(lambda: b.invoker.statistics()["idle"] == 2)

    run(tmp_path, scenario)


def test_an_update_leaves_the_running_invocation_alone(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        old, new = function(), function(environment_key="2")
        running = asyncio.ensure_future(b.invoker.invoke(old, do({"sleep": 0.05}, {"echo": "old"})))
        idle = asyncio.ensure_future(b.invoker.invoke(old, do()))
        await idle
        b.invoker.retire(old.account, old.region, old.name)
        assert (await b.invoker.invoke(new, do({"echo": "new"}))).payload == b'"new"'
        assert (await running).payload == b'"old"'
        await b.settle(lambda: len(b.launcher.alive) == 1)
        assert "1 idle" in repr(b.invoker)

    run(tmp_path, scenario)


def test_retiring_one_version_leaves_the_others_warm(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        latest, published = function(), function(version="1", environment_key="2")
        for version in (latest, published):
            await b.invoker.invoke(version, do())
        b.invoker.retire(latest.account, latest.region, latest.name, latest.version)
        await b.settle(lambda: len(b.launcher.alive) == 1)
        await b.invoker.invoke(published, do())
        assert len(b.launcher.launched) == 2
        b.invoker.retire(latest.account, latest.region, latest.name)
        await b.settle(lambda: not b.launcher.alive)

    run(tmp_path, scenario)


def test_reserved_concurrency_zero_throttles_every_invocation(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        with pytest.raises(TooManyRequestsException) as caught:
            await b.invoker.invoke(function(reserved_concurrency=0), do())
        assert caught.value.message == "Rate Exceeded."
        assert caught.value.members["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"

    run(tmp_path, scenario)


def test_a_missing_runtime_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        with pytest.raises(InvalidRuntimeException, match=r"lambent runtimes install python3\.9"):
            await b.invoker.invoke(function(runtime="python3.9"), do())
        assert b.invoker.statistics()["running"] == 0

    run(tmp_path, scenario)


def test_a_function_for_another_machine_is_refused(tmp_path: Path) -> None:
    foreign = "arm64" if platform.machine() == "x86_64" else "x86_64"

    async def scenario(b: Bench) -> None:
        with pytest.raises(InvalidRuntimeException, match=f"made for {foreign} and this region runs on"):
            await b.invoker.invoke(function(architecture=foreign), do())

    run(tmp_path, scenario)


def test_a_launch_that_fails_is_a_service_error_and_no_hang(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.launcher.launch_error = OSError("no room")
        call = do()
        with pytest.raises(ServiceException, match=call.request_id):
            await b.invoker.invoke(function(), call)
        b.launcher.launch_error = None
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"1"
        assert b.invoker.statistics()["running"] == 0

    run(tmp_path, scenario)


def test_a_restart_that_fails_is_a_service_error_and_destroys_the_environment(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        await b.invoker.invoke(function(), do({"exit": 1}))
        b.launcher.restart_error = OSError("no room")
        with pytest.raises(ServiceException):
            await b.invoker.invoke(function(), do())
        b.launcher.restart_error = None
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"1"
        assert len(b.launcher.launched) == 2
        assert b.invoker.statistics()["running"] == 0

    run(tmp_path, scenario)


@pytest.mark.parametrize("moment", ["start", "end"])
def test_a_bug_of_ours_is_a_service_error_and_no_hang(tmp_path: Path, moment: str) -> None:
    async def scenario(b: Bench) -> None:
        await b.invoker.invoke(function(), do())
        log = b.logs.streams[0]

        def broken(timestamp_ms: int, message: bytes) -> bool:
            if message.startswith(b"START" if moment == "start" else b"END"):
                raise ZeroDivisionError("a bug")
            return True

        log.write = broken  # type: ignore[method-assign]
        call = do()
        with pytest.raises(ServiceException, match=call.request_id):
            await b.invoker.invoke(function(), call)
        assert b.invoker.statistics()["running"] == 0
        await b.settle(lambda: b.launcher.alive == {})
        assert log.closed
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"1"

    run(tmp_path, scenario)


def test_a_bug_of_ours_in_a_timeout_is_a_service_error_and_no_hang(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        hello = function(timeout_s=0.1)
        await b.invoker.invoke(hello, do())

        sandbox = b.launcher.launched[0]
        kill = sandbox.kill

        def broken(reason: str) -> None:
            sandbox.kill = kill  # type: ignore[method-assign]
            raise ZeroDivisionError("a bug")

        sandbox.kill = broken  # type: ignore[method-assign]
        with pytest.raises(ServiceException):
            await b.invoker.invoke(hello, do({"sleep": 60}))
        await b.settle(lambda: b.launcher.alive == {})

    run(tmp_path, scenario)


def test_a_caller_that_gives_up_while_waiting_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.launcher.gate = asyncio.Event()
        call = asyncio.ensure_future(b.invoker.invoke(function(), do()))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (b.invoker.statistics()["running"], b.invoker.statistics()["waiting"]) == (0, 0)
        b.launcher.gate.set()
        await b.settle(lambda: b.invoker.statistics()["idle"] == 1)

    run(tmp_path, scenario)


def test_the_tail_of_a_caller_who_left_is_not_given_to_the_next(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        await b.invoker.invoke(function(), do())
        call = asyncio.ensure_future(b.invoker.invoke(function(), do({"sleep": 0.05}, log_tail=True)))
        await b.settle(lambda: b.invoker.statistics()["busy"] == 1)
        call.cancel()
        await b.settle(lambda: b.invoker.statistics()["idle"] == 1)
        assert (await b.invoker.invoke(function(), do())).log_tail is None
        assert b.invoker.statistics()["running"] == 0

    run(tmp_path, scenario)


def test_reset_ends_what_runs_and_empties_the_node(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        call = asyncio.ensure_future(b.invoker.invoke(function(), do({"sleep": 60})))
        await b.settle(lambda: b.invoker.statistics()["busy"] == 1)
        await b.invoker.reset()
        with pytest.raises(ServiceException):
            await call
        assert b.launcher.alive == {}
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"1"

    run(tmp_path, scenario)


@pytest.mark.alone
@pytest.mark.slow
def test_a_function_that_prints_for_ever_neither_blocks_others_nor_escapes_its_timeout(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        flood = asyncio.ensure_future(b.invoker.invoke(function("noisy", timeout_s=1), do({"flood": 60})))
        await b.invoker.invoke(function("quiet"), do())
        loop = asyncio.get_running_loop()
        slowest = 0.0
        while not flood.done():
            began = loop.time()
            await b.invoker.invoke(function("quiet"), do())
            slowest = max(slowest, loop.time() - began)
        assert json.loads((await flood).payload)["errorType"] == "Sandbox.Timedout"
        assert slowest < 0.5

    run(tmp_path, scenario)


def test_a_congested_log_store_pauses_the_function_and_not_its_timeout(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        await b.invoker.invoke(function(), do())
        log = b.logs.streams[0]
        log.congested = True
        call = asyncio.ensure_future(b.invoker.invoke(function(), do({"flood": 0.2}, {"echo": 1})))
        await b.settle(lambda: log.drained is not None)
        before = len(log.events)
        await asyncio.sleep(0.05)  # a claim about time: nothing is read meanwhile
        assert len(log.events) == before
        log.relieve()
        assert (await call).payload == b"1"
        assert log.events[-1][1].startswith(b"REPORT")

    run(tmp_path, scenario)
