"""What functions did, told three times: the REPORT lines, the metrics and the ledger say the same."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import wait_until
from tests.roles import ROLE

CODE = """
import json, os, time

def handler(event, context):
    if event.get("metric"):
        print(json.dumps({
            "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [{
                "Namespace": "Shop",
                "Dimensions": [["Service"], ["Service", "Area"], []],
                "Metrics": [{"Name": "Orders", "Unit": "Count"}, {"Name": "Latency", "Unit": "Milliseconds"}],
            }]},
            "Service": "cart", "Area": "eu", "Orders": 1, "Latency": [10, 20.5], "Request": context.aws_request_id,
        }))
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if event.get("exit"):
        os._exit(1)
    if event.get("fail"):
        raise ValueError("as told")
    return event
"""
REPORT = re.compile(r"REPORT RequestId: \S+\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def deploy(region: Any, name: str, **options: Any) -> None:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", CODE)
    client = region.client("lambda")
    settings: dict[str, Any] = {"Runtime": PYTHON, "Role": ROLE, "Handler": "app.handler", "Timeout": 1, **options}
    client.create_function(FunctionName=name, Code={"ZipFile": package.getvalue()}, **settings)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 400})


def invoke(region: Any, name: str, event: dict[str, Any]) -> str:
    """ok, error or throttled."""
    try:
        answer = region.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
    except ClientError as error:
        return "throttled" if error.response["Error"]["Code"] == "TooManyRequestsException" else str(error)
    return "error" if "FunctionError" in answer else "ok"


def reports(region: Any, name: str) -> list[tuple[float, int]]:
    """Duration and billed milliseconds of each REPORT line."""
    pages = region.client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
    lines = [event["message"] for page in pages for event in page["events"]]
    return [(float(found[1]), int(found[2])) for line in lines if (found := REPORT.match(line))]


def metric(region: Any, name: str, statistic: str, **dimensions: str) -> float:
    """Over the last hour and the minute to come."""
    now = datetime.now(UTC)
    points = region.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=86400,
        Statistics=[statistic],
    )["Datapoints"]
    return float(sum(point[statistic] for point in points))


def ledger(region: Any) -> list[dict[str, Any]]:
    answer = region.request("GET", "/_lambent/costs", sign="lambda")
    assert answer.status == 200
    lines: list[dict[str, Any]] = answer.json()["lines"]
    return lines


@pytest.fixture(scope="module")
def load(region: Any) -> dict[str, list[str]]:
    """A mixed load on three functions: what each request came to, by function."""
    deploy(region, "mixed")
    deploy(region, "large", MemorySize=512, EphemeralStorage={"Size": 1024})
    deploy(region, "narrow")
    region.client("lambda").put_function_concurrency(FunctionName="narrow", ReservedConcurrentExecutions=1)
    events: list[dict[str, Any]] = [{}] * 40 + [{"fail": True}] * 10 + [{"exit": True}] * 3 + [{"sleep": 2}]
    with ThreadPoolExecutor(8) as threads:
        outcomes = {
            "mixed": list(threads.map(lambda event: invoke(region, "mixed", event), events)),
            "large": list(threads.map(lambda event: invoke(region, "large", event), [{"sleep": 0.02}] * 20)),
            "narrow": list(threads.map(lambda event: invoke(region, "narrow", event), [{"sleep": 0.05}] * 16)),
        }
    assert outcomes["mixed"].count("error") == 14
    assert outcomes["large"] == ["ok"] * 20
    assert 0 < outcomes["narrow"].count("throttled") < 16
    return outcomes


@pytest.mark.slow
def test_reports_metrics_and_ledger_agree(region: Any, load: dict[str, list[str]]) -> None:
    requests = billed = 0
    for name, outcomes in load.items():
        ran = len(outcomes) - outcomes.count("throttled")
        wait_until(lambda name=name, ran=ran: len(reports(region, name)) == ran, what="every REPORT line")
        told = reports(region, name)
        assert metric(region, "Invocations", "Sum", FunctionName=name) == ran
        assert metric(region, "Errors", "Sum", FunctionName=name) == outcomes.count("error")
        assert metric(region, "Throttles", "Sum", FunctionName=name) == outcomes.count("throttled")
        assert metric(region, "Duration", "SampleCount", FunctionName=name) == ran
        # The lines have two decimals.
        assert metric(region, "Duration", "Sum", FunctionName=name) == pytest.approx(
            sum(duration for duration, _ in told), abs=0.006 * ran
        )
        (line,) = [line for line in ledger(region) if line["function"] == name]
        assert (line["requests"], line["billed_ms"]) == (ran, sum(ms for _, ms in told))
        requests, billed = requests + ran, billed + line["billed_ms"]
    assert metric(region, "Invocations", "Sum") == requests
    assert sum(line["billed_ms"] for line in ledger(region)) == billed


@pytest.mark.slow
def test_invocations_are_priced_as_lambda_does(region: Any, load: dict[str, list[str]]) -> None:
    (line,) = [line for line in ledger(region) if line["function"] == "large"]
    gb_seconds = line["billed_ms"] / 1000 * 512 / 1024
    assert line["gb_seconds"] == pytest.approx(gb_seconds)
    assert line["tmp_gb_seconds"] == pytest.approx(line["billed_ms"] / 1000 * 0.5)
    assert line["cost"]["requests"] == pytest.approx(20 * 0.2e-6)
    assert line["cost"]["duration"] == pytest.approx(gb_seconds * 0.0000166667)
    assert line["cost"]["total"] == pytest.approx(
        20 * 0.2e-6 + gb_seconds * 0.0000166667 + line["billed_ms"] / 1000 * 0.5 * 0.0000000309
    )


@pytest.mark.slow
def test_concurrency_and_resources_are_metrics_too(region: Any, load: dict[str, list[str]]) -> None:
    client = region.client("lambda")
    version = client.publish_version(FunctionName="large")["Version"]
    client.create_alias(FunctionName="large", Name="live", FunctionVersion=version)
    client.get_waiter("published_version_active").wait(
        FunctionName="large", Qualifier=version, WaiterConfig={"Delay": 0, "MaxAttempts": 400}
    )
    for _ in range(3):
        client.invoke(FunctionName="large", Qualifier="live", Payload=b'{"sleep": 0.01}')
    assert metric(region, "Invocations", "Sum", FunctionName="large", Resource="large:live") == 3
    executed = {"FunctionName": "large", "Resource": "large:live", "ExecutedVersion": version}
    assert metric(region, "Invocations", "Sum", **executed) == 3
    assert metric(region, "Invocations", "Sum", FunctionName="large", Resource="large") == 20
    wait_until(lambda: metric(region, "ConcurrentExecutions", "Maximum", FunctionName="large") >= 1)
    wait_until(lambda: metric(region, "ConcurrentExecutions", "Maximum", FunctionName="narrow") == 1)
    assert metric(region, "UnreservedConcurrentExecutions", "Maximum") >= 2


@pytest.mark.slow
def test_sums_survive_a_clean_stop(region: Any, load: dict[str, list[str]]) -> None:
    for _ in range(5):
        invoke(region, "mixed", {})
    (before,) = [line for line in ledger(region) if line["function"] == "mixed"]
    invoke(region, "mixed", {})
    region.restart()
    (after,) = [line for line in ledger(region) if line["function"] == "mixed"]
    assert after["requests"] == before["requests"] + 1
    assert metric(region, "Invocations", "Sum", FunctionName="mixed") == after["requests"]
    assert after["billed_ms"] == sum(ms for _, ms in reports(region, "mixed"))


@pytest.mark.slow
def test_the_aws_cli_shows_the_statistics(region: Any, load: dict[str, list[str]]) -> None:
    cli = next((path for path in ("/usr/bin/aws", shutil.which("aws")) if path), None)
    if cli is None:
        pytest.skip("the aws CLI is not installed")
    key = region.key
    now = datetime.now(UTC)
    command = [cli, "--endpoint-url", region.url, "--region", region.name, "--output", "json"]
    command += ["cloudwatch", "get-metric-statistics", "--namespace", "AWS/Lambda", "--metric-name", "Errors"]
    command += ["--dimensions", "Name=FunctionName,Value=mixed", "--statistics", "Sum", "Average"]
    command += ["--start-time", (now - timedelta(hours=1)).isoformat(), "--end-time", now.isoformat()]
    environ = {
        "PATH": "/usr/bin:/bin",
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key,
        "AWS_PAGER": "",
    }
    done = subprocess.run(
        [*command, "--period", "86400"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    if "Traceback" in done.stderr or "command not found" in done.stderr:
        pytest.skip(f"the aws CLI does not work here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    (point,) = json.loads(done.stdout)["Datapoints"]
    assert point["Sum"] == load["mixed"].count("error")
    assert point["Unit"] == "Count"


@pytest.mark.slow
def test_events_are_counted_as_they_come_and_as_they_end(region: Any, load: dict[str, list[str]]) -> None:
    deploy(region, "queued")
    client = region.client("lambda")
    client.put_function_event_invoke_config(FunctionName="queued", MaximumRetryAttempts=0)
    for event in ({}, {}, {"fail": True}):
        client.invoke(FunctionName="queued", InvocationType="Event", Payload=json.dumps(event).encode())
    wait_until(lambda: metric(region, "AsyncEventsDropped", "Sum", FunctionName="queued") == 1)
    wait_until(lambda: metric(region, "Invocations", "Sum", FunctionName="queued") == 3)
    assert metric(region, "AsyncEventsReceived", "Sum", FunctionName="queued") == 3
    assert metric(region, "AsyncEventAge", "SampleCount", FunctionName="queued") == 3
    assert [line["requests"] for line in ledger(region) if line["function"] == "queued"] == [3]


@pytest.mark.slow
def test_provisioned_concurrency_is_counted_and_priced_as_such(region: Any, load: dict[str, list[str]]) -> None:
    deploy(region, "ready")
    client = region.client("lambda")
    version = client.publish_version(FunctionName="ready")["Version"]
    client.get_waiter("published_version_active").wait(
        FunctionName="ready", Qualifier=version, WaiterConfig={"Delay": 0, "MaxAttempts": 400}
    )
    asked = {"FunctionName": "ready", "Qualifier": version}
    client.put_provisioned_concurrency_config(**asked, ProvisionedConcurrentExecutions=1)
    wait_until(lambda: client.get_provisioned_concurrency_config(**asked)["Status"] == "READY")
    with ThreadPoolExecutor(2) as threads:
        events = [b'{"sleep": 0.3}'] * 2
        list(threads.map(lambda event: client.invoke(**asked, Payload=event), events))
    resource = {"FunctionName": "ready", "Resource": f"ready:{version}"}
    assert metric(region, "ProvisionedConcurrencyInvocations", "Sum", **resource) == 1
    assert metric(region, "ProvisionedConcurrencySpilloverInvocations", "Sum", **resource) == 1
    wait_until(lambda: metric(region, "ProvisionedConcurrencyUtilization", "Maximum", **resource) == 1)
    (line,) = [line for line in ledger(region) if (line["function"], line["version"]) == ("ready", version)]
    assert line["kept_gb_seconds"] > 0
    assert line["gb_seconds"] == pytest.approx(line["billed_ms"] / 1000 / 8)
    # Half of it ran under provisioned concurrency, which is cheaper to run and costs to keep.
    assert 0 < line["cost"]["duration"] < line["gb_seconds"] * 0.0000166667
    assert line["cost"]["provisioned"] > 0
    client.delete_provisioned_concurrency_config(**asked)


# ---- metrics in logs -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_log_lines_in_the_embedded_format_become_metrics(region: Any) -> None:
    deploy(region, "shop")
    for _ in range(4):
        assert invoke(region, "shop", {"metric": True}) == "ok"
    client = region.client("cloudwatch")
    now = datetime.now(UTC)

    def found(name: str, dimensions: dict[str, str]) -> list[dict[str, Any]]:
        points: list[dict[str, Any]] = client.get_metric_statistics(
            Namespace="Shop",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=1),
            Period=3600,
            Statistics=["Sum", "SampleCount"],
        )["Datapoints"]
        return points

    wait_until(lambda: sum(point["Sum"] for point in found("Orders", {"Service": "cart"})) == 4)
    assert [point["Sum"] for point in found("Orders", {"Service": "cart", "Area": "eu"})] == [4.0]
    (latency,) = found("Latency", {})
    assert (latency["Sum"], latency["SampleCount"], latency["Unit"]) == (122.0, 8.0, "Milliseconds")


# ---- for operators ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_prometheus_reads_the_counters_with_the_root_key(region: Any, load: dict[str, list[str]]) -> None:
    invoke(region, "mixed", {})
    key = region.key
    password = base64.b64encode(f"{key.access_key}:{key.secret_key}".encode()).decode()
    answer = region.request("GET", "/metrics", headers={"Authorization": f"Basic {password}"})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    label = 'account="000000000000",region="us-east-1",function="mixed",version="$LATEST"'
    lines = answer.body.decode().splitlines()
    (count,) = [line.split()[-1] for line in lines if line.startswith(f"lambent_function_invocations_total{{{label}}}")]
    assert int(count) >= 1
    assert "# TYPE lambent_invoker_busy gauge" in lines
    wrong = base64.b64encode(f"{key.access_key}:wrong".encode()).decode()
    assert region.request("GET", "/metrics", headers={"Authorization": f"Basic {wrong}"}).status == 403
    assert region.request("GET", "/metrics").status == 403


@pytest.mark.slow
def test_the_command_line_shows_what_it_would_cost(region: Any, load: dict[str, list[str]]) -> None:
    def costs(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lambent.cli", "costs", "--data-dir", str(region.data_dir), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    by_function = costs("--since", "2d")
    assert by_function.returncode == 0, by_function.stderr
    rows = by_function.stdout.splitlines()
    assert any(row.startswith("large:$LATEST ") and "█" in row for row in rows)
    assert rows[-1].startswith("Total")
    (day,) = [row for row in costs("--by", "day").stdout.splitlines() if row.startswith("20")]
    assert day.startswith(time.strftime("%Y-%m-%d", time.gmtime()))
    assert json.loads(costs("--json").stdout)["currency"] == "USD"
    assert "Nothing was invoked since 2999-01-01." in costs("--since", "2999-01-01").stdout
    assert "--since takes a day" in costs("--since", "yesterday").stderr


@pytest.mark.slow
def test_requests_to_function_urls_are_counted(region: Any, load: dict[str, list[str]]) -> None:
    client = region.client("lambda")
    url = client.create_function_url_config(FunctionName="mixed", AuthType="NONE")["FunctionUrl"]
    host = url.split("/")[2]
    assert region.request("GET", "/", headers={"Host": host}).status == 403
    client.add_permission(
        FunctionName="mixed",
        StatementId="url",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    client.add_permission(
        FunctionName="mixed",
        StatementId="invoke",
        Action="lambda:InvokeFunction",
        Principal="*",
        InvokedViaFunctionUrl=True,
    )
    assert region.request("GET", "/", headers={"Host": host}).status == 200
    assert metric(region, "UrlRequestCount", "Sum", FunctionName="mixed") == 2
    assert metric(region, "Url4xxCount", "Sum", FunctionName="mixed") == 1
    assert metric(region, "UrlRequestLatency", "SampleCount", FunctionName="mixed") == 2


@pytest.mark.slow
def test_lines_put_by_clients_count_too_and_a_reset_empties_all(region: Any) -> None:
    logs = region.client("logs")
    logs.create_log_group(logGroupName="app")
    logs.create_log_stream(logGroupName="app", logStreamName="s")
    now = int(time.time() * 1000)
    directive = {"Namespace": "Client", "Dimensions": [[]], "Metrics": [{"Name": "Seen"}]}
    message = json.dumps({"_aws": {"Timestamp": now, "CloudWatchMetrics": [directive]}, "Seen": 3})
    logs.put_log_events(logGroupName="app", logStreamName="s", logEvents=[{"timestamp": now, "message": message}])
    listed = region.client("cloudwatch").list_metrics(Namespace="Client")["Metrics"]
    assert [each["MetricName"] for each in listed] == ["Seen"]
    region.reset()
    assert region.client("cloudwatch").list_metrics()["Metrics"] == []
    assert ledger(region) == []
    assert b'function="mixed"' not in region.request("GET", "/_lambent/metrics", sign="lambda").body
