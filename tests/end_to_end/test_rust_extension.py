"""A compiled extension made with AWS's crate `lambda-extension`, unchanged: events and telemetry."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from extension_programs import archive

from tests.conftest import wait_until
from tests.roles import ROLE

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "rust_extension"
CACHE = HERE.parents[1] / ".cache"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def extension() -> bytes:
    """The program, built once for each state of its source."""
    if shutil.which("cargo") is None:
        pytest.skip("Rust is not installed")
    sources = b"".join((SOURCE / name).read_bytes() for name in ("Cargo.toml", "Cargo.lock", "src/main.rs"))
    program = CACHE / f"rust-extension-{hashlib.sha256(sources).hexdigest()[:16]}"
    if not program.exists():
        CACHE.mkdir(exist_ok=True)
        target = CACHE / "rust-extension-target"
        done = subprocess.run(
            ["cargo", "build", "--locked", "--quiet", "--target-dir", str(target)],
            cwd=SOURCE,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 and ("failed to download" in done.stderr or "failed to get" in done.stderr):
            pytest.skip("lambda-extension cannot be fetched: no crate registry")
        assert done.returncode == 0, done.stderr
        built = program.with_suffix(f".{os.getpid()}")
        shutil.copy(target / "debug" / "watcher", built)
        built.replace(program)
    return program.read_bytes()


def test_it_hears_of_invocations_lines_and_reports(region: Any, extension: bytes) -> None:
    client, logs = region.client("lambda"), region.client("logs")
    layer = client.publish_layer_version(
        LayerName="watcher", Content={"ZipFile": archive({"extensions/watcher": extension})}
    )["LayerVersionArn"]
    code = b"def handler(event, context):\n    print('hello from the function')\n    return event\n"
    client.create_function(
        FunctionName="watched",
        Runtime="python3.12",
        Handler="app.handler",
        Role=ROLE,
        Timeout=10,
        Layers=[layer],
        Code={"ZipFile": archive({"app.py": code})},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="watched", WaiterConfig={"Delay": 0, "MaxAttempts": 500})
    answers = [client.invoke(FunctionName="watched", Payload=b'{"n": 1}') for _ in range(3)]
    assert [answer["Payload"].read() for answer in answers] == [b'{"n": 1}'] * 3
    ids = [answer["ResponseMetadata"]["RequestId"] for answer in answers]

    def lines() -> list[str]:
        page = logs.filter_log_events(logGroupName="/aws/lambda/watched")
        return [event["message"].strip() for event in page["events"]]

    # What the platform tells of an invocation comes when it is over; of the last, when the next begins or at the end.
    wait_until(lambda: sum(line.startswith("rust report ") for line in lines()) >= 2, 15, "two reports")
    found = lines()
    assert [line for line in found if line.startswith("rust invoke ")] == [f"rust invoke {name}" for name in ids]
    assert found.count("rust saw hello from the function") >= 2
    billed = dict(re.findall(r"REPORT RequestId: (\S+)\t.*?Billed Duration: (\d+) ms", "\n".join(found)))
    told = dict(re.findall(r"rust report (\S+) Success (\d+)", "\n".join(found)))
    assert told.items() <= billed.items(), (told, billed)
    client.delete_function(FunctionName="watched")
    wait_until(lambda: "rust shutdown spindown" in lines(), 10, "the word that the environment goes")
