"""The variables that functions see, and those that ask for a start by exec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lambent.ports import Credentials, FunctionVersion
from lambent.runtimes.environment import needs_plain_exec, process_environment

CREDENTIALS = Credentials("ASIA1", "secret", "token", 2_000_000_000.0)


def variables(**settings: Any) -> dict[str, str]:
    function = FunctionVersion(
        **{
            "account": "000000000000",
            "region": "eu-west-1",
            "name": "f",
            "version": "$LATEST",
            "arn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
            "runtime": "python3.12",
            "handler": "app.handler",
            "role": "arn:aws:iam::000000000000:role/r",
            "code_root": Path("/code"),
            "memory_mb": 256,
            "log_group": "/aws/lambda/f",
            **settings,
        }
    )
    return process_environment(
        function, CREDENTIALS, log_stream="2026/11/23/[$LATEST]00", endpoint_url="http://127.0.0.1:4566"
    )


def test_a_python_function_sees_the_recorded_variables() -> None:
    assert variables() == {
        "AWS_ACCESS_KEY_ID": "ASIA1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/23/[$LATEST]00",
        "AWS_LAMBDA_RUNTIME_API": "169.254.100.1:9001",
        "AWS_REGION": "eu-west-1",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
        "EDGE_PORT": "4566",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": (
            "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
        ),
        "LOCALSTACK_HOSTNAME": "127.0.0.1",
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "PWD": "/var/task",
        "PYTHONPATH": "/var/runtime",
        "SHLVL": "0",
        "TZ": ":UTC",
        "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "_HANDLER": "app.handler",
    }


def test_a_node_function_finds_modules_of_layers_and_runtime() -> None:
    seen = variables(runtime="nodejs22.x")
    assert seen["NODE_PATH"] == (
        "/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
    )
    assert "PYTHONPATH" not in seen


def test_a_provided_function_has_neither_interpreter_nor_execution_env() -> None:
    seen = variables(runtime="provided.al2023")
    assert not {"AWS_EXECUTION_ENV", "PYTHONPATH", "NODE_PATH"} & seen.keys()
    assert seen["PATH"] == "/usr/local/bin:/usr/bin/:/bin:/opt/bin"
    assert seen["LD_LIBRARY_PATH"].startswith("/lib64:")


def test_customers_override_what_is_not_reserved() -> None:
    own = {"TZ": "Asia/Tokyo", "PATH": "/x", "AWS_ENDPOINT_URL": "http://else", "AWS_REGION": "mars", "OWN": "1"}
    seen = variables(environment=own)
    assert (seen["TZ"], seen["PATH"], seen["AWS_ENDPOINT_URL"], seen["OWN"]) == ("Asia/Tokyo", "/x", "http://else", "1")
    assert seen["AWS_REGION"] == "eu-west-1"


def test_customer_variables_with_an_underscore_are_dropped_but_for_the_listed() -> None:
    seen = variables(environment={"_OWN": "1", "_AWS_XRAY_DAEMON_PORT": "3000", "_HANDLER": "not.this"})
    assert "_OWN" not in seen
    assert (seen["_AWS_XRAY_DAEMON_PORT"], seen["_HANDLER"]) == ("3000", "app.handler")


def test_the_interpreters_own_libraries_are_found_whatever_the_customer_sets() -> None:
    assert variables(environment={"LD_LIBRARY_PATH": "/opt/x"})["LD_LIBRARY_PATH"] == "/opt/x:/var/lang/lib"
    provided = variables(environment={"LD_LIBRARY_PATH": "/opt/x"}, runtime="provided.al2")
    assert provided["LD_LIBRARY_PATH"] == "/opt/x"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (None, None)),
        ({"application_log_level": "DEBUG"}, (None, None)),
        ({"log_format": "JSON"}, ("JSON", "INFO")),
        ({"log_format": "JSON", "application_log_level": "WARN"}, ("JSON", "WARN")),
    ],
)
def test_log_variables_are_there_under_json_alone(settings: dict[str, str], expected: tuple[str | None, ...]) -> None:
    seen = variables(**settings)
    assert (seen.get("AWS_LAMBDA_LOG_FORMAT"), seen.get("AWS_LAMBDA_LOG_LEVEL")) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LD_PRELOAD", True),
        ("PYTHONHASHSEED", True),
        ("NODE_OPTIONS", True),
        ("MALLOC_ARENA_MAX", True),
        ("GLIBC_TUNABLES", True),
        ("AWS_LAMBDA_EXEC_WRAPPER", True),
        ("LANG", True),
        ("TZ", False),
        ("PYTHONPATH", False),
        ("PYTHONUNBUFFERED", False),
        ("NODE_ENV", False),
        ("NODE_PATH", False),
        ("TABLE_NAME", False),
    ],
)
def test_variables_read_at_a_process_start_ask_for_exec(name: str, expected: bool) -> None:
    assert needs_plain_exec({name: "x"}) is expected


def test_shared_libraries_where_the_loader_looks_ask_for_exec(tmp_path: Path) -> None:
    code, layer = tmp_path / "code", tmp_path / "layer"
    for folder in (code / "package", layer / "lib"):
        folder.mkdir(parents=True)
    (code / "_module.cpython-312.so").touch()
    (code / "package" / "libinner.so").touch()
    assert not needs_plain_exec({}, code, (layer,))
    (layer / "lib" / "libown.so.1").touch()
    assert needs_plain_exec({}, code, (layer,))
