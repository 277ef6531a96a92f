"""SnapStart from publish to the ledger, with real functions: what is restored, what is each environment's own."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from lambent.runtimes.catalog import Catalog
from tests.conftest import wait_until
from tests.roles import ROLE, allowing, make_role

#: Every Python may have it.
CONFIGURATION = Path(__file__).with_name("snap_start.toml")
REGION_OPTIONS = ("--config", str(CONFIGURATION))
ON = {"ApplyOn": "PublishedVersions"}
FAST = {"Delay": 0, "MaxAttempts": 10_000}
PYTHON = "python3.12"
AVAILABLE = [spec.name for spec in Catalog(Path("/nonexistent")).available()]

pytestmark = pytest.mark.slow

#: Tells what was made at init, and what each environment has of its own.
TELLING = """
import multiprocessing, os, random, secrets, ssl, tempfile, time, uuid
from snapshot_restore_py import register_after_restore, register_before_snapshot

STREAM = "AWS_LAMBDA_LOG_STREAM_NAME"
events = []
register_before_snapshot(events.append, "before")
register_after_restore(lambda: events.append("after"))

def drawn():
    return {"random": random.random(), "uuid1": str(uuid.uuid1()), "uuid4": str(uuid.uuid4()), "node": uuid.getnode(),
            "secret": secrets.token_hex(8), "ssl": ssl.RAND_bytes(8).hex(), "name": tempfile.mktemp(),
            "key": multiprocessing.current_process().authkey.hex()}

INIT = {"id": secrets.token_hex(8), "drawn": drawn(), "variables": dict(os.environ)}
calls = 0

def handler(event, context):
    global calls
    calls += 1
    time.sleep(event.get("sleep", 0))
    return {"init": INIT["id"], "at_init": INIT["drawn"], "drawn": drawn(), "events": events, "calls": calls,
            "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "stream": os.environ[STREAM],
            "stream_of_context": context.log_stream_name, "stream_at_init": INIT["variables"][STREAM]}
"""

#: Calls AWS by a client that was made at init, and by one made now.
CALLING = """
import os, urllib.error, urllib.request
import boto3

client = boto3.client("sts")

def handler(event, context):
    url, token = (os.environ[f"AWS_CONTAINER_{name}"] for name in ("CREDENTIALS_FULL_URI", "AUTHORIZATION_TOKEN"))
    status = None
    try:
        urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": token[:-1]}))
    except urllib.error.HTTPError as error:
        status = error.code
    return {"old": client.get_caller_identity()["Arn"], "new": boto3.client("sts").get_caller_identity()["Arn"],
            "key": client._request_signer._credentials.access_key, "static": "AWS_ACCESS_KEY_ID" in os.environ,
            "bad_token": status}
