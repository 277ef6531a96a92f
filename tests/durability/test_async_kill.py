"""SIGKILL of a region under asynchronous events: each acknowledged one is done, or told to its destination.

Functions write what they did into a folder of the host, so that what is counted does not depend on what is killed.
LAMBENT_TEST_ASYNC_EVENTS=2000 makes it a short one.
"""

from __future__ import annotations

import http.client
import io
import os
import random
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from tests.conftest import wait_until
from tests.roles import allowing, make_role

EVENTS = int(os.environ.get("LAMBENT_TEST_ASYNC_EVENTS", "50000"))
SENDERS = 4
#: Of the events, one in so many fails for ever.
FAILING = 20
#: Seconds between two kills: the first of a start comes when events flow.
SHORTEST, LONGEST = 0.8, 2.0
FEWEST_KILLS = 3
DRAIN_SECONDS = 60 + EVENTS / 100

ARN = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0"
CODE = """
import os
def write(name, number):
    out = os.open(f"/mnt/out/{name}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(out, b"%d\\n" % number)
    os.close(out)
def work(event, context):
    if event["n"] % 20 == 0:
        write("attempts", event["n"])
        raise ValueError("one of twenty")
    write("done", event["n"])
def told(record, context):
    assert record["requestContext"]["condition"] == "RetriesExhausted", record
    write("failed", record["requestPayload"]["n"])
"""
#: Nobody answered: the region is dead, or died before it had written its answer.
Lost = (http.client.HTTPException, OSError)


class Senders:
    """Send every number until it is acknowledged."""

    def __init__(self, region: Any, count: int) -> None:
        self.region = region
        self._left = list(range(count, 0, -1))
        self._lock = threading.Lock()
        self.alive = threading.Event()
        self.failures: list[str] = []
        self.resent = 0
        self._threads = [threading.Thread(target=self._run, name=f"sender {n}") for n in range(SENDERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def left(self) -> int:
        with self._lock:
            return len(self._left)

    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (number := self._take()) is not None:
            self.alive.wait()
            try:
                number = self._send_many(number)
            except Lost:
                self.resent += 1
            if number is not None:
                with self._lock:
                    self._left.append(number)

    def _take(self) -> int | None:
        with self._lock:
            return self._left.pop() if self._left else None

    def _send_many(self, first: int) -> int | None:
        """On one connection, until it is lost; the number that was not acknowledged then."""
        path, headers = signed(self.region)
        connection = http.client.HTTPConnection(urlsplit(self.region.url).netloc, timeout=10)
        number: int | None = first
        try:
            while number is not None:
                connection.request("POST", path, b'{"n": %d}' % number, headers)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status == 500:
                    return number  # it is being stopped
                if answer.status != 202:
                    self.failures.append(f"{answer.status} {body!r}")
                    return None
                number = self._take()
        except Lost:
            self.resent += 1
            return number
        finally:
            connection.close()
        return None


def signed(region: Any) -> tuple[str, dict[str, str]]:
    """One signature for every payload."""
    path = "/2015-03-31/functions/work/invocations"
    headers = {"X-Amz-Invocation-Type": "Event", "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    request = AWSRequest("POST", region.url + path, headers=headers)
    SigV4Auth(region.key, "lambda", region.name).add_auth(request)
    return path, dict(request.headers.items())


def deploy(region: Any) -> None:
    client = region.client("lambda")
    role = make_role(region, "sender", inline=allowing("logs:*", "lambda:InvokeFunction", "elasticfilesystem:*"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", CODE)
    for name in ("work", "told"):
        client.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler=f"app.{name}",
            Role=role,
            Code={"ZipFile": buffer.getvalue()},
            Timeout=30,
            VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
            FileSystemConfigs=[{"Arn": ARN, "LocalMountPath": "/mnt/out"}],
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 500})
    target = "arn:aws:lambda:us-east-1:000000000000:function:told"
    client.put_function_event_invoke_config(
        FunctionName="work", DestinationConfig={"OnFailure": {"Destination": target}}
    )


def is_drained(region: Any) -> bool:
    statistics = region.request("GET", "/_lambent/statistics", sign="lambda").json()["events"]
    return not any(statistics.values())


def numbers(file: Path) -> Counter[int]:
    return Counter(map(int, file.read_text().split())) if file.exists() else Counter()


@pytest.mark.slow
@pytest.mark.timeout(90 + EVENTS / 20)
@pytest.mark.skipif(os.geteuid() != 0, reason="owners of folders are mapped by root")
def test_no_acknowledged_event_is_lost_by_kills(start_region: Callable[..., Any], tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    out = tmp_path / "out"
    out.mkdir()
    os.chown(out, 4321, 4321)
    (tmp_path / "lambent.toml").write_text(f'[efs]\n"{ARN}" = "{out}"\n[vpc.subnets]\n"*" = "none"\n')
    region = start_region("--config", str(tmp_path / "lambent.toml"), "--async-retry-base-delay", "0.3")
    deploy(region)
    senders = Senders(region, EVENTS)
    senders.start()
    kills = 0
    began = time.monotonic()
    while senders.busy() or kills < FEWEST_KILLS:
        senders.alive.set()
        time.sleep(rng.uniform(SHORTEST, LONGEST))  # the moment of death is meant to be any
        senders.alive.clear()
        region.kill()
        kills += 1
        region.start()
    senders.alive.set()
    wait_until(lambda: is_drained(region), DRAIN_SECONDS, "the end of all events")
    took = time.monotonic() - began
    done, failed, attempts = (numbers(out / name) for name in ("done", "failed", "attempts"))
    again = sum(done.values()) - len(done) + sum(failed.values()) - len(failed)
    print(
        f"seed {seed}: {EVENTS} events in {took:.0f} s, {kills} kills, {senders.resent} sent anew; "
        f"{again} ended more than once, {sum(attempts.values())} attempts at {len(attempts)} that fail"
    )
    assert senders.failures == []
    expected = range(1, EVENTS + 1)
    assert sorted(done) == [number for number in expected if number % FAILING]
    assert sorted(failed) == [number for number in expected if number % FAILING == 0]
    # A kill repeats what was under way, not everything.
    assert again <= EVENTS // 2
