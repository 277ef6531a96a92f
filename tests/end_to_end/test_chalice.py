"""AWS Chalice, unmodified, with nothing but AWS_ENDPOINT_URL and credentials: deployed, updated, removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.roles import ROLE

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "chalice"
BINARY = {"Accept": "application/octet-stream"}
CORS = {"Origin": "https://example.com", "Access-Control-Request-Method": "PUT"}

SHOP = """
from chalice import AuthResponse, Chalice, NotFoundError, Response

app = Chalice(app_name="shop")
app.api.binary_types.append("application/x-shop")
PETS = {"rex": "dog"}


@app.authorizer(ttl_seconds=60)
def gate(request):
    return AuthResponse(routes=["/secret"] if request.token == "open" else [], principal_id="me", context={"a": "b"})


@app.route("/")
def index():
    return {"shop": "VERSION"}


@app.route("/pets/{name}", methods=["GET", "PUT"], cors=True)
def pet(name):
    request = app.current_request
    if request.method == "PUT":
        return {"name": name, "kind": request.json_body["kind"], "query": dict(request.query_params or {})}
    if name not in PETS:
        raise NotFoundError(name)
    return {"name": name, "kind": PETS[name]}


@app.route("/picture")
def picture():
    return Response(body=bytes(range(256)), headers={"Content-Type": "application/octet-stream"})


@app.route("/secret", authorizer=gate)
def secret():
    return dict(app.current_request.context["authorizer"])
"""

WORKERS = """
from chalice import Chalice

app = Chalice(app_name="workers")


@app.lambda_function(name="double")
def double(event, context):
    return event["n"] * FACTOR
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chalice() -> Path:
    """Chalice in an environment of its own, downloaded once."""
    command = CACHE / "bin" / "chalice"
    if not command.exists():
        subprocess.run([sys.executable, "-m", "venv", str(CACHE)], check=True)
        install = [CACHE / "bin" / "python", "-m", "pip", "install", "--quiet", "chalice>=1.31", "setuptools<81"]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"Chalice cannot be installed, or no index is reached: {done.stderr[-300:]}")
    return command


class Project:
    """A Chalice application in a folder of its own."""

    def __init__(self, folder: Path, command: Path, region: Any, name: str) -> None:
        self._folder, self._command, self._region = folder / name, command, region
        config = {
            "version": "2.0",
            "app_name": name,
            "manage_iam_role": False,
            "iam_role_arn": ROLE,
            "stages": {"dev": {"api_gateway_stage": "api"}},
        }
        (self._folder / ".chalice").mkdir(parents=True)
        (self._folder / ".chalice" / "config.json").write_text(json.dumps(config))
        (self._folder / "requirements.txt").touch()

    def write(self, source: str) -> None:
        (self._folder / "app.py").write_text(source)

    def run(self, *arguments: str) -> str:
        key = self._region.key
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
        environ |= {
            "AWS_ENDPOINT_URL": self._region.url,
            "AWS_ACCESS_KEY_ID": key.access_key,
            "AWS_SECRET_ACCESS_KEY": key.secret_key,
            "AWS_DEFAULT_REGION": self._region.name,
            "HOME": str(self._folder),
        }
        done = subprocess.run(
            [self._command, *arguments], cwd=self._folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"chalice {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def deployed(self) -> dict[str, Any]:
        """What Chalice wrote down of the last deployment, by name of resource."""
        written = json.loads((self._folder / ".chalice" / "deployed" / "dev.json").read_text())
        return {resource["name"]: resource for resource in written["resources"]}


def test_application_with_routes_cors_and_an_authorizer(region: Any, chalice: Path, tmp_path: Path) -> None:
    project = Project(tmp_path, chalice, region, "shop")
    project.write(SHOP.replace("VERSION", "first"))
    assert "Rest API URL: " in project.run("deploy")
    api = project.deployed()["rest_api"]["rest_api_id"]

    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Any:
        # The URL that Chalice prints names amazonaws.com, so its host goes to the region.
        host = f"{api}.execute-api.{region.name}.amazonaws.com"
        return region.request(method, f"/api{path}", body, {"Host": host, **headers})

    assert (ask("GET", "/").status, ask("GET", "/").json()) == (200, {"shop": "first"})
    assert ask("GET", "/pets/rex").json() == {"name": "rex", "kind": "dog"}
    assert (ask("GET", "/pets/tom").status, ask("GET", "/pets/tom").json()["Code"]) == (404, "NotFoundError")
    put = ask("PUT", "/pets/tom?a=1", b'{"kind": "cat"}', **{"Content-Type": "application/json"})
    assert put.json() == {"name": "tom", "kind": "cat", "query": {"a": "1"}}
    assert put.headers["access-control-allow-origin"] == "*"
    preflight = ask("OPTIONS", "/pets/rex", **CORS)
    assert (preflight.status, preflight.headers["access-control-allow-methods"]) == (200, "GET,PUT,OPTIONS")
    assert ask("GET", "/picture", **BINARY).body == bytes(range(256))
    assert ask("GET", "/nowhere").status == ask("POST", "/").status == 403
    assert ask("PUT", "/pets/tom", b"x", **{"Content-Type": "text/plain"}).status == 415

    assert ask("GET", "/secret").status == 401
    assert ask("GET", "/secret", Authorization="shut").status == 403
    opened = ask("GET", "/secret", Authorization="open")
    assert (opened.status, opened.json()["principalId"], opened.json()["a"]) == (200, "me", "b")

    project.write(SHOP.replace("VERSION", "second").replace('"/picture"', '"/photo"'))
    project.run("deploy")
    assert project.deployed()["rest_api"]["rest_api_id"] == api
    assert ask("GET", "/").json() == {"shop": "second"}
    assert (ask("GET", "/picture", **BINARY).status, ask("GET", "/photo", **BINARY).status) == (403, 200)

    project.run("delete")
    assert region.client("apigateway").get_rest_apis()["items"] == []
    assert region.client("lambda").list_functions()["Functions"] == []
    assert ask("GET", "/").status == 403


def test_application_of_functions_alone(region: Any, chalice: Path, tmp_path: Path) -> None:
    project = Project(tmp_path, chalice, region, "workers")
    project.write(WORKERS.replace("FACTOR", "2"))
    project.run("deploy")
    client = region.client("lambda")

    def invoke(event: Any) -> Any:
        return json.load(client.invoke(FunctionName="workers-dev-double", Payload=json.dumps(event))["Payload"])

    assert set(project.deployed()) == {"double"}
    assert invoke({"n": 21}) == 42
    # Once more after a change: Chalice waits five seconds for each function that it updates, as on AWS.
    project.write(WORKERS.replace("FACTOR", "3"))
    project.run("deploy")
    assert invoke({"n": 21}) == 63
    project.run("delete")
    assert client.list_functions()["Functions"] == []
