"""Fixtures for tests that need a region.

`region` is a real one: `lambent up` in a process of its own, on a free port, with an empty data dir below pytest's
temporary folder. It is shared by the tests of one module, so give functions names of their own or call
`region.reset()`. What a test can do with it:

    region.url                    http://127.0.0.1:<port>
    region.client("lambda")       a boto3 client with the root key (kept; keyword arguments make a new one)
    region.request("GET", "/…")   a raw HTTP answer; signed for a service with `sign="lambda"`
    region.data_dir               its Path
    region.restart()              stop cleanly and start again on the same data dir (a new port, so ask for new clients)
    region.kill()                 SIGKILL; then `region.start()` continues on the same data dir
    region.log()                  what it wrote to stderr so far

It has the role `tests.roles.ROLE`, for its functions, unless it accepts any role.

`start_region("--auth", "off")` starts further ones with options; all are stopped at the end of the test, and a test
that leaves a server behind fails.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config as ClientConfig
from botocore.credentials import Credentials

from tests.roles import make_role

START_SECONDS = 20.0
STOP_SECONDS = 20.0


#: Clients may be used by several threads, but sessions may not.
_CREATION = threading.Lock()


@functools.cache
def _session() -> boto3.Session:
    """Of every client: a session of its own would read a service's model again, which takes a tenth of a second."""
    return boto3.Session()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Region:
    """A region in a process of its own."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        # Nothing of a test leaves the machine, and what the region asks for others is on loopback.
        own = (("--network", "none"), ("--network-allow", "127.0.0.0/8,::1/128"))
        self.options = (*options, *(part for option in own if option[0] not in options for part in option))
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.name = ""
        self.banner: list[str] = []
        self._clients: dict[str, Any] = {}
        self._has_role = False
        self._stderr = data_dir.parent / f"{data_dir.name}.log"

    def start(self) -> Region:
        """Run until `Ready.`; raises with what it printed where it does not come."""
        command = [sys.executable, "-m", "lambent.cli", "up", "--port", "0", "--data-dir", str(self.data_dir)]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("LAMBENT_", "AWS_"))}
        with self._stderr.open("a") as stderr:
            self.process = subprocess.Popen(
                [*command, *self.options], stdout=subprocess.PIPE, stderr=stderr, text=True, env=environ
            )
        self.banner = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.banner.append(line.rstrip())
            if line.startswith("Ready."):
                break
        else:
            raise AssertionError(f"lambent up ended with {self.process.wait()}: {self.log()}")
        endpoint = json.loads((self.data_dir / "endpoint.json").read_text())
        self.url, self.name = endpoint["url"], endpoint["region"]
        self._clients = {}
        self._make_role()
        return self

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the server alone, as a crash would be."""
        self._end(signal.SIGKILL)

    def restart(self) -> Region:
        self.stop()
        return self.start()

    def reset(self, path: str = "/_lambent/reset") -> None:
        answer = self.request("POST", path, sign="lambda")
        assert answer.status == 200, answer
        self._has_role = False
        self._make_role()

    def log(self) -> str:
        return self._stderr.read_text()

    @property
    def key(self) -> Credentials:
        fields = json.loads((self.data_dir / "credentials.json").read_text())
        return Credentials(fields["AccessKeyId"], fields["SecretAccessKey"])

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client; without `options` the same one each time. Nothing is retried."""
        if not options and service in self._clients:
            return self._clients[service]
        key = self.key
        settings = {
            "endpoint_url": self.url,
            "region_name": self.name,
            "aws_access_key_id": key.access_key,
            "aws_secret_access_key": key.secret_key,
            "config": ClientConfig(retries={"total_max_attempts": 1}, read_timeout=60),
        }
        with _CREATION:
            client = _session().client(service, **{**settings, **options})
        if not options:
            self._clients[service] = client
        return client

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        sign: str | None = None,
    ) -> Answer:
        """One request over a connection of its own, signed with the root key for service `sign`."""
        headers = dict(headers or {})
        host = urlsplit(self.url).netloc
        if sign is not None:
            request = AWSRequest(method, self.url + path, headers=headers, data=body)
            SigV4Auth(self.key, sign, self.name).add_auth(request)
            headers = dict(request.headers.items())
        connection = http.client.HTTPConnection(host, timeout=30)
        try:
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def _make_role(self) -> None:
        """Once: it is on disk, and the first call of IAM costs a region a tenth of a second."""
        if "off" in self.options or self._has_role:
            return
        try:
            make_role(self, "worker")
        except BaseException:
            # No fixture knows of a region that did not come up, so nobody else would end it.
            self.kill()
            raise
        self._has_role = True

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            status = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"The region did not stop within {STOP_SECONDS} s: {self.log()}") from None
        assert process.stdout is not None
        process.stdout.close()
        return status


#: The files that take longest, longest first: workers take files in this order (`--no-loadscope-reorder`), so that no
#: long one begins when the others are done. What mostly waits stands beside the guests, which take both processors.
LONGEST = (
    "sandbox/test_uml_hostile.py",
    "durability/test_async_kill.py",
    "sandbox/hostile/test_hostile_processes.py",
    # The workers of the first two, which go on for minutes, are given these, too.
    "sandbox/test_uml_guest.py",
    "durability/test_region_kill.py",
    "sandbox/hostile/test_hostile_resources.py",
    "sandbox/test_egress.py",
    "sandbox/test_supervisor_life.py",
    "sandbox/test_snapshots.py",
    "sandbox/test_supervisor_limits.py",
    "sandbox/hostile/test_hostile_runtime_api.py",
    "end_to_end/test_recursion.py",
    "end_to_end/test_metering.py",
    "end_to_end/test_front_cli.py",
    "end_to_end/test_snap_start_functions.py",
    "end_to_end/test_rest_walkthrough.py",
    "end_to_end/test_invoke_failures.py",
    "end_to_end/test_powertools.py",
    "wire/test_responses_roundtrip.py",
    "wire/test_requests_roundtrip.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    places = {folder / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Region]:
    """One region for a module's tests, with the options of its `REGION_OPTIONS`; see this file's docstring."""
    options: tuple[str, ...] = getattr(request.module, "REGION_OPTIONS", ())
    running = Region(tmp_path_factory.mktemp("region") / "data", *options).start()
    yield running
    assert running.stop() in (0, -signal.SIGKILL)


@pytest.fixture
def start_region(tmp_path: Path) -> Iterator[Callable[..., Region]]:
    """`start_region(*options, data_dir=None)` starts a region for one test."""
    started: list[Region] = []

    def start(*options: str, data_dir: Path | None = None) -> Region:
        region = Region(data_dir or tmp_path / f"region-{len(started)}", *options)
        started.append(region)
        return region.start()

    yield start
    for region in started:
        region.stop()


def wait_until(condition: Callable[[], Any], seconds: float = 10.0, what: str = "the condition") -> Any:
    """The first true value of `condition`, asked for every few milliseconds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"{what} did not become true within {seconds} s")
