"""The command line against a real region, as a user types it."""

from __future__ import annotations

import functools
import io
import json
import os
import signal
import subprocess
import sys
import zipfile

import pytest

from lambent import __version__
from tests.conftest import wait_until
from tests.roles import ROLE

pytestmark = pytest.mark.slow

CODE = """
def handler(event, context):
    print("seen", event)
    if "fail" in event:
        raise ValueError(event["fail"])
    return {"got": event}
"""
LAMBENT = [sys.executable, "-m", "lambent.cli"]


def environment(**variables: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LAMBENT_", "AWS_"))}
    return {**clean, **variables}


def lambent(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*LAMBENT, *arguments], capture_output=True, text=True, timeout=60, input=stdin, env=environment(**variables)
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def here(region):
    """Arguments that name the region, with a function `hello` in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", CODE)
    version = f"python3.{sys.version_info.minor}"
    client = region.client("lambda")
    client.create_function(
        FunctionName="hello",
        Runtime=version,
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": buffer.getvalue()},
        Timeout=20,
    )
    client.get_waiter("function_active_v2").wait(FunctionName="hello", WaiterConfig={"Delay": 1})
    return ("--data-dir", str(region.data_dir))


def test_version_and_help() -> None:
    assert lambent("--version").stdout == f"lambent {__version__}\n"
    assert "runtimes" in lambent("--help").stdout


def test_an_unknown_command_and_option_are_told() -> None:
    assert lambent("fly").returncode == 2
    assert lambent("up", "--rocket").returncode == 2
    done = lambent("up", "--auth", "maybe")
    assert (done.returncode, "strict" in done.stderr) == (2, True)


def test_env_is_what_a_shell_needs(region, here) -> None:
    script = f'eval "$({" ".join(LAMBENT)} env {" ".join(here)})" && env'
    output = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env=environment()).stdout
    variables = dict(line.split("=", 1) for line in output.splitlines() if line.startswith("AWS_"))
    assert variables == {
        "AWS_ENDPOINT_URL": region.url,
        "AWS_ACCESS_KEY_ID": region.key.access_key,
        "AWS_SECRET_ACCESS_KEY": region.key.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def test_env_imports_no_client_and_no_server(here) -> None:
    code = "import sys; from lambent.cli.main import app; app(standalone_mode=False); print(sorted(sys.modules))"
    command = [sys.executable, "-c", code, "env", *here]
    modules = subprocess.run(command, capture_output=True, text=True, check=True, env=environment()).stdout
    assert not [name for name in ("boto3", "uvicorn", "sqlalchemy", "asyncio", "lambent.app") if f"'{name}'" in modules]


@pytest.mark.parametrize("command", [("env",), ("status",), ("invoke", "hello"), ("logs", "hello")], ids=" ".join)
def test_commands_without_a_region_say_how_to_start_one(tmp_path, command) -> None:
    done = lambent(*command, LAMBENT_DATA_DIR=str(tmp_path))
    expected = f"lambent: No region runs with the data dir {tmp_path}: start one with `lambent up`.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


def test_a_region_that_was_killed_is_not_taken_for_running(start_region) -> None:
    region = start_region()
    region.kill()
    assert (region.data_dir / "endpoint.json").exists()
    assert lambent("env", "--data-dir", str(region.data_dir)).returncode == 1


def test_status_shows_url_and_isolation(region, here) -> None:
    status = json.loads(lambent("status", "--json", *here).stdout)
    assert (status["url"], status["pid"]) == (region.url, region.process.pid)
    shown = lambent("status", *here).stdout
    assert region.url in shown
    assert status["isolation"]["summary"] in shown


def test_invoke_prints_the_answer(here) -> None:
    assert json.loads(lambent("invoke", "hello", *here).stdout) == {"got": {}}
    done = lambent("invoke", "hello", "--payload", '{"a": 1}', *here)
    assert json.loads(done.stdout) == {"got": {"a": 1}}


def test_invoke_reads_its_payload_from_a_file_or_standard_input(here, tmp_path) -> None:
    file = tmp_path / "event.json"
    file.write_text('{"from": "file"}')
    assert json.loads(lambent("invoke", "hello", "-p", f"@{file}", *here).stdout) == {"got": {"from": "file"}}
    assert json.loads(lambent("invoke", "hello", "-p", "-", *here, stdin="{}").stdout) == {"got": {}}


def test_invoke_ends_with_1_where_the_function_fails(here) -> None:
    done = lambent("invoke", "hello", "--payload", '{"fail": "on purpose"}', *here)
    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads(done.stderr)["errorMessage"] == "on purpose"


def test_invoke_shows_the_log_on_standard_error(here) -> None:
    done = lambent("invoke", "hello", "--log", *here)
    assert json.loads(done.stdout) == {"got": {}}
    assert "seen {}" in done.stderr
    assert "REPORT RequestId: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("invoke", "nobody"), "Function not found"),
        (("invoke", "hello", "--payload", "{"), "Could not parse"),
        (("invoke", "hello", "--payload", "@/nowhere"), "The payload /nowhere cannot be read"),
        (("logs", "nobody"), "There is no log group /aws/lambda/nobody"),
        (("logs", "hello", "--since", "yesterday"), "--since takes a number and a unit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_errors_are_sentences(here, arguments, sentence) -> None:
    done = lambent(*arguments, *here)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lambent: ")
    assert sentence in done.stderr


def test_logs_show_what_the_function_wrote(here) -> None:
    lambent("invoke", "hello", "--payload", '{"mark": "logged"}', *here)
    wait_until(lambda: "seen {'mark': 'logged'}" in lambent("logs", "hello", *here).stdout)


def test_logs_reach_back_as_far_as_is_asked(here) -> None:
    assert "REPORT RequestId" in lambent("logs", "hello", "--since", "99999999w", *here).stdout


def test_logs_follow_until_interrupted(here) -> None:
    command = [*LAMBENT, "logs", "hello", "--follow", "--since", "1m", *here]
    # Whoever runs the tests in the background leaves them, and so this process, deaf to it.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(), preexec_fn=heed) as following:
        lambent("invoke", "hello", "--payload", '{"mark": "followed"}', *here)
        assert any("followed" in line for line in following.stdout)
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 0


def test_runtimes_list_says_what_is_here(tmp_path) -> None:
    rows = {
        row["name"]: row
        for row in json.loads(lambent("runtimes", "list", "--json", "--data-dir", str(tmp_path)).stdout)
    }
    assert rows[f"python3.{sys.version_info.minor}"]["available"]
    assert rows["provided.al2023"]["available"]
    assert not rows["java21"]["available"]
    assert "python3.13" in lambent("runtimes", "list", "--data-dir", str(tmp_path)).stdout


def test_a_runtime_that_is_not_built_is_told_when_it_is_to_be_installed(tmp_path) -> None:
    done = lambent("runtimes", "install", "java21", "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert "java21 is not available yet" in done.stderr


def test_doctor_names_the_level_reached(region) -> None:
    level = region.request("GET", "/_lambent/health").json()["isolation"]["summary"]
    assert f"Isolation: {level}" in lambent("doctor").stdout


def test_environments_are_listed(here):
    assert lambent("invoke", *here, "hello").returncode == 0
    table = lambent("status", *here, "--environments")
    assert table.returncode == 0
    [row] = [line for line in table.stdout.splitlines() if " hello " in line]
    assert "$LATEST" in row
    [found] = json.loads(lambent("status", *here, "--environments", "--json").stdout)
    assert found["id"].startswith(row.split()[0])
    assert (found["function"], found["tenant"], found["provisioned"]) == ("hello", "", False)
    assert found["state"] in ("ready", "frozen")
    assert found["invocations"] >= 1
    assert 0 < found["memory_mb"] <= found["memory_limit_mb"] == 128
    assert 0 <= found["idle_s"] <= found["age_s"]
