"""A bounded soak: many functions started at once, then mixed load, then a look at what the region failed to give back.

`python bench/soak.py --seconds 600 --functions 200` prints figures and ends with 1 if a request was answered wrongly or
anything leaked: processes, mounts, cgroups, loop devices, descriptors, memory.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import functools
import io
import json
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.config import Config
from leaks import Holdings, cgroup_folders, holdings, host_mounts, kinds_of_descriptors, loop_devices
from region import ROLE, Region

PYTHON = """
import os, time
seen = 0
def handler(event, context):
    global seen
    seen += 1
    action = event.get("action")
    if action == "log":
        for number in range(event["lines"]):
            print("line", number, "of", context.aws_request_id)
    if action == "raise":
        raise ValueError("as asked")
    if action == "exit":
        os._exit(3)
    if action == "hang":
        time.sleep(3600)
    if action == "write":
        with open("/tmp/soak", "wb") as file:
            file.write(os.urandom(event["bytes"]))
    return {"echo": event.get("value"), "seen": seen}
"""

NODE = """
let seen = 0;
exports.handler = async (event) => {
  seen += 1;
  if (event.action === 'log') for (let n = 0; n < event.lines; n += 1) console.log('line', n);
  if (event.action === 'raise') throw new TypeError('as asked');
  if (event.action === 'exit') process.exit(3);
  if (event.action === 'hang') await new Promise((resolve) => setTimeout(resolve, 3600000));
  if (event.action === 'write') require('fs').writeFileSync('/tmp/soak', Buffer.alloc(event.bytes, 'x'));
  return { echo: event.value, seen };
};
"""

CUSTOM = (
    "#!/usr/bin/env python3\n"
    + PYTHON
    + """
import http.client, json
class Context:
    aws_request_id = ""
api, base = os.environ["AWS_LAMBDA_RUNTIME_API"], "/2018-06-01/runtime/invocation/"
connection = http.client.HTTPConnection(api)
while True:
    connection.request("GET", base + "next")
    answer = connection.getresponse()
    event = json.loads(answer.read())
    Context.aws_request_id = answer.getheader("Lambda-Runtime-Aws-Request-Id")
    try:
        path, body = "/response", handler(event, Context)
    except ValueError as error:
        path, body = "/error", {"errorMessage": str(error), "errorType": "ValueError"}
    connection.request("POST", base + Context.aws_request_id + path, json.dumps(body))
    connection.getresponse().read()