"""


def zipped(code: str | dict[str, bytes]) -> bytes:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (code if isinstance(code, dict) else {"app.py": code}).items():
            archive.writestr(name, text)
    return package.getvalue()


def publish(region: Any, name: str, code: str | dict[str, bytes], *, wait: bool = True, **options: Any) -> Any:
    """The client, once version 1 of a new function is ready."""
    client = region.client("lambda")
    settings = {"Runtime": PYTHON, "Role": ROLE, "Handler": "app.handler", "Timeout": 10, "SnapStart": ON, **options}
    client.create_function(FunctionName=name, Code={"ZipFile": zipped(code)}, Publish=True, **settings)
    if wait:
        client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig=FAST)
    return client


def ask(client: Any, name: str, event: dict[str, Any] | None = None, qualifier: str = "1") -> Any:
    answer = client.invoke(FunctionName=name, Qualifier=qualifier, Payload=json.dumps(event or {}))
    payload = json.load(answer["Payload"])
    assert "FunctionError" not in answer, payload
    return payload


def is_restored(client: Any, name: str) -> bool:
    """Whether the next invocation is the first in an environment, and that came out of a snapshot."""
    answer = client.invoke(FunctionName=name, Qualifier="1", LogType="Tail", Payload=b"{}")
    return b"\tRestore Duration: " in base64.b64decode(answer["LogResult"])


def version(client: Any, name: str, qualifier: str = "1") -> dict[str, Any]:
    described: dict[str, Any] = client.get_function_configuration(FunctionName=name, Qualifier=qualifier)
    return described


def settled(client: Any, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = version(client, name)
        return None if found["State"] == "Pending" else found

    found: dict[str, Any] = wait_until(look, 30)
    return found


def lines(region: Any, name: str, stream: str) -> list[str]:
    events = region.client("logs").get_log_events(
        logGroupName=f"/aws/lambda/{name}", logStreamName=stream, startFromHead=True
    )["events"]
    return [event["message"].rstrip("\n") for event in events]


def refusal(call: Callable[..., Any], **params: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"]["Message"],
    )


def test_a_version_is_restored_from_one_init_and_hooks_run_around_the_snapshot(region: Any) -> None:
    client = publish(region, "telling", TELLING)
    assert version(client, "telling")["SnapStart"] == {**ON, "OptimizationStatus": "On"}
    told = ask(client, "telling")
    assert (told["type"], told["events"], told["calls"]) == ("snap-start", ["before", "after"], 1)
    assert told["stream"] == told["stream_of_context"] != told["stream_at_init"]
    assert ask(client, "telling")["calls"] == 2
    # $LATEST initialises by itself.
    latest = ask(client, "telling", qualifier="$LATEST")
    assert (latest["type"], latest["events"]) == ("on-demand", [])
    assert latest["init"] != told["init"]


def test_no_two_environments_share_what_must_be_unique(region: Any) -> None:
    client = publish(region, "unique", TELLING)
    many = region.client("lambda", config=ClientConfig(max_pool_connections=8, retries={"total_max_attempts": 1}))
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: ask(many, "unique", {"sleep": 1}), range(8)))
    assert {one["calls"] for one in told} == {1}
    assert len({one["init"] for one in told}) == 1
    assert len({one["stream"] for one in told}) == 8
    for name in told[0]["drawn"]:
        values = {one["drawn"][name] for one in told} | {told[0]["at_init"][name]}
        assert len(values) == 9, name
    assert client is not None


#: Its generator is not the interpreter's: a copy of OpenSSL of its own, that Python cannot reach.
SEALED = """
from cryptography.hazmat.primitives.asymmetric import ec
ec.generate_private_key(ec.SECP256R1())

def handler(event, context):
    import time
    time.sleep(1)
    return str(ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value)
