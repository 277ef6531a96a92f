"""The region as a whole, seen from outside: its own paths, its errors, its start and its end."""

from __future__ import annotations

import io
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from lambent import __version__
from tests.conftest import Region, wait_until
from tests.roles import ROLE


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LAMBENT_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-m", "lambent.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**environ, **variables},
    )


# ---- its own paths -------------------------------------------------------------------------------------------------


def test_health_names_version_isolation_and_services(region) -> None:
    health = region.request("GET", "/_lambent/health").json()
    assert health["version"] == __version__
    assert health["isolation"]["level"] in ("full", "reduced", "process")
    assert {"lambda", "logs", "sts"} <= health["services"].keys()


def test_tools_made_for_localstack_find_what_they_wait_for(region) -> None:
    assert region.request("GET", "/_localstack/health").json()["services"]["lambda"] == "running"
    assert region.request("GET", "/_localstack/info").json()["version"] == __version__
    assert region.request("GET", "/_localstack/init").json()["completed"]["READY"] is True


def test_other_paths_and_methods_of_its_own_are_refused(region) -> None:
    assert region.request("GET", "/_lambent/nothing").status == 404
    answer = region.request("DELETE", "/_lambent/health")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert region.request("GET", "/_lambent/reset").status == 405


def test_reset_needs_the_root_keys_signature(region) -> None:
    answer = region.request("POST", "/_lambent/reset")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/_lambent/reset", "/_localstack/state/reset"])
def test_reset_empties_the_region(region, path, package) -> None:
    functions = region.client("lambda")
    functions.create_function(
        FunctionName="gone", Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": package}
    )
    region.client("logs").create_log_group(logGroupName="gone")
    region.reset(path)
    assert functions.list_functions()["Functions"] == []
    assert region.client("logs").describe_log_groups()["logGroups"] == []


@pytest.fixture(scope="module")
def package() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): return event")
    return buffer.getvalue()


# ---- who asks ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"aws_access_key_id": "AKIAAAAAAAAAAAAAAAAA"}, "UnrecognizedClientException"),
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_session_token": "AAAA"}, "UnrecognizedClientException"),
    ],
    ids=["key", "secret", "token"],
)
def test_a_caller_that_is_not_believed_gets_403_and_nothing_else(region, options, code) -> None:
    with pytest.raises(ClientError) as caught:
        region.client("lambda", **options).list_functions()
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_unsigned_request_gets_403(region) -> None:
    answer = region.request("GET", "/2015-03-31/functions/")
    assert (answer.status, answer.json()) == (403, {"message": "Missing Authentication Token"})


def test_a_body_of_another_signature_is_refused_off_the_loop_too(region, package) -> None:
    large = json.dumps({"FunctionName": "x", "Description": "x" * 300_000}).encode()
    answer = region.request("POST", "/2015-03-31/functions", large, sign="lambda")
    assert answer.status == 400
    answer = region.request("POST", "/2015-03-31/functions", large, headers={"Authorization": "AWS4-HMAC-SHA256 x=y"})
    assert answer.status == 403


@pytest.mark.slow
def test_a_package_over_the_limit_is_refused_in_the_operations_name(region) -> None:
    with pytest.raises(ClientError) as caught:
        region.client("lambda").create_function(
            FunctionName="large", Runtime="python3.11", Handler="a.b", Role=ROLE, Code={"ZipFile": bytes(53_000_000)}
        )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert caught.value.response["Error"] == {
        "Code": "RequestEntityTooLargeException",
        "Message": "Request must be smaller than 70167211 bytes for the CreateFunction operation",
    }


def test_every_answer_has_its_request_id(region) -> None:
    answers = [region.request("GET", "/_lambent/health"), region.request("GET", "/2015-03-31/functions/")]
    assert len({answer.headers["x-amzn-requestid"] for answer in answers}) == 2


def test_an_operation_that_is_not_built_answers_501(region) -> None:
    with pytest.raises(ClientError) as caught:
        region.client("lambda").list_capacity_providers()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "ListCapacityProviders of lambda is not implemented" in caught.value.response["Error"]["Message"]