"""
)

#: (share of the load, action, arguments, whether a function error is the right answer).
MIX = (
    (60, "echo", {}, False),
    (12, "log", {"lines": 20}, False),
    (8, "write", {"bytes": 1_000_000}, False),
    (6, "raise", {}, True),
    (3, "exit", {}, True),
    (1, "hang", {}, True),
    (4, "reconfigure", {}, False),
    (2, "redeploy", {}, False),
    (2, "replace", {}, False),
    (2, "read logs", {}, False),
)
#: What may be more after the soak than before: pools refill, allocators keep some.
ALLOWED = Holdings(processes=6, mounts=80, cgroups=12, loops=6, descriptors=60, memory=96)
SETTLE_SECONDS = 60


@dataclass
class Tally:
    """Counts of all threads together."""

    done: collections.Counter[str] = field(default_factory=collections.Counter)
    errors: collections.Counter[str] = field(default_factory=collections.Counter)
    milliseconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, action: str, milliseconds: float | None, error: str | None) -> None:
        with self.lock:
            self.done[action] += 1
            if milliseconds is not None:
                self.milliseconds.append(milliseconds)
            if error is not None:
                self.errors[f"{action}: {error[:300]}"] += 1

    def summary(self) -> str:
        times = sorted(self.milliseconds) or [0.0]
        p99 = times[int(len(times) * 0.99) - 1]
        counts = f"{sum(self.done.values())} requests, {sum(self.errors.values())} errors"
        return f"{counts}, echo p50 {statistics.median(times):.1f} ms, p99 {p99:.0f} ms"


class Soak:
    def __init__(self, region: Region, functions: int, threads: int) -> None:
        self.region = region
        self.threads = threads
        self.kinds = available_kinds()
        #: One lock a function: changes wait for nobody, but two changes of one function would conflict as on AWS.
        self.locks = {f"soak-{number:03d}": threading.Lock() for number in range(functions)}
        self.tally = Tally()
        self.clients = {service: self.new_client(service) for service in ("lambda", "logs")}

    def new_client(self, service: str):
        """Shared by all threads: making one costs more than a cold start."""
        key = self.region.credentials
        return boto3.Session(key.access_key, key.secret_key, region_name=self.region.name).client(
            service,
            endpoint_url=self.region.url,
            config=Config(
                retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=len(self.locks) + self.threads
            ),
        )

    # ---- one thing at a time -----------------------------------------------------------------------------------

    def create(self, name: str) -> None:
        number = int(name.rpartition("-")[2])
        runtime, handler, files = self.kinds[number % len(self.kinds)]
        self.clients["lambda"].create_function(
            FunctionName=name,
            Runtime=runtime,
            Handler=handler,
            Role=ROLE,
            Timeout=3,
            MemorySize=128,
            Code={"ZipFile": zipped(files)},
        )
        self.wait_until_settled(name)

    def wait_until_settled(self, name: str) -> None:
        while True:
            found = self.clients["lambda"].get_function_configuration(FunctionName=name)
            if found["State"] == "Active" and found["LastUpdateStatus"] == "Successful":
                return
            time.sleep(0.01)

    def invoke(self, name: str, action: str, arguments: dict[str, int], fails: bool) -> None:
        value = random.getrandbits(50)  # exact in JavaScript too
        answer = self.clients["lambda"].invoke(
            FunctionName=name, Payload=json.dumps({"action": action, "value": value, **arguments}).encode()
        )
        payload = json.loads(answer["Payload"].read())
        if fails != ("FunctionError" in answer):
            raise AssertionError(f"{name} answered {payload}")
        if not fails and payload["echo"] != value:
            raise AssertionError(f"{name} answered another's request: {payload}, not {value}")

    def change(self, name: str, action: str) -> None:
        client = self.clients["lambda"]
        with self.locks[name]:
            if action == "reconfigure":
                client.update_function_configuration(FunctionName=name, Description=str(random.random()))
            elif action == "redeploy":
                number = int(name.rpartition("-")[2])
                files = {**self.kinds[number % len(self.kinds)][2], "version.txt": str(random.random())}
                client.update_function_code(FunctionName=name, ZipFile=zipped(files))
            else:
                client.delete_function(FunctionName=name)
                self.create(name)
            self.wait_until_settled(name)

    def step(self, action: str, arguments: dict[str, int], fails: bool) -> None:
        name = random.choice(list(self.locks))
        if action in ("reconfigure", "redeploy", "replace"):
            self.change(name, action)
        elif action == "read logs":
            self.clients["logs"].describe_log_groups(limit=10)
        else:
            # Holding the lock: an invocation of a function that is just being deleted would fail, and rightly.
            with self.locks[name]:
                self.invoke(name, action, arguments, fails)

    def guarded(self, action: str, step: Callable[[], None], *, timed: bool = False) -> None:
        started = time.perf_counter()
        try:
            step()
        except Exception as error:  # every failure of a request is what the soak is after
            self.tally.count(action, None, f"{type(error).__name__}: {error}")
        else:
            self.tally.count(action, (time.perf_counter() - started) * 1000 if timed else None, None)

    # ---- phases ------------------------------------------------------------------------------------------------

    def deploy(self) -> None:
        self.everywhere(lambda name: self.guarded("create", lambda: self.create(name)), 16)

    def start_all_at_once(self) -> float:
        started = time.perf_counter()
        self.everywhere(
            lambda name: self.guarded("cold start", lambda: self.invoke(name, "echo", {}, False)), len(self.locks)
        )
        return time.perf_counter() - started

    def everywhere(self, action: Callable[[str], None], threads: int) -> None:
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            list(pool.map(action, self.locks))

    def load(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        weights = [share for share, *_ in MIX]

        def work() -> None:
            while time.monotonic() < end:
                _, action, arguments, fails = random.choices(MIX, weights)[0]
                self.guarded(action, functools.partial(self.step, action, arguments, fails), timed=action == "echo")

        threads = [threading.Thread(target=work) for _ in range(self.threads)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            threads[0].join(min(10, max(0.1, end - time.monotonic())))
            print(f"  {self.tally.summary()}; {self.holdings()}", flush=True)
            if time.monotonic() > end:
                for thread in threads:
                    thread.join()

    def remove_all(self) -> None:
        self.everywhere(
            lambda name: self.guarded("delete", lambda: self.clients["lambda"].delete_function(FunctionName=name)), 16
        )

    def holdings(self) -> Holdings:
        return holdings(self.region.tree(), self.region.process.pid, self.region.data_dir)


def available_kinds() -> list[tuple[str, str, dict[str, str]]]:
    """(runtime, handler, files): seven Python functions to two of Node and one custom, where the host has them."""
    kinds = [(f"python3.{sys.version_info.minor}", "app.handler", {"app.py": PYTHON})] * 7
    if shutil.which("node"):
        version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.split(".")[0].strip("v")
        kinds += [(f"nodejs{version}.x", "index.handler", {"index.js": NODE})] * 2
    if Path("/usr/bin/python3").exists():
        kinds += [("provided.al2023", "bootstrap", {"bootstrap": CUSTOM})]
    return kinds


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, text)
    return buffer.getvalue()


def settle(soak: Soak, before: Holdings) -> Holdings:
    """The holdings once they stop being more than `before`, or after the time for it is over."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (now := soak.holdings()).grown(before, ALLOWED) and time.monotonic() < deadline:
        time.sleep(0.5)
    return now