"""


def test_keys_made_by_a_library_with_an_openssl_of_its_own_are_unique(region: Any) -> None:
    files = {"app.py": SEALED.encode()}
    for name in ("cryptography", "cffi", "_cffi_backend"):
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        origin = Path(found.origin)
        for path in [origin] if origin.name != "__init__.py" else origin.parent.rglob("*"):
            if path.suffix in (".py", ".so"):
                files[str(path.relative_to(origin.parents[0 if path is origin else 1]))] = path.read_bytes()
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    publish(region, "sealed", files, Runtime=runtime, MemorySize=512)
    assert is_restored(region.client("lambda"), "sealed")
    many = region.client("lambda", config=ClientConfig(max_pool_connections=4, retries={"total_max_attempts": 1}))
    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(lambda _: ask(many, "sealed"), range(4)))
    assert len(set(keys)) == 4


def test_events_wait_for_their_version(region: Any) -> None:
    client = publish(region, "waited", "import time\ntime.sleep(1)\n" + TELLING, wait=False)
    assert client.invoke(FunctionName="waited", Qualifier="1", InvocationType="Event")["StatusCode"] == 202
    assert refusal(client.invoke, FunctionName="waited", Qualifier="1")[:2] == (409, "SnapStartNotReadyException")
    assert settled(client, "waited")["State"] == "Active"
    wait_until(lambda: ask(client, "waited")["calls"] > 1, 20, "the event's run")


def test_sdks_get_their_credentials_from_the_environments_endpoint(region: Any) -> None:
    role = make_role(region, "snapped", inline=allowing("sts:GetCallerIdentity", "logs:*"))
    client = publish(region, "calling", CALLING, Role=role, Timeout=30, MemorySize=512)
    told = ask(client, "calling")
    arn = "arn:aws:sts::000000000000:assumed-role/snapped/calling"
    assert (told["old"], told["new"], told["static"], told["bad_token"]) == (arn, arn, False, 404)
    assert told["key"].startswith("ASIA")


def test_logs_begin_with_the_restore_and_the_first_report_has_it(region: Any) -> None:
    client = publish(region, "logged", TELLING)
    stream = ask(client, "logged")["stream"]
    ask(client, "logged")
    found = wait_until(lambda: len(log := lines(region, "logged", stream)) >= 8 and log)
    assert re.fullmatch(r"RESTORE_START Runtime Version: python:3.12.v1\tRuntime Version ARN: \S+", found[0])
    assert re.fullmatch(r"RESTORE_REPORT Restore Duration: [\d.]+ ms", found[1])
    reports = [line for line in found if line.startswith("REPORT")]
    first = re.search(r"Duration: ([\d.]+) ms\tBilled Duration: (\d+) ms\t", reports[0])
    restored = re.search(r"Restore Duration: ([\d.]+) ms\tBilled Restore Duration: (\d+) ms\t", reports[0])
    assert first is not None
    assert restored is not None
    assert "Init Duration" not in reports[0]
    assert int(restored[2]) <= float(restored[1]) + 1
    assert int(first[2]) - int(restored[2]) in range(int(float(first[1])), int(float(first[1])) + 2)
    assert "Restore" not in reports[1]
    # The init has a stream of its own.
    (init,) = [
        each["logStreamName"]
        for each in region.client("logs").describe_log_streams(logGroupName="/aws/lambda/logged")["logStreams"]
        if each["logStreamName"] != stream
    ]
    at_init = lines(region, "logged", init)
    assert at_init[0].startswith("INIT_START ")
    assert at_init[-1].startswith("INIT_REPORT Init Duration: ")


def test_json_logs_have_restore_events(region: Any) -> None:
    client = publish(region, "jsonlogs", TELLING, LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "DEBUG"})
    stream = ask(client, "jsonlogs")["stream"]
    found = [json.loads(line) for line in wait_until(lambda: lines(region, "jsonlogs", stream))]
    kinds = [event["type"] for event in found if event.get("type", "").startswith("platform.restore")]
    assert kinds == ["platform.restoreStart", "platform.restoreRuntimeDone", "platform.restoreReport"]
    report = next(event["record"] for event in found if event.get("type") == "platform.report")
    assert report["metrics"]["restoreDurationMs"] > 0


THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
SOCKET = "import socket\nlistener = socket.create_server(('127.0.0.1', 0))\n"
CHILD = "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
ANSWER = "def handler(event, context):\n    import os\n    return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n"


UNFORKABLE = {"thread": (THREAD, "thread"), "socket": (SOCKET, "socket"), "child": (CHILD, "process")}


@pytest.mark.parametrize("name", UNFORKABLE)
def test_what_cannot_be_forked_starts_as_any_other_and_says_why(region: Any, name: str) -> None:
    code, word = UNFORKABLE[name]
    client = publish(region, name, code + ANSWER)
    found = version(client, name)
    assert (found["State"], found["SnapStart"]["OptimizationStatus"]) == ("Active", "Off")
    assert word in found["StateReason"]
    assert ask(client, name) == "on-demand"


FAILING = {
    "import": "import no_such_module\n",
    "exit": "import os\nos._exit(3)\n",
    "hook": "import snapshot_restore_py\nsnapshot_restore_py.register_before_snapshot(int, 'as told')\n",
}


@pytest.mark.parametrize("name", FAILING)
def test_a_version_whose_init_fails_is_failed(region: Any, name: str) -> None:
    client = publish(region, f"fails-{name}", FAILING[name] + ANSWER, wait=False)
    found = settled(client, f"fails-{name}")
    assert (found["State"], found["StateReasonCode"]) == ("Failed", "FunctionError")
    assert found["StateReason"].startswith("An error occurred during function initialization.")
    assert refusal(client.invoke, FunctionName=f"fails-{name}", Qualifier="1") == (
        409,
        "ResourceConflictException",
        "The operation cannot be performed at this time. The function is currently in the following state: Failed",
    )
    # $LATEST is another matter: it can be invoked, and fails as any function does.
    assert client.invoke(FunctionName=f"fails-{name}")["StatusCode"] == 200


AFTER = "import snapshot_restore_py\nsnapshot_restore_py.register_after_restore(int, 'as told')\n"


def test_a_hook_that_fails_after_the_restore_is_awss_error(region: Any) -> None:
    client = publish(region, "after", AFTER + ANSWER)
    status, code, message = refusal(client.invoke, FunctionName="after", Qualifier="1")
    assert (status, code) == (400, "SnapStartException")
    assert message.startswith("The afterRestore() runtime hook encountered an error.")
    streams = region.client("logs").describe_log_streams(logGroupName="/aws/lambda/after")["logStreams"]
    logged = [line for each in streams for line in lines(region, "after", each["logStreamName"])]
    assert any("ValueError: invalid literal" in line for line in logged)
    report = next(line for line in logged if line.startswith("RESTORE_REPORT"))
    assert "\tStatus: error\tError Type: Runtime.AfterRestoreError" in report


def test_a_restart_of_the_region_makes_snapshots_again_when_they_are_needed(start_region: Callable[..., Any]) -> None:
    region = start_region(*REGION_OPTIONS)
    client = publish(region, "lasting", TELLING)
    before = ask(client, "lasting")
    client = region.restart().client("lambda")
    assert version(client, "lasting")["SnapStart"]["OptimizationStatus"] == "On"
    assert is_restored(client, "lasting")
    after = ask(client, "lasting")
    assert (after["type"], after["events"]) == ("snap-start", ["before", "after"])
    assert after["init"] != before["init"]
    # Killed in the middle of a publication, it goes on with it.
    publish(region, "slow", "import time\ntime.sleep(1)\n" + ANSWER, wait=False)
    region.kill()
    client = region.start().client("lambda")
    assert version(client, "slow")["State"] == "Pending"
    assert settled(client, "slow")["SnapStart"]["OptimizationStatus"] == "On"
    assert is_restored(client, "slow")


ENDING = """
import os, time

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    if event:
        os._exit(3)
