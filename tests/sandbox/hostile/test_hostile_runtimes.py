"""What every kind of runtime process holds when it starts: forked (Python), pooled (Node) and exec'd (provided)."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from claims import CONFINED
from region import SERVER_SECRET, Region

pytestmark = [pytest.mark.slow, pytest.mark.native]

NODE = """
const fs = require('fs');
exports.handler = async () => ({
  status: fs.readFileSync('/proc/self/status', 'latin1'),
  environment: fs.readFileSync('/proc/self/environ', 'latin1') + JSON.stringify(process.env),
  descriptors: fs.readdirSync('/proc/self/fd').map((name) => {
    try { return fs.readlinkSync('/proc/self/fd/' + name); } catch { return ''; }
  }),
  shadow: fs.existsSync('/etc/shadow') && (() => {
    try { return fs.readFileSync('/etc/shadow', 'latin1'); } catch { return ''; }
  })(),
  processes: fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).length,
});
"""

PYTHON = """
import json, os
def read(path):
    try:
        with open(path, encoding="latin-1") as file:
            return file.read()
    except OSError:
        return ""
def link(name):
    try:
        return os.readlink("/proc/self/fd/" + name)
    except OSError:
        return ""
def handler(event, context):
    return {
        "status": read("/proc/self/status"),
        "environment": read("/proc/self/environ") + json.dumps(dict(os.environ)),
        "descriptors": [link(name) for name in os.listdir("/proc/self/fd")],
        "shadow": read("/etc/shadow"),
        "processes": sum(name.isdigit() for name in os.listdir("/proc")),
    }
"""

#: The same report as a custom runtime, with the interpreter that every root shows.
BOOTSTRAP = (
    "#!/usr/bin/env -S python3 -S\n"
    + PYTHON
    + """
import http.client
api = os.environ["AWS_LAMBDA_RUNTIME_API"]
while True:
    connection = http.client.HTTPConnection(api)
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = connection.getresponse()
    answer.read()
    identifier = answer.getheader("Lambda-Runtime-Aws-Request-Id")
    connection.request("POST", f"/2018-06-01/runtime/invocation/{identifier}/response", json.dumps(handler(None, None)))
    connection.getresponse().read()
    connection.close()
"""
)

#: Runtime of the function, its files and handler, and the program that it needs.
KINDS = {
    "python": (None, {"report.py": PYTHON}, "report.handler", "python3"),
    "node": ("nodejs", {"index.js": NODE}, "index.handler", "node"),
    "provided": ("provided.al2023", {"bootstrap": BOOTSTRAP}, "bootstrap", "/usr/bin/python3"),
}


@pytest.fixture(params=KINDS)
def report(request: pytest.FixtureRequest, region: Region) -> dict[str, object]:
    runtime, files, handler, program = KINDS[request.param]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not on this machine")
    name = f"report-{request.param}"
    try:
        region.client.get_function_configuration(FunctionName=name)
    except region.client.exceptions.ResourceNotFoundException:
        if runtime == "nodejs":
            version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
            runtime = f"nodejs{version.strip('v').partition('.')[0]}.x"
        changes = {"Runtime": runtime} if runtime else {}
        region.deploy(name, handler=handler, files=files, **changes)
    outcome = region.invoke(name, {})
    assert outcome.function_error is None, outcome
    return dict(outcome.payload)


def test_every_runtime_is_without_privilege(report: dict[str, str]) -> None:
    fields = dict(re.findall(r"^(\w+):\s*(.*)$", report["status"], re.MULTILINE))
    assert {fields[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {""}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert "0" not in fields["Uid"].split() + fields["Gid"].split()


def test_every_runtime_knows_nothing_of_the_servers_environment(report: dict[str, str]) -> None:
    assert SERVER_SECRET not in report["environment"]
    assert "HOSTILE_SERVER_SECRET" not in report["environment"]
    assert "LAMBENT_" not in report["environment"].replace("LAMBENT_CHANNEL_FD", "")


def test_every_runtime_holds_pipes_and_its_channel_alone(report: dict[str, list[str]]) -> None:
    links = [link for link in report["descriptors"] if link and not re.fullmatch(r"/proc/\d+/fd", link)]
    other = [link for link in links if not re.match(r"(pipe|socket|anon_inode):|/dev/(null|urandom)$", link)]
    assert other == []
    assert sum(link.startswith("socket:") for link in links) <= 2


def test_every_runtime_is_kept_from_the_hosts_password_file(report: dict[str, str]) -> None:
    assert not report["shadow"]


@pytest.mark.levels(*CONFINED)
def test_every_runtime_is_nearly_alone(report: dict[str, int]) -> None:
    assert report["processes"] <= 4