def left_behind(pids: set[int], data_dir: Path) -> list[str]:
    """What outlives a region that was stopped."""
    deadline = time.monotonic() + 10
    while alive := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    found = {
        "processes": alive,
        "mounts": host_mounts(data_dir),
        "loop devices": loop_devices(data_dir),
        "cgroups": sorted(map(str, cgroup_folders(data_dir))),
    }
    return [f"{len(what)} {kind} outlive the region: {what[:5]}" for kind, what in found.items() if what]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=600, help="length of the mixed load")
    options.add_argument("--functions", type=int, default=200)
    options.add_argument("--threads", type=int, default=12)
    options.add_argument("--isolation", default="auto")
    arguments = options.parse_args()
    with Region("--isolation", arguments.isolation) as region:
        soak = Soak(region, arguments.functions, arguments.threads)
        soak.guarded("warm up", lambda: (soak.create("soak-000"), soak.invoke("soak-000", "echo", {}, False)))
        soak.clients["lambda"].delete_function(FunctionName="soak-000")
        before = soak.holdings()
        print(f"before: {before}")
        soak.deploy()
        seconds = soak.start_all_at_once()
        print(f"{arguments.functions} cold starts at once: {seconds:.2f} s, {sum(soak.tally.errors.values())} errors")
        print(f"started: {soak.holdings()}")
        soak.load(arguments.seconds)
        print(f"load: {soak.tally.summary()}; {dict(soak.tally.done)}")
        soak.remove_all()
        for client in soak.clients.values():
            client.close()
        after = settle(soak, before)
        print(f"after: {after}")
        problems = [f"{count} × {what}" for what, count in soak.tally.errors.most_common(20)]
        problems += [f"leaked {what}" for what in after.grown(before, ALLOWED)]
        if after.descriptors - before.descriptors > ALLOWED.descriptors:
            problems.append(f"the server holds {kinds_of_descriptors(region.process.pid)}")
        pids = region.tree()
    problems += left_behind(pids, region.data_dir)
    print("\n".join(problems) or "No error, no leak.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