"""


def test_what_ends_its_runtime_is_restored_again(region: Any) -> None:
    client = publish(region, "ending", ENDING, Timeout=1)
    for event, kind in (({"exit": 1}, "Runtime.ExitError"), ({"sleep": 5}, "Sandbox.Timedout")):
        assert is_restored(client, "ending")
        answer = client.invoke(FunctionName="ending", Qualifier="1", Payload=json.dumps(event))
        assert json.load(answer["Payload"])["errorType"] == kind
    assert is_restored(client, "ending")


def test_every_python_is_restored_where_the_operator_lets_it(region: Any) -> None:
    client = region.client("lambda")
    # AWS's module of hooks cannot be imported by Python 3.8.
    for runtime in [name for name in AVAILABLE if name.startswith("python") and name not in (PYTHON, "python3.8")]:
        name = runtime.replace(".", "-")
        publish(region, name, TELLING, Runtime=runtime)
        told = ask(client, name)
        assert (told["type"], told["events"]) == ("snap-start", ["before", "after"]), name


def test_versions_go_and_aliases_move_as_ever(region: Any) -> None:
    client = publish(region, "moving", TELLING)
    client.create_alias(FunctionName="moving", Name="live", FunctionVersion="1")
    first = ask(client, "moving", qualifier="live")
    client.update_function_code(FunctionName="moving", ZipFile=zipped(TELLING + "# changed\n"), Publish=True)
    client.get_waiter("published_version_active").wait(FunctionName="moving", Qualifier="2", WaiterConfig=FAST)
    client.update_alias(FunctionName="moving", Name="live", FunctionVersion="2")
    second = ask(client, "moving", qualifier="live")
    assert (second["type"], second["events"]) == ("snap-start", ["before", "after"])
    assert second["init"] != first["init"]
    client.delete_function(FunctionName="moving", Qualifier="1")
    assert refusal(client.invoke, FunctionName="moving", Qualifier="1")[:2] == (404, "ResourceNotFoundException")
    assert ask(client, "moving", qualifier="live")["init"] == second["init"]
    client.delete_function(FunctionName="moving")


def test_the_ledger_has_what_a_snapshot_costs(region: Any) -> None:
    client = publish(region, "billed", TELLING, MemorySize=1024)
    ask(client, "billed")
    command = [sys.executable, "-m", "lambent.cli", "costs", "--json", "--data-dir", str(region.data_dir)]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found = [each for each in answer["lines"] if (each["function"], each["version"]) == ("billed", "1")]
    assert sum(each["cached_gb_seconds"] for each in found) == pytest.approx(3 * 3600)
    assert sum(each["restored_gb"] for each in found) == 1
    expected = 3 * 3600 * 0.0000015046 + 0.0001397998
    assert sum(each["cost"]["snap_start"] for each in found) == pytest.approx(expected)
    # The init at publication is billed as well.
    assert sum(each["billed_ms"] for each in found) > 1
