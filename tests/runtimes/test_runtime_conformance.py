"""What every framed runtime does alike, run over each interpreter of this machine."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path

import pytest
from runtime_bench import Workbench

LIMIT = 6291556
VARIABLES = {
    "AWS_LAMBDA_FUNCTION_NAME": "f",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/23/[$LATEST]0",
}


@pytest.mark.parametrize("event", [{"a": [1, 2.5, None, True]}, "ünï ☃ 🚀", [], 0, None], ids=str)
def test_what_the_handler_returns_is_the_response(bench: Workbench, event: object) -> None:
    with bench.behaving("echo") as runtime:
        answer = runtime.start().invoke(event)
    assert (answer.kind, answer.json) == ("S", event)


def test_a_handler_without_result_answers_null(bench: Workbench) -> None:
    with bench.behaving("nothing") as runtime:
        answer = runtime.start().invoke()
    assert (answer.kind, answer.payload) == ("S", b"null")


def test_globals_live_from_one_invocation_to_the_next(bench: Workbench) -> None:
    with bench.behaving("count") as runtime:
        runtime.start()
        assert [runtime.invoke().json for _ in range(3)] == [1, 2, 3]


def test_an_exception_is_answered_and_logged_and_the_next_invocation_works(bench: Workbench) -> None:
    with bench.behaving("throw") as runtime:
        answer = runtime.start().invoke("throw", request_id="the-id")
        assert (answer.kind, answer.error_type) == ("E", "TypeError")
        assert answer.json["errorType"] == "TypeError"
        assert answer.json["errorMessage"] == "of äl"
        assert any(bench.language.file in line for line in answer.json[bench.language.trace])
        (line,) = runtime.logs()
        assert "TypeError" in line
        assert "of äl" in line
        assert runtime.invoke("fine").json == "fine"


def test_an_exception_in_static_code_fails_the_init_and_ends_the_process(bench: Workbench) -> None:
    with bench.behaving("throw at init") as runtime:
        answer = runtime.init()
        assert (answer.kind, answer.error_type) == ("X", "TypeError")
        assert answer.json["errorMessage"] == "too early"
        assert runtime.wait() != 0
        assert any("too early" in line for line in runtime.logs())


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "words"),
    [
        ("syntax_error", "app.handler", "Runtime.UserCodeSyntaxError", ""),
        ("missing_import", "app.handler", "Runtime.ImportModuleError", ""),
        ("echo", "nothing.handler", "Runtime.ImportModuleError", "nothing"),
        ("echo", "app.nothing", "Runtime.HandlerNotFound", "nothing"),
        ("echo", "app", "Runtime.MalformedHandlerName", "Bad handler"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_named(
    bench: Workbench, source: str, handler: str, error_type: str, words: str
) -> None:
    if bench.runtime_id == "nodejs24.x" and error_type == "Runtime.ImportModuleError" and source == "echo":
        pytest.skip("that release answers as its `import` does")
    code = getattr(bench.language, source, None) or bench.language.functions[source]
    with bench.runtime(code, handler=handler) as runtime:
        answer = runtime.init()
        assert (answer.kind, answer.error_type) == ("X", error_type)
        assert answer.json["errorType"] == error_type
        assert words in answer.json["errorMessage"]
        assert runtime.wait() != 0


def test_a_handler_may_lie_in_a_folder(bench: Workbench) -> None:
    bench.write(bench.language.functions["echo"], f"deep/down/{bench.language.file}")
    with bench.runtime(handler="deep/down/app.handler") as runtime:
        assert runtime.start().invoke(1).json == 1


def test_the_environment_is_exactly_what_was_given(bench: Workbench) -> None:
    given = {"KEY": "välue", "EMPTY": "", "PATH": "/usr/bin:/bin"}
    with bench.behaving("environment", environment=given) as runtime:
        assert runtime.start().invoke().json == given


def test_the_trace_header_is_set_for_its_invocation_alone(bench: Workbench) -> None:
    with bench.behaving("environment") as runtime:
        runtime.start()
        assert runtime.invoke(trace_id="Root=1-2-3").json == {"_X_AMZN_TRACE_ID": "Root=1-2-3"}
        assert runtime.invoke().json == {}


def test_the_package_is_the_working_folder(bench: Workbench) -> None:
    with bench.behaving("folder") as runtime:
        assert Path(runtime.start().invoke().json) == bench.task_root


@pytest.mark.parametrize(("zone", "hour"), [(":UTC", 12), ("America/New_York", 7), ("Asia/Tokyo", 21)])
def test_the_time_zone_of_the_function_holds(bench: Workbench, zone: str, hour: int) -> None:
    with bench.behaving("hour at noon UTC", environment={"TZ": zone}) as runtime:
        assert runtime.start().invoke().json == hour


def test_the_context_tells_of_function_and_invocation(bench: Workbench) -> None:
    with bench.behaving("context", environment=VARIABLES) as runtime:
        context = (
            runtime.start()
            .invoke(
                request_id="r-1",
                arn="arn:f:live",
                deadline_ms=int(time.time() * 1000) + 60_000,
                client_context='{"custom": {"a": "b"}}',
                identity='{"cognitoIdentityId": "id-1", "cognitoIdentityPoolId": "pool-1"}',
                tenant_id="blue",
            )
            .json
        )
    assert 30_000 < context.pop("remaining") <= 60_000
    assert context == {
        "requestId": "r-1",
        "arn": "arn:f:live",
        "name": "f",
        "version": "$LATEST",
        "memory": "128",
        "group": "/aws/lambda/f",
        "stream": "2026/11/23/[$LATEST]0",
        "custom": {"a": "b"},
        "identity": "id-1",
        "tenant": "blue",
    }


def test_what_was_not_sent_is_absent_from_the_context(bench: Workbench) -> None:
    with bench.behaving("context", environment=VARIABLES) as runtime:
        context = runtime.start().invoke().json
    assert (context["custom"], context["identity"], context["tenant"]) == (None, None, None)


def test_log_lines_carry_level_time_and_request_and_stay_whole(bench: Workbench) -> None:
    with bench.behaving("log") as runtime:
        runtime.start().invoke([["info", "one\ntwo"], ["error", "three"]], request_id="r-1")
        first, second = runtime.logs()
    assert first.endswith("one\ntwo\n")
    assert "INFO" in first
    assert "r-1\t" in first
    assert "ERROR" in second


def test_log_frames_carry_the_time_in_microseconds(bench: Workbench) -> None:
    before = time.time()
    with bench.behaving("log") as runtime:
        runtime.start().invoke([["info", "one"]])
        ((kind, timestamp, _),) = runtime.log_frames()
    assert kind >> 16 == 0xA55A
    assert before - 0.01 <= timestamp / 1e6 <= time.time()


def test_json_logs_are_one_object_each_and_keep_to_their_level(bench: Workbench) -> None:
    variables = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"}
    with bench.behaving("log", environment=variables, log_format="JSON") as runtime:
        source_level = [["info", "quiet"], ["warning", "heard"]]
        runtime.start().invoke(source_level, request_id="r-1")
        records = [json.loads(line) for line in runtime.logs()]
    heard = [record for record in records if record["message"] == "heard"]
    assert len(heard) == 1
    assert heard[0]["requestId"] == "r-1"
    assert heard[0]["level"] in ("WARN", "WARNING")
    if not bench.runtime_id.startswith("python"):  # whose functions may lower the level themselves, as this one does
        assert len(records) == 1


def test_an_exception_under_json_logs_is_one_object(bench: Workbench) -> None:
    with bench.behaving("throw", environment={"AWS_LAMBDA_LOG_FORMAT": "JSON"}, log_format="JSON") as runtime:
        runtime.start().invoke("throw", request_id="r-1")
        (record,) = [json.loads(line) for line in runtime.logs()]
    record = {**record, **(record["message"] if isinstance(record.get("message"), dict) else {})}
    assert (record["level"], record["requestId"]) == ("ERROR", "r-1")
    assert (record["errorType"], record["errorMessage"]) == ("TypeError", "of äl")
    assert record["stackTrace"]


def test_children_and_raw_writes_come_through_the_output_pipe(bench: Workbench) -> None:
    with bench.behaving("children") as runtime:
        runtime.start().invoke()
        assert runtime.output() == "from a child\nby hand\n"


@pytest.mark.slow
def test_a_response_as_large_as_allowed_passes_and_a_larger_one_is_refused(bench: Workbench) -> None:
    with bench.behaving("large") as runtime:
        runtime.start()
        assert len(runtime.invoke(LIMIT - 2).payload) == LIMIT
        answer = runtime.invoke(LIMIT - 1)
        assert (answer.kind, answer.error_type) == ("E", "Function.ResponseSizeTooLarge")
        assert answer.json == {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        }
        assert runtime.invoke(1).json == "x"


@pytest.mark.slow
def test_an_event_of_six_megabytes_passes(bench: Workbench) -> None:
    event = "x" * 6_000_000
    with bench.behaving("echo") as runtime:
        assert runtime.start().invoke(event).json == event


def test_a_result_that_is_not_json_is_an_error_and_the_next_invocation_works(bench: Workbench) -> None:
    with bench.behaving("unserialisable") as runtime:
        answer = runtime.start().invoke(1)
        assert answer.kind == "E"
        assert answer.error_type in ("Runtime.MarshalError", "Error", "Runtime.JSONStringifyError")
        assert "Unable to" in answer.json["errorMessage"]
        assert runtime.invoke(0).json == "fine"


@pytest.mark.parametrize("code", [0, 3])
def test_a_handler_that_exits_ends_the_process_with_its_code(bench: Workbench, code: int) -> None:
    with bench.behaving("exit") as runtime:
        runtime.start().send_invoke(str(code).encode())
        assert runtime.wait() == code


def test_static_code_that_exits_ends_the_process_with_its_code(bench: Workbench) -> None:
    with bench.behaving("exit at init") as runtime:
        runtime.send_init()
        assert runtime.wait() == 7


def test_the_process_ends_with_its_server(bench: Workbench) -> None:
    with bench.behaving("echo") as runtime:
        runtime.start()
        runtime.channel.close()
        assert runtime.wait() == 0


def test_a_process_without_function_ends_with_its_server(bench: Workbench) -> None:
    with bench.behaving("echo") as runtime:
        runtime.channel.close()
        assert runtime.wait() == 0


def test_frames_may_come_in_pieces(bench: Workbench) -> None:
    with bench.behaving("echo") as runtime:
        runtime.start()
        header = b"\0".join([b"r", b"0", b"arn", b"", b"", b"", b""])
        body = b"V" + struct.pack(">H", len(header)) + header + b'"in pieces"'
        for byte in struct.pack(">I", len(body)) + body:
            runtime.channel.sendall(bytes([byte]))
        assert runtime.receive().json == "in pieces"
        assert runtime.invoke(1).json == 1


def test_started_by_exec_the_environment_of_the_process_is_the_functions(bench: Workbench) -> None:
    own = {"PATH": "/usr/bin:/bin", "_HANDLER": "app.handler", "MALLOC_ARENA_MAX": "1"}
    with bench.behaving("environment", exec_environment=own, handler="app.other", environment={"X": "y"}) as runtime:
        seen = runtime.start().invoke().json
    assert own.items() <= seen.items()
    assert not [name for name in seen if name.startswith("LAMBENT") or name in ("X", "_LAMBDA_TELEMETRY_LOG_FD")]


def test_a_wrapper_script_may_change_environment_and_handler(bench: Workbench) -> None:
    wrapper = bench.task_root / "wrapper"
    wrapper.write_text('#!/bin/sh\nexport ORIGINAL=$_HANDLER _HANDLER=app.handler\nexec "$@"\n')
    wrapper.chmod(0o755)
    own = {"PATH": "/usr/bin:/bin", "_HANDLER": "other.thing", "AWS_LAMBDA_EXEC_WRAPPER": str(wrapper)}
    with bench.behaving("environment", exec_environment=own, handler="other.thing") as runtime:
        assert runtime.start().invoke().json["ORIGINAL"] == "other.thing"


def test_a_wrapper_that_is_not_there_fails_the_start(bench: Workbench) -> None:
    own = {"PATH": "/usr/bin:/bin", "_HANDLER": "app.handler", "AWS_LAMBDA_EXEC_WRAPPER": "/opt/no-such-wrapper"}
    with bench.behaving("echo", exec_environment=own) as runtime:
        assert runtime.wait() == 127
        assert "/opt/no-such-wrapper" in runtime.output()
