"""A region to measure: started as a user would start it, stopped when the benchmark is done."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

LAMBENT = Path(sys.executable).with_name("lambent")
ROLE = "arn:aws:iam::000000000000:role/bench"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


class Region:
    """`with Region() as region:` a running region on a free port with an empty data dir."""

    def __init__(self, *options: str) -> None:
        self.options = options
        self.data_dir = Path(tempfile.mkdtemp(prefix="lambent-bench-"))
        #: Seconds from spawn to `Ready.`
        self.start_seconds = 0.0
        self._has_role = False

    def __enter__(self) -> Region:
        command = [str(LAMBENT), "up", "--port", "0", "--data-dir", str(self.data_dir), *self.options]
        started = time.perf_counter()
        # Lambda's own limit, ten requests a second per unit of concurrency, would stop one function at 10,000/s.
        environ = {**os.environ, "LAMBENT_ACCOUNT_CONCURRENCY": "10000", "LAMBENT_LOG_LEVEL": "warning"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environ)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("Ready."):
                break
        else:
            raise SystemExit(f"{' '.join(command)} ended with exit status {self.process.wait()}.")
        self.start_seconds = time.perf_counter() - started
        endpoint = json.loads((self.data_dir / "endpoint.json").read_text())
        key = json.loads((self.data_dir / "credentials.json").read_text())
        self.url: str = endpoint["url"]
        self.host, _, port = self.url.removeprefix("http://").partition(":")
        self.port = int(port)
        self.name: str = endpoint["region"]
        self.credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        self.lambda_ = self.client("lambda")
        self._make_role()
        return self

    def client(self, service: str) -> Any:
        key = self.credentials
        session = boto3.Session(key.access_key, key.secret_key, region_name=self.name)
        return session.client(service, endpoint_url=self.url)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def _make_role(self) -> None:
        """Once: one that is started again has it, and is not to be measured with IAM loaded for nothing."""
        if self._has_role:
            return
        iam = self.client("iam")
        iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.attach_role_policy(
            RoleName="bench", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
        )
        self._has_role = True

    def deploy(self, name: str, runtime: str, handler: str, files: dict[str, str], **settings: Any) -> None:
        """Create a function of `files` (name → text) and wait until it is Active."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)
        self.lambda_.create_function(
            FunctionName=name,
            Runtime=runtime,
            Handler=handler,
            Role=ROLE,
            Code={"ZipFile": buffer.getvalue()},
            **settings,
        )
        while self.lambda_.get_function_configuration(FunctionName=name)["State"] == "Pending":
            time.sleep(0.01)

    def signed_invoke(self, name: str, payload: bytes, **headers: str) -> tuple[str, dict[str, str]]:
        """(path, headers) of an Invoke of `name`; the signature holds for fifteen minutes."""
        path = f"/2015-03-31/functions/{name}/invocations"
        headers = {"Content-Type": "application/json"} | {key.replace("_", "-"): text for key, text in headers.items()}
        request = AWSRequest("POST", self.url + path, data=payload, headers=headers)
        SigV4Auth(self.credentials, "lambda", self.name).add_auth(request)
        return path, {"Host": f"{self.host}:{self.port}", **dict(request.headers.items())}

    def statistics(self) -> dict[str, Any]:
        """`/_lambent/statistics`, with the root key."""
        request = AWSRequest("GET", self.url + "/_lambent/statistics")
        SigV4Auth(self.credentials, "lambda", self.name).add_auth(request)
        connection = self.connect()
        connection.request("GET", "/_lambent/statistics", headers=dict(request.headers.items()))
        return json.loads(connection.getresponse().read())

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        connection.connect()
        return connection

    def tree(self) -> set[int]:
        """Pids of the server and everything below it."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                children.setdefault(int(fields[1]), []).append(int(entry.name))
        found, queue = set(), [self.process.pid]
        while queue:
            pid = queue.pop()
            found.add(pid)
            queue.extend(children.get(pid, []))
        return found

    def pss(self) -> int:
        """Proportional set size of the whole tree in bytes."""
        total = 0
        for pid in self.tree():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0) * 1024
        return total
