"""CloudWatch's metrics through boto3: what is put can be read back, by every way of asking."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError

#: Within the last quarter of an hour, on a minute; all data of this module lie after it.
START = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=15)
END = START + timedelta(minutes=10)


def at(minute: int, second: int = 0) -> datetime:
    return START + timedelta(minutes=minute, seconds=second)


def put(region: Any, namespace: str, *data: dict[str, Any]) -> None:
    region.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=list(data))


def statistics(region: Any, namespace: str, name: str, *wanted: str, **options: Any) -> list[dict[str, Any]]:
    asked: dict[str, Any] = {"StartTime": START, "EndTime": END, "Period": 60, "Statistics": list(wanted), **options}
    answer = region.client("cloudwatch").get_metric_statistics(Namespace=namespace, MetricName=name, **asked)
    assert answer["Label"] == name
    points: list[dict[str, Any]] = answer["Datapoints"]
    return points


def refused(call: Any, **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


# ---- PutMetricData and GetMetricStatistics ---------------------------------------------------------------------


def test_values_put_in_one_minute_become_one_datapoint(region: Any) -> None:
    for value in (1.0, 2.0, 9.0):
        put(region, "Put/Values", {"MetricName": "m", "Value": value, "Timestamp": at(1, 17), "Unit": "Bytes"})
    (point,) = statistics(region, "Put/Values", "m", "Sum", "Average", "Minimum", "Maximum", "SampleCount")
    assert point == {
        "Timestamp": at(1),
        "SampleCount": 3.0,
        "Sum": 12.0,
        "Average": 4.0,
        "Minimum": 1.0,
        "Maximum": 9.0,
        "Unit": "Bytes",
    }


def test_values_with_counts_and_statistic_sets_add_up(region: Any) -> None:
    put(
        region,
        "Put/Counts",
        {"MetricName": "m", "Values": [1.0, 10.0], "Counts": [3.0, 2.0], "Timestamp": at(1)},
        {
            "MetricName": "m",
            "StatisticValues": {"SampleCount": 5, "Sum": 50, "Minimum": -2, "Maximum": 30},
            "Timestamp": at(1, 59),
        },
    )
    (point,) = statistics(region, "Put/Counts", "m", "Sum", "SampleCount", "Minimum", "Maximum")
    assert (point["Sum"], point["SampleCount"]) == (73.0, 10.0)
    assert (point["Minimum"], point["Maximum"], point["Unit"]) == (-2.0, 30.0, "None")


def test_a_period_of_minutes_begins_where_the_request_does(region: Any) -> None:
    for minute in range(6):
        put(region, "Put/Periods", {"MetricName": "m", "Value": float(minute), "Timestamp": at(minute)})
    options = {"StartTime": at(1, 30), "EndTime": at(5), "Period": 120}
    points = statistics(region, "Put/Periods", "m", "Sum", **options)
    assert [(point["Timestamp"], point["Sum"]) for point in points] == [(at(1), 3.0), (at(3), 7.0)]


def test_dimensions_and_units_tell_metrics_apart(region: Any) -> None:
    shop = [{"Name": "Service", "Value": "shop"}, {"Name": "Area", "Value": "eu"}]
    put(
        region,
        "Put/Dimensions",
        {"MetricName": "m", "Value": 1.0, "Timestamp": at(1), "Dimensions": shop},
        {"MetricName": "m", "Value": 2.0, "Timestamp": at(1)},
        {"MetricName": "m", "Value": 4.0, "Timestamp": at(1), "Unit": "Count"},
    )
    assert [point["Sum"] for point in statistics(region, "Put/Dimensions", "m", "Sum", Dimensions=shop[::-1])] == [1.0]
    assert sorted(point["Sum"] for point in statistics(region, "Put/Dimensions", "m", "Sum")) == [2.0, 4.0]
    assert [point["Sum"] for point in statistics(region, "Put/Dimensions", "m", "Sum", Unit="Count")] == [4.0]
    assert statistics(region, "Put/Dimensions", "m", "Sum", Dimensions=shop[:1]) == []


def test_percentiles_are_within_one_percent(region: Any) -> None:
    values = [float(value) for value in range(1, 151)]
    put(region, "Put/Percentiles", {"MetricName": "m", "Values": values, "Timestamp": at(1)})
    wanted = ["p0", "p50", "p99.9", "p100"]
    (point,) = region.client("cloudwatch").get_metric_statistics(
        Namespace="Put/Percentiles",
        MetricName="m",
        StartTime=START,
        EndTime=END,
        Period=600,
        ExtendedStatistics=wanted,
    )["Datapoints"]
    found = point["ExtendedStatistics"]
    assert found["p0"] == pytest.approx(1, rel=0.01)
    assert found["p50"] == pytest.approx(75, rel=0.011)
    assert found["p99.9"] == pytest.approx(150, rel=0.01)
    assert found["p100"] == pytest.approx(150, rel=0.01)


def test_statistic_sets_have_no_percentiles(region: Any) -> None:
    """As on AWS, which needs the values for them."""
    given = {"SampleCount": 2, "Sum": 3, "Minimum": 1, "Maximum": 2}
    put(region, "Put/NoPercentiles", {"MetricName": "m", "StatisticValues": given, "Timestamp": at(1)})
    answer = region.client("cloudwatch").get_metric_statistics(
        Namespace="Put/NoPercentiles",
        MetricName="m",
        StartTime=START,
        EndTime=END,
        Period=60,
        ExtendedStatistics=["p50"],
    )
    assert answer["Datapoints"] == []


@pytest.mark.parametrize(
    ("datum", "code", "message"),
    [
        (
            {"Value": 1.0, "Values": [1.0]},
            "InvalidParameterCombination",
            "The parameters MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive "
            "and you have specified both.",
        ),
        (
            {"Values": [1.0, 2.0], "Counts": [1.0]},
            "InvalidParameterValue",
            "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size.",
        ),
        (
            {"Value": float("nan")},
            "InvalidParameterValue",
            "The value NaN for parameter MetricData.member.1.Value is invalid.",
        ),
        (
            {"Value": 1.0, "Timestamp": START - timedelta(days=15)},
            "InvalidParameterValue",
            "The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks.",
        ),
        (
            {"Value": 1.0, "Timestamp": START + timedelta(hours=3)},
            "InvalidParameterValue",
            "The parameter MetricData.member.1.Timestamp must specify a time no more than two hours in the future.",
        ),
        (
            {},
            "MissingParameter",
            "At least one of the parameters MetricData.member.1.Value, MetricData.member.1.Values and "
            "MetricData.member.1.StatisticValues must be specified.",
        ),
        (
            {"Value": 1.0, "StorageResolution": 1},
            "InvalidParameterValue",
            "The value 1 for parameter MetricData.member.1.StorageResolution is not supported: "
            "metrics are kept by the minute.",
        ),
    ],
)
def test_bad_data_are_refused_in_words(region: Any, datum: dict[str, Any], code: str, message: str) -> None:
    call = region.client("cloudwatch").put_metric_data
    assert refused(call, Namespace="Bad", MetricData=[{"MetricName": "m", **datum}]) == (code, message)


def test_namespaces_of_aws_are_its_own(region: Any) -> None:
    call = region.client("cloudwatch").put_metric_data
    code, message = refused(call, Namespace="AWS/Lambda", MetricData=[{"MetricName": "m", "Value": 1.0}])
    assert (code, message) == (
        "InvalidParameterValue",
        "The value AWS/Lambda for parameter Namespace is invalid.",
    )


def test_bad_questions_are_refused(region: Any) -> None:
    call = region.client("cloudwatch").get_metric_statistics
    asked: dict[str, Any] = {"Namespace": "N", "MetricName": "m", "StartTime": START, "EndTime": END, "Period": 60}
    assert refused(call, **asked)[0] == "MissingParameter"
    assert refused(call, **asked, Statistics=["Sum"], ExtendedStatistics=["p50"])[0] == "InvalidParameterCombination"
    assert refused(call, **asked, ExtendedStatistics=["p101"]) == (
        "InvalidParameterValue",
        "The value p101 for parameter ExtendedStatistics.member.1 is not a valid statistic.",
    )
    backwards = {**asked, "EndTime": START - timedelta(minutes=1), "Statistics": ["Sum"]}
    assert refused(call, **backwards) == (
        "InvalidParameterValue",
        "The parameter StartTime must be less than the parameter EndTime.",
    )
    many = {**asked, "StartTime": START - timedelta(days=2), "Statistics": ["Sum"]}
    assert refused(call, **many) == (
        "InvalidParameterCombination",
        "You have requested up to 2,890 datapoints, which exceeds the limit of 1,440. "
        "You may reduce the datapoints requested by increasing Period, or decreasing the time range.",
    )


# ---- the other protocols ---------------------------------------------------------------------------------------


def test_older_clients_speak_json_and_query(region: Any) -> None:
    time = at(2).timestamp()
    datum = {"MetricName": "m", "Value": 2.5, "Timestamp": time}
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "GraniteServiceVersion20100801.PutMetricData",
    }
    body = json.dumps({"Namespace": "Wire", "MetricData": [datum]}).encode()
    assert region.request("POST", "/", body, headers, sign="monitoring").status == 200

    form = {
        "Action": "GetMetricStatistics",
        "Version": "2010-08-01",
        "Namespace": "Wire",
        "MetricName": "m",
        "StartTime": at(0).isoformat(),
        "EndTime": END.isoformat(),
        "Period": "60",
        "Statistics.member.1": "Sum",
    }
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = region.request("POST", "/", urlencode(form).encode(), headers, sign="monitoring")
    assert answer.status == 200
    assert b"<Sum>2.5</Sum>" in answer.body
    assert b"GetMetricStatisticsResult" in answer.body


def test_alarms_and_dashboards_are_not_built(region: Any) -> None:
    with pytest.raises(ClientError) as caught:
        region.client("cloudwatch").describe_alarms()
    assert caught.value.response["Error"]["Code"] == "NotImplemented"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


# ---- GetMetricData ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def traffic(region: Any) -> Any:
    """Minute 1: 10 requests, 1 error. Minute 2: 20 requests, 5 errors. Minute 4: 40 requests."""
    for minute, requests, errors in ((1, 10, 1), (2, 20, 5), (4, 40, None)):
        put(region, "Data", {"MetricName": "requests", "Value": requests, "Timestamp": at(minute)})
        if errors is not None:
            put(region, "Data", {"MetricName": "errors", "Value": errors, "Timestamp": at(minute)})
    return region


def stat(id: str, name: str, **options: Any) -> dict[str, Any]:
    metric = {"Namespace": "Data", "MetricName": name}
    return {"Id": id, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, **options}


def data(region: Any, *queries: dict[str, Any], **options: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"StartTime": START, "EndTime": END, "ScanBy": "TimestampAscending", **options}
    answer: dict[str, Any] = region.client("cloudwatch").get_metric_data(MetricDataQueries=list(queries), **asked)
    return answer


def calculated(region: Any, expression: str) -> dict[datetime, float]:
    hidden = (stat("r", "requests", ReturnData=False), stat("e", "errors", ReturnData=False))
    (result,) = data(region, *hidden, {"Id": "x", "Expression": expression})["MetricDataResults"]
    assert result["StatusCode"] == "Complete"
    return dict(zip(result["Timestamps"], result["Values"], strict=True))


def test_many_metrics_come_in_one_answer(traffic: Any) -> None:
    results = data(traffic, stat("r", "requests", Label="all"), stat("e", "errors"))["MetricDataResults"]
    assert [(each["Id"], each["Label"], each["Values"]) for each in results] == [
        ("r", "all", [10.0, 20.0, 40.0]),
        ("e", "errors", [1.0, 5.0]),
    ]
    (newest_first,) = data(traffic, stat("r", "requests"), ScanBy="TimestampDescending")["MetricDataResults"]
    assert newest_first["Timestamps"] == [at(4), at(2), at(1)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("e / r * 100", {1: 10.0, 2: 25.0}),
        ("r - e", {1: 9.0, 2: 15.0}),
        ("FILL(e, 0) / r", {1: 0.1, 2: 0.25, 4: 0.0}),
        ("SUM([r, e])", {1: 11.0, 2: 25.0, 4: 40.0}),
        ("SUM(METRICS())", {1: 11.0, 2: 25.0, 4: 40.0}),
        ("MAX([r, e])", {1: 10.0, 2: 20.0, 4: 40.0}),
        ("r / SUM(r)", {1: 10 / 70, 2: 20 / 70, 4: 40 / 70}),
        ("-r + AVG(e) * 2", {1: -4.0, 2: -14.0, 4: -34.0}),
        ("RATE(r)", {2: 10 / 60, 4: 20 / 120}),
        ("r / PERIOD(r)", {1: 10 / 60, 2: 20 / 60, 4: 40 / 60}),
        ("IF(r > 15, r, 0)", {1: 0.0, 2: 20.0, 4: 40.0}),
        ("(r + 1) ^ 2", {1: 121.0, 2: 441.0, 4: 1681.0}),
    ],
)
def test_expressions_calculate(traffic: Any, expression: str, expected: dict[int, float]) -> None:
    found = {time: value for time, value in calculated(traffic, expression).items() if value or at(4) >= time >= at(1)}
    wanted = {at(minute): value for minute, value in expected.items()}
    assert {time: found[time] for time in wanted} == pytest.approx(wanted)
    assert set(found) - set(wanted) <= {at(3)}


def test_pages_hold_as_many_points_as_asked_for(traffic: Any) -> None:
    queries = (stat("r", "requests"), stat("e", "errors"))
    first = data(traffic, *queries, MaxDatapoints=2)
    second = data(traffic, *queries, MaxDatapoints=2, NextToken=first["NextToken"])
    third = data(traffic, *queries, MaxDatapoints=2, NextToken=second["NextToken"])
    described = [
        [(each["Id"], each["Values"], each["StatusCode"]) for each in page["MetricDataResults"]]
        for page in (first, second, third)
    ]
    assert described == [
        [("r", [10.0, 20.0], "PartialData")],
        [("r", [40.0], "Complete"), ("e", [1.0], "PartialData")],
        [("e", [5.0], "Complete")],
    ]
    assert "NextToken" not in third


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"Id": "x"}, "The parameter MetricDataQueries.member.1.MetricStat is required."),
        ({"Id": "x", "Expression": "y + 1"}, "Error in expression 'x': Unrecognized id 'y'"),
        (
            {"Id": "x", "Expression": "x + 1"},
            "Error in expression 'x': It refers to itself, or through too many others",
        ),
        (
            {"Id": "x", "Expression": "1", "Label": "${AVG}"},
            "The value ${AVG} for parameter MetricDataQueries.member.1.Label is not supported: labels are plain text.",
        ),
        ({"Id": "x", "Expression": "1 +"}, "Error in expression 'x': The expression ends too early"),
        ({"Id": "x", "Expression": "1 + 1"}, "Error in expression 'x': The result must be a time series"),
        (
            {"Id": "x", "Expression": "SEARCH('{AWS/Lambda}', 'Sum', 60)"},
            "Error in expression 'x': The function SEARCH is not supported",
        ),
        (
            {"Id": "X", "Expression": "1"},
            "The value X for parameter MetricDataQueries.member.1.Id is not matching the expected pattern "
            "^[a-z][a-zA-Z0-9_]*$.",
        ),
    ],
)
def test_queries_that_cannot_be_answered_are_refused(traffic: Any, query: dict[str, Any], message: str) -> None:
    call = traffic.client("cloudwatch").get_metric_data
    code, text = refused(call, MetricDataQueries=[query], StartTime=START, EndTime=END)
    assert (code, text.rstrip()) == ("ValidationError", message)


def test_hostile_expressions_end_in_an_error_and_not_in_a_stack(traffic: Any) -> None:
    call = traffic.client("cloudwatch").get_metric_data
    for text in ("(" * 900 + "1" + ")" * 900, "+".join("1" * 1000), "-" * 2000 + "1", "1 ^" * 300 + "1"):
        query = {"Id": "x", "Expression": text}
        assert refused(call, MetricDataQueries=[query], StartTime=START, EndTime=END)[0] == "ValidationError"


def test_endless_spans_are_refused_before_they_are_filled(traffic: Any) -> None:
    call = traffic.client("cloudwatch").get_metric_data
    queries = [stat("r", "requests", ReturnData=False), {"Id": "x", "Expression": "FILL(r, 1)"}]
    code, message = refused(call, MetricDataQueries=queries, StartTime=datetime(1000, 1, 1, tzinfo=UTC), EndTime=END)
    assert code == "ValidationError"
    assert "datapoints of a metric, which exceeds the limit of 100,800" in message


# ---- ListMetrics -----------------------------------------------------------------------------------------------


def test_metrics_are_listed_by_namespace_name_and_dimensions(region: Any) -> None:
    client = region.client("cloudwatch")
    one = [{"Name": "Service", "Value": "one"}]
    two = [{"Name": "Area", "Value": "eu"}, {"Name": "Service", "Value": "two"}]
    put(
        region,
        "List",
        {"MetricName": "a", "Value": 1.0, "Dimensions": one},
        {"MetricName": "a", "Value": 1.0, "Dimensions": two},
        {"MetricName": "b", "Value": 1.0, "Timestamp": datetime.now(UTC) - timedelta(hours=5)},
    )

    def listed(**filters: Any) -> list[tuple[str, list[dict[str, str]]]]:
        found = client.list_metrics(Namespace="List", **filters)["Metrics"]
        return sorted(((each["MetricName"], each["Dimensions"]) for each in found), key=str)

    assert listed() == sorted([("a", one), ("a", two), ("b", [])], key=str)
    assert listed(MetricName="b") == [("b", [])]
    assert listed(Dimensions=[{"Name": "Area"}]) == [("a", two)]
    assert listed(Dimensions=[{"Name": "Service", "Value": "one"}]) == [("a", one)]
    assert listed(RecentlyActive="PT3H", MetricName="b") == []


def test_long_lists_come_in_pages(region: Any) -> None:
    for first in (0, 300):
        put(region, "Pages", *({"MetricName": f"m{number}", "Value": 1.0} for number in range(first, first + 300)))
    client = region.client("cloudwatch")
    first = client.list_metrics(Namespace="Pages")
    assert len(first["Metrics"]) == 500
    names = [
        each["MetricName"]
        for page in client.get_paginator("list_metrics").paginate(Namespace="Pages")
        for each in page["Metrics"]
    ]
    assert sorted(names) == sorted(f"m{number}" for number in range(600))


# ---- accounts, restarts, resets --------------------------------------------------------------------------------


def test_regions_keep_their_own(region: Any) -> None:
    put(region, "Elsewhere", {"MetricName": "m", "Value": 1.0})
    other = region.client("cloudwatch", region_name="eu-central-1")
    assert other.list_metrics(Namespace="Elsewhere")["Metrics"] == []


@pytest.mark.slow
def test_what_is_answered_survives_a_kill_and_goes_with_a_reset(region: Any) -> None:
    put(region, "Kept", {"MetricName": "m", "Value": 7.0, "Timestamp": at(3)})
    region.kill()
    region.start()
    put(region, "Kept", {"MetricName": "m", "Value": 1.0, "Timestamp": at(3)})
    assert [point["Sum"] for point in statistics(region, "Kept", "m", "Sum")] == [8.0]
    region.reset()
    assert region.client("cloudwatch").list_metrics()["Metrics"] == []
    put(region, "Kept", {"MetricName": "m", "Value": 2.0, "Timestamp": at(3)})
    assert [point["Sum"] for point in statistics(region, "Kept", "m", "Sum")] == [2.0]
