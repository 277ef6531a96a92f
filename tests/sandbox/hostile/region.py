"""A real region at one isolation level, started as a process of its own, with the hostile function deployed in it.

Holds what lies on the host for the function to find: a canary file, listeners, a process. Everything goes with `stop`.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from host import HostTargets
from places import GUEST, LIMITED_COLUMNS, PATIENCE, REDUCED_CGROUP, Place

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
FUNCTIONS = HERE / "functions"
RUNTIME = f"python3.{sys.version_info.minor}"
ROLE = "arn:aws:iam::000000000000:role/hostile"
#: In the server's environment, to be found nowhere in a function's.
SERVER_SECRET = f"server-secret-{secrets.token_hex(8)}"
LOG_BUDGET = 32 * 1024 * 1024
#: As uml/reach.py has it.
FRESH_UID = 4242


def until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """The first true value of `condition`; fails after `seconds` (more inside the slow guest)."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {seconds * PATIENCE:.0f} s in vain until {what}.")
        time.sleep(0.01)
    return value


class Region:
    def __init__(self, place: Place, *options: str) -> None:
        self.place = place
        self.folder = Path(tempfile.mkdtemp(prefix="lambent-hostile-"))
        self.folder.chmod(0o755)
        self.data_dir = self.folder / "data"
        self.data_dir.mkdir()
        self.log = self.folder / "server.log"
        if os.geteuid() == 0:
            # What belongs to root is served by root; the server of a full region becomes the data dir's owner.
            os.chown(self.data_dir, FRESH_UID, FRESH_UID)
        self.process = self._start(options)
        try:
            self._attach()
        except BaseException:
            self._end()
            raise
        self.targets = HostTargets()

    # ---- the server --------------------------------------------------------------------------------------------

    def _start(self, options: tuple[str, ...]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "lambent.cli", "up", "--port", "0", "--data-dir", str(self.data_dir)]
        command += ["--isolation", self.place.level, "--auth", "off", "--log-budget", str(LOG_BUDGET)]
        command += ["--network", "none", *options]
        if os.geteuid() == 0 and not GUEST:
            command = [*_reachable("rootless" if self.place.drop_root else "root"), "--", *command]
        if self.place.column == REDUCED_CGROUP:
            command = [*_in_own_scope(self.folder.name), *command]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("LAMBENT_", "AWS_"))}
        environment["HOSTILE_SERVER_SECRET"] = SERVER_SECRET
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=REPOSITORY
            )

    def _attach(self) -> None:
        until(self._is_ready, "the region says Ready.", 20)
        self.endpoint = json.loads((self.data_dir / "endpoint.json").read_text())
        self.url: str = self.endpoint["url"]
        self.port = int(self.url.rsplit(":", 1)[1].rstrip("/"))
        self.key = json.loads((self.data_dir / "credentials.json").read_text())
        self.client = self.new_client("lambda")
        self.logs = self.new_client("logs")
        self._check_level()

    def _check_level(self) -> None:
        """A test of a level that was not reached would claim of it what another one holds."""
        with urllib.request.urlopen(f"{self.url}/_lambent/health", timeout=10 * PATIENCE) as answer:
            isolation = json.load(answer)["isolation"]
        assert isolation["level"] == self.place.level, isolation
        if self.place.column in LIMITED_COLUMNS:
            assert not any("cgroup" in json.dumps(missing) for missing in isolation["missing"]), isolation

    def _is_ready(self) -> bool:
        text = self.log.read_text(errors="replace")
        if self.process.poll() is not None:
            raise AssertionError(f"The region ended with {self.process.returncode} before it was ready:\n{text}")
        return "Ready." in text

    def new_client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.key["AccessKeyId"],
            aws_secret_access_key=self.key["SecretAccessKey"],
            config=Config(read_timeout=120, connect_timeout=10, retries={"max_attempts": 0}, max_pool_connections=64),
        )

    def stop(self) -> None:
        self.targets.close()
        self._end()

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def server_pid(self) -> int:
        return int(self.endpoint["pid"])

    def resident_memory(self) -> int:
        """Bytes of the server process."""
        for line in Path(f"/proc/{self.server_pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("The server is gone.")

    def open_descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.server_pid}/fd"))

    def descendants(self) -> list[int]:
        """Every process below the one that was started: supervisor, templates, shells, environments."""
        parents = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    parents[int(name)] = int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
                except OSError:
                    continue
        found = {self.process.pid}
        while grown := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= grown
        return sorted(found - {self.process.pid})

    # ---- functions ---------------------------------------------------------------------------------------------

    def make_role(self) -> None:
        """What regions that check their callers ask of a function's role."""
        statement = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.new_client("iam").create_role(RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument=trust)

    def deploy(self, name: str, *, handler: str = "hostile.handler", **changes: Any) -> str:
        """A function of the hostile package; gone functions are replaced."""
        files = changes.pop("files", None) or {path.name: path.read_bytes() for path in FUNCTIONS.glob("*.py")}
        settings = {"Runtime": RUNTIME, "MemorySize": 256, "Timeout": 20 * PATIENCE, **changes}
        self.client.create_function(
            FunctionName=name, Role=ROLE, Handler=handler, Code={"ZipFile": package(files)}, **settings
        )
        self.wait_until_active(name)
        return name

    def replace_environments(self, name: str) -> None:
        """A change of configuration throws the function's environments away."""
        self.client.update_function_configuration(FunctionName=name, Description=secrets.token_hex(4))
        self.wait_until_active(name)

    def wait_until_active(self, name: str) -> None:
        def settled() -> bool:
            found = self.client.get_function_configuration(FunctionName=name)
            return bool(found["State"] == "Active" and found["LastUpdateStatus"] == "Successful")

        until(settled, f"{name} is active")

    def invoke(self, name: str, event: object, client: Any = None) -> Outcome:
        started = time.monotonic()
        answer = (client or self.client).invoke(FunctionName=name, Payload=json.dumps(event).encode())
        payload = _parsed(answer["Payload"].read())
        return Outcome(payload, answer.get("FunctionError"), time.monotonic() - started)

    def attempt(self, attempt: str, function: str = "hostile", **arguments: Any) -> Outcome:
        return self.invoke(function, {"attempt": attempt, "arguments": arguments})

    # ---- facts for the table of claims ---------------------------------------------------------------------------

    @property
    def facts(self) -> dict[str, Any]:
        return {
            **self.targets.facts,
            "data_dir": str(self.data_dir),
            "repository": str(REPOSITORY),
            "server_pid": self.server_pid,
            "port": self.port,
        }

    def fill_in(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return fill_in(arguments, self.facts)


class Outcome:
    """How one invocation ended: refused by the sandbox, got somewhere, or ended as a function error."""

    def __init__(self, payload: Any, function_error: str | None, seconds: float) -> None:
        self.payload = payload
        self.function_error = function_error
        self.seconds = seconds

    @property
    def refused(self) -> str | None:
        """Why, or None if the attempt got somewhere. A killed runtime got nothing either."""
        if self.function_error:
            fields = self.payload if isinstance(self.payload, dict) else {}
            return f"{fields.get('errorType')}: {fields.get('errorMessage')}"
        return self.payload.get("refused") if isinstance(self.payload, dict) else None

    @property
    def got(self) -> Any:
        assert self.function_error is None, self.payload
        assert "got" in self.payload, self.payload
        return self.payload["got"]

    def __repr__(self) -> str:
        return f"<{self.function_error or 'answer'} {self.payload} after {self.seconds:.2f} s>"


def _parsed(payload: bytes) -> Any:
    """A custom runtime's payload is passed on as it is, JSON or not."""
    try:
        return json.loads(payload or b"null")
    except ValueError:
        return payload.decode("latin-1")


def package(files: Mapping[str, bytes | str]) -> bytes:
    """A zip of these files; names without a dot are executable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o644 if "." in name else 0o755) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def fill_in(arguments: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Replace words in braces; an argument that is one such word takes the fact's own type."""
    filled = {}
    for key, value in arguments.items():
        if isinstance(value, str) and value.startswith("{") and value.endswith("}"):
            filled[key] = facts[value[1:-1]]
        else:
            filled[key] = value.format(**facts) if isinstance(value, str) else value
    return filled


def processes_with(marker: str) -> list[int]:
    """The host's processes that carry the marker in their command line, this one aside."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes()
                state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker.encode() in line and state != "Z":
                found.append(int(name))
    return found


def new_marker() -> str:
    return f"hostile-marker-{secrets.token_hex(8)}"


def _in_own_scope(name: str) -> list[str]:
    """The words that run a command in a cgroup of its own beside this process's, as `systemd-run --scope` does."""
    own = Path("/proc/self/cgroup").read_text().strip().partition("::")[2]
    scope = Path(f"/sys/fs/cgroup{own}").parent / f"{name}.scope"
    scope.mkdir()
    return ["/bin/sh", "-c", f'echo $$ > "{scope}/cgroup.procs" && exec "$@"', "scope"]


def _reachable(who: str) -> list[str]:
    """The words that run a command where a fresh uid can reach the interpreter and the checkout."""
    folders = {REPOSITORY, Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve()}
    reachable = [str(folder) for folder in sorted(folders) if not folder.is_relative_to("/usr")]
    script = HERE.parent / "uml" / "rootless.py"
    unshare = ["unshare", "--mount", "--propagation", "private"]
    return [*unshare, sys.executable, "-E", "-S", str(script), who, *reachable]
