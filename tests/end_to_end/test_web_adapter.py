"""AWS's Lambda Web Adapter, unchanged from its registry: web servers as functions, whole answers and streamed ones."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.roles import ROLE

VERSION = "1.0.0-rc1"
CACHE = Path(__file__).resolve().parents[2] / ".cache"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

#: What the adapter's layer holds beside its program: starts the handler in the place of the runtime.
BOOTSTRAP = '#!/bin/bash\nexec -- "$LAMBDA_TASK_ROOT/$_HANDLER"\n'
RUN = '#!/bin/bash\nexec python3 "$LAMBDA_TASK_ROOT/server.py"\n'
SERVER = """
import http.server, json, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(203)
        self.send_header("content-type", "text/plain")
        self.send_header("set-cookie", "a=1")
        self.send_header("x-path", self.path)
        if self.path.startswith("/stream"):
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for n in range(3):
                line = b"%d\\n" % (time.time() * 1000)
                self.wfile.write(b"%x\\r\\n%b\\r\\n" % (len(line), line))
                time.sleep(0.2)
            self.wfile.write(b"0\\r\\n\\r\\n")
        else:
            body = json.dumps({"host": self.headers["host"]}).encode()
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def adapter() -> bytes:
    """The program, built once."""
    program = CACHE / f"lambda-web-adapter-{VERSION}"
    if not program.exists():
        if shutil.which("cargo") is None:
            pytest.skip("Rust is not installed")
        root = CACHE / "lambda-web-adapter"
        small = {"CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_PROFILE_DEV_STRIP": "symbols"}
        command = ["cargo", "install", "--quiet", "--debug", "--locked", "--root", str(root)]
        done = subprocess.run(
            [*command, "lambda_web_adapter", "--version", VERSION],
            env={**os.environ, **small, "CARGO_TARGET_DIR": str(root / "target")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 and ("failed to download" in done.stderr or "could not find" in done.stderr):
            pytest.skip("lambda_web_adapter cannot be fetched: no crate registry")
        assert done.returncode == 0, done.stderr
        built = program.with_suffix(f".{os.getpid()}")
        shutil.copy(root / "bin" / "lambda-adapter", built)
        built.replace(program)
        shutil.rmtree(root)
    return program.read_bytes()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


class Site:
    """A function with a web server in it, and the URL that it answers at."""

    def __init__(self, region: Any, layer: str, name: str, url_mode: str, adapter_mode: str) -> None:
        client = region.client("lambda")
        variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap", "AWS_LWA_INVOKE_MODE": adapter_mode}
        client.create_function(
            FunctionName=name,
            Runtime=f"python3.{sys.version_info.minor}",
            Role=ROLE,
            Handler="run.sh",
            Layers=[layer],
            MemorySize=256,
            Timeout=20,
            Environment={"Variables": variables},
            Code={"ZipFile": zipped({"run.sh": RUN.encode(), "server.py": SERVER.encode()})},
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 400})
        public = {"FunctionName": name, "Principal": "*"}
        action = "lambda:InvokeFunctionUrl"
        client.add_permission(**public, StatementId="url", Action=action, FunctionUrlAuthType="NONE")
        client.add_permission(**public, StatementId="any", Action="lambda:InvokeFunction", InvokedViaFunctionUrl=True)
        made = client.create_function_url_config(FunctionName=name, AuthType="NONE", InvokeMode=url_mode)
        self.parts = urlsplit(made["FunctionUrl"])

    @contextmanager
    def get(self, path: str) -> Iterator[http.client.HTTPResponse]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.parts.port, timeout=30)) as connection:
            connection.request("GET", path, headers={"Host": self.parts.netloc})
            yield connection.getresponse()


@pytest.fixture(scope="module")
def layer(region: Any, adapter: bytes) -> str:
    content = zipped({"extensions/lambda-adapter": adapter, "bootstrap": BOOTSTRAP.encode()})
    made = region.client("lambda").publish_layer_version(LayerName="adapter", Content={"ZipFile": content})
    return str(made["LayerVersionArn"])


def test_a_web_server_answers_through_the_adapter(region: Any, layer: str) -> None:
    site = Site(region, layer, "buffered", "BUFFERED", "buffered")
    for path in ("/a/b?c=d", "/"):
        with site.get(path) as response:
            assert (response.status, response.getheader("x-path")) == (203, path)
            assert response.getheader("set-cookie") == "a=1"
            assert json.loads(response.read())["host"] == site.parts.netloc


def test_a_web_server_streams_through_the_adapter(region: Any, layer: str) -> None:
    site = Site(region, layer, "streaming", "RESPONSE_STREAM", "response_stream")
    with site.get("/") as response:
        assert json.loads(response.read())["host"] == site.parts.netloc
    lags = []
    with site.get("/stream") as response:
        assert (response.status, response.getheader("set-cookie")) == (203, "a=1")
        while line := response.readline():
            lags.append(time.time() * 1000 - int(line))
    assert len(lags) == 3
    assert median(lags) < 50, lags