# ---- auth off ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_region(tmp_path_factory):
    region = Region(tmp_path_factory.mktemp("open") / "data", "--auth", "off").start()
    yield region
    region.stop()


@pytest.mark.slow
def test_auth_off_believes_any_key(open_region) -> None:
    sts = open_region.client("sts", aws_access_key_id="test", aws_secret_access_key="test")
    assert sts.get_caller_identity()["Account"] == "000000000000"
    sts = open_region.client("sts", aws_access_key_id="111122223333", aws_secret_access_key="any")
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::111122223333:root"


def test_auth_off_needs_no_key_at_all(open_region) -> None:
    assert open_region.request("GET", "/2015-03-31/functions/").json()["Functions"] == []
    assert open_region.request("POST", "/_lambent/reset").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://localhost.evil.example"},
        {"Host": "rebound.evil.example"},
        {"Host": "127.0.0.1.evil.example"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/_lambent/reset"), ("POST", "/2015-03-31/functions"), ("GET", "/_lambent/health")]
)
def test_a_web_page_of_another_origin_can_do_nothing(open_region, method, path, headers) -> None:
    answer = open_region.request(method, path, headers=headers)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    assert "refused under --auth off" in answer.json()["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost:4566"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Host": "localhost:4566"},
        {"Host": "[::1]:4566"},
        {"Host": "lambda.localhost.localstack.cloud:4566"},
        {"Host": "bucket.s3.localhost"},
    ],
    ids=str,
)
def test_ones_own_pages_and_names_are_let_through(open_region, headers) -> None:
    assert open_region.request("GET", "/_lambent/health", headers=headers).status == 200


def test_the_banner_of_an_open_region_says_so(open_region) -> None:
    assert any("--auth off" in line for line in open_region.banner)


