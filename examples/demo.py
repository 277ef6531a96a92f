"""The main job on one page: start a region, deploy the examples beside this file, invoke them, read their logs.

Nothing here knows Lambent but the command that starts it: the rest is boto3 as one would use it with AWS.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import boto3
from rich.console import Console
from rich.table import Table

EXAMPLES = Path(__file__).parent
LAMBENT = Path(sys.executable).with_name("lambent")
LOGS_POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}
#: folder, runtime, handler, event
FUNCTIONS = [
    ("hello-node", "nodejs20.x", "index.handler", {"from": "demo"}),
    ("hello-python", "python3.11", "app.handler", {"name": "Lambent"}),
    ("hello-shell", "provided.al2023", "bootstrap", {"from": "demo"}),
]
WARM_INVOKES = 20


def main() -> int:
    console = Console(highlight=False, width=140)
    data_dir = Path(tempfile.mkdtemp(prefix="lambent-demo-"))
    region = start_region(data_dir, console)
    try:
        client = connect(data_dir)
        role = make_role(client("iam"))
        table = Table("function", "runtime", "answer", "cold", f"warm (median of {WARM_INVOKES})", title="Invoked")
        ok = True
        for folder, runtime, handler, event in FUNCTIONS:
            runtime = available(runtime, data_dir, console)
            deploy(client("lambda"), folder, runtime, handler, role)
            cold, answer, failed = invoke(client("lambda"), folder, event)
            warm = sorted(invoke(client("lambda"), folder, event)[0] for _ in range(WARM_INVOKES))
            ok &= not failed
            table.add_row(folder, runtime, answer, f"{cold:.1f} ms", f"{warm[len(warm) // 2]:.2f} ms")
        console.print(table)
        for folder, *_ in FUNCTIONS:
            show_log(client("logs"), folder, console)
        return 0 if ok else 1
    finally:
        region.terminate()
        region.wait(timeout=20)
        shutil.rmtree(data_dir, ignore_errors=True)
        console.print("The region is stopped and its data removed.")


def start_region(data_dir: Path, console: Console) -> subprocess.Popen[str]:
    """Run `lambent up` on a free port until it says Ready."""
    started = time.perf_counter()
    command = [LAMBENT, "up", "--port", "0", "--data-dir", data_dir]
    region = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert region.stdout is not None
    for line in region.stdout:
        console.print("  " + line.rstrip(), style="dim", markup=False)
        if line.startswith("Ready."):
            console.print(f"The region started in {time.perf_counter() - started:.2f} s.\n")
            return region
    raise SystemExit(f"lambent up ended with exit status {region.wait()}.")


def connect(data_dir: Path):
    """boto3 clients for the region, as `eval "$(lambent env)"` would set them up."""
    endpoint = json.loads((data_dir / "endpoint.json").read_text())
    key = json.loads((data_dir / "credentials.json").read_text())
    session = boto3.Session(
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        region_name=endpoint["region"],
    )
    clients = {}
    return lambda name: clients.setdefault(name, session.client(name, endpoint_url=endpoint["url"]))


def available(runtime: str, data_dir: Path, console: Console) -> str:
    """`runtime`, or the newest of its language on this machine; installed from its wheel where there is none."""
    command = [LAMBENT, "runtimes", "list", "--json", "--data-dir", data_dir]
    found = [row["name"] for row in json.loads(subprocess.check_output(command)) if row["available"]]
    language = runtime.rstrip("0123456789.x")
    same = [name for name in found if name.startswith(language)]
    if runtime in found:
        return runtime
    if same:
        return same[-1]
    console.print(f"No {language} on this machine: installing {runtime}.")
    subprocess.run([LAMBENT, "runtimes", "install", runtime, "--data-dir", data_dir], check=True)
    return runtime


def make_role(client) -> str:
    """What the functions act as: Lambda may assume it, and it may write logs."""
    role = client.create_role(RoleName="demo", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    client.attach_role_policy(RoleName="demo", PolicyArn=LOGS_POLICY)
    return role["Arn"]


def deploy(client, folder: str, runtime: str, handler: str, role: str) -> None:
    client.create_function(
        FunctionName=folder, Runtime=runtime, Handler=handler, Role=role, Timeout=10, Code={"ZipFile": zip_of(folder)}
    )
    client.get_waiter("function_active_v2").wait(FunctionName=folder, WaiterConfig={"Delay": 1})


def zip_of(folder: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((EXAMPLES / folder).rglob("*")):
            archive.write(path, path.relative_to(EXAMPLES / folder))
    return buffer.getvalue()


def invoke(client, name: str, event: dict) -> tuple[float, str, bool]:
    """(milliseconds as this client saw them, answer, whether the function failed)."""
    started = time.perf_counter()
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
    payload = answer["Payload"].read().decode()
    return (time.perf_counter() - started) * 1000, payload, "FunctionError" in answer


def show_log(client, name: str, console: Console) -> None:
    """The first lines of the function's log, once the last invocation's REPORT is among them."""
    deadline = time.monotonic() + 5
    events: list = []
    while sum("REPORT" in event["message"] for event in events) <= WARM_INVOKES and time.monotonic() < deadline:
        events = client.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    console.print(f"\n[bold]/aws/lambda/{name}[/bold] ({len(events)} events; the first ones)")
    for event in events[:5]:
        console.print("  " + event["message"].rstrip().replace("\t", "  "), style="cyan", markup=False)


if __name__ == "__main__":
    sys.exit(main())