@pytest.mark.slow
def test_auth_off_on_a_public_address_must_be_asked_for(tmp_path) -> None:
    done = command("up", "--auth", "off", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert "add --allow-remote" in done.stderr
    assert "Traceback" not in done.stderr


# ---- start and end -------------------------------------------------------------------------------------------------


def test_the_banner_tells_url_isolation_credentials_and_what_is_enforced(region) -> None:
    text = "\n".join(region.banner)
    assert region.url in text
    assert "Isolation: " in text
    assert f'eval "$(lambent env --data-dir {region.data_dir})"' in text
    assert "Permissions: enforced" in text
    assert region.banner[-1] == "Ready."


def test_secrets_are_readable_by_their_owner_alone(region) -> None:
    for name in ("credentials.json", "secret.key", "region.db"):
        assert stat.S_IMODE((region.data_dir / name).stat().st_mode) == 0o600
    # Root's functions have users of their own, who may have to pass through; nobody may look around.
    assert stat.S_IMODE(region.data_dir.stat().st_mode) == (0o711 if os.geteuid() == 0 else 0o700)


@pytest.mark.slow
def test_a_restart_keeps_the_key_and_the_functions(start_region, package) -> None:
    region = start_region()
    key = region.key.access_key
    region.client("lambda").create_function(
        FunctionName="kept", Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": package}
    )
    region.restart()
    assert region.key.access_key == key
    assert region.client("lambda").get_function(FunctionName="kept")["Configuration"]["FunctionName"] == "kept"
    region.kill()
    region.start()
    assert region.client("lambda").get_function(FunctionName="kept")["Configuration"]["FunctionName"] == "kept"


@pytest.mark.slow
def test_a_clean_stop_removes_the_endpoint_and_ends_with_0(start_region) -> None:
    region = start_region()
    assert (region.data_dir / "endpoint.json").exists()
    assert region.stop() == 0
    assert not (region.data_dir / "endpoint.json").exists()


@pytest.mark.slow
def test_a_region_whose_supervisor_dies_ends_and_says_why(start_region) -> None:
    region = start_region()
    process = region.process
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (supervisor,) = (int(pid) for pid in children if b"sandbox.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(supervisor, signal.SIGKILL)
    assert process.wait(20) == 1
    assert "lambent: The supervisor ended unexpectedly" in region.log()
    assert not (region.data_dir / "endpoint.json").exists()
    # Nothing of it is left in the way of the next start.
    region.start()
    assert region.client("sts").get_caller_identity()["Account"] == "000000000000"


SLOW = """
import time
def handler(event, context):
    time.sleep(event)
    return "done"
"""


@pytest.mark.slow
def test_a_stop_waits_for_the_function_that_runs(start_region) -> None:
    region = start_region()
    client = region.client("lambda")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", SLOW)
    client.create_function(
        FunctionName="slow",
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": buffer.getvalue()},
        Timeout=20,
    )
    client.get_waiter("function_active_v2").wait(FunctionName="slow", WaiterConfig={"Delay": 1})
    assert client.invoke(FunctionName="slow", Payload=b"0")["Payload"].read() == b'"done"'
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(lambda: client.invoke(FunctionName="slow", Payload=b"2")["Payload"].read())
        wait_until(lambda: starts_of(region, "slow") == 2)
        assert region.stop() == 0
        assert answer.result(10) == b'"done"'


def starts_of(region, name: str) -> int:
    events = region.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    return sum(event["message"].startswith("START RequestId") for event in events)


@pytest.mark.slow
def test_two_regions_cannot_share_a_data_dir(region) -> None:
    done = command("up", "--port", "0", "--data-dir", str(region.data_dir))
    assert done.returncode == 1
    assert done.stderr == f"lambent: A region is running with the data dir {region.data_dir} already.\n"


@pytest.mark.slow
def test_a_port_in_use_is_told_in_a_sentence(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command("up", "--port", port, "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 1
    assert done.stderr == f"lambent: Cannot listen on 127.0.0.1 port {port}: Address already in use.\n"


@pytest.mark.slow
def test_a_host_that_cannot_be_resolved_is_told_in_a_sentence(tmp_path) -> None:
    done = command("up", "--host", "nowhere.invalid", "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 1
    assert done.stderr.startswith("lambent: Cannot listen on nowhere.invalid port 0: ")
    assert "Unknown error" not in done.stderr


@pytest.mark.slow
def test_a_key_that_others_may_read_is_refused(tmp_path) -> None:
    key = tmp_path / "credentials.json"
    key.write_text("{}")
    key.chmod(0o644)
    done = command("up", "--port", "0", "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert f"run `chmod 600 {key}`" in done.stderr


@pytest.fixture
def nobodys_data_dir():
    """In a folder that others may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="lambent-test-"))
    folder.chmod(0o755)
    data_dir = folder / "data"
    data_dir.mkdir(mode=0o700)
    nobody = pwd.getpwnam("nobody")
    os.chown(data_dir, nobody.pw_uid, nobody.pw_gid)
    yield data_dir
    shutil.rmtree(folder)


def open_to_others(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in path.parents)


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which it gives up")
def test_started_as_root_the_server_becomes_the_owner_of_its_data_dir(start_region, nobodys_data_dir, package) -> None:
    if not open_to_others(Path(os.__file__)):
        done = command("up", "--port", "0", "--data-dir", str(nobodys_data_dir))
        assert (done.returncode, "The account nobody cannot read the Python" in done.stderr) == (1, True)
        pytest.skip(f"the Python of these tests, {sys.executable}, is closed to other users; the refusal was seen")
    region = start_region(data_dir=nobodys_data_dir)
    nobody = pwd.getpwnam("nobody")
    status = Path(f"/proc/{region.process.pid}/status").read_text()
    assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}" in status
    assert "CapEff:\t0000000000000000" in status
    client = region.client("lambda")
    client.create_function(
        FunctionName="f", Runtime="provided.al2023", Handler="x", Role=ROLE, Code={"ZipFile": package}
    )
    client.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})
    # It has no bootstrap, which only a sandbox that was made can tell.
    assert client.invoke(FunctionName="f")["FunctionError"] == "Unhandled"
    region.stop()


def test_statistics_are_the_operators_alone(region) -> None:
    assert region.request("GET", "/_lambent/statistics").status == 403
    numbers = region.request("GET", "/_lambent/statistics", sign="lambda").json()
    assert {"busy", "idle", "starting", "waiting"} <= set(numbers["invoker"])
    assert "phases_ms" in numbers["sandboxes"]
    assert "stored_bytes" in numbers["logs"]
