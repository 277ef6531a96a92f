"""X-Ray's API over a socket: what is taken, what is told of it, and what finds it again."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import Region

Put = Callable[..., dict[str, Any]]


def trace_id(number: int = 0, at: float | None = None) -> str:
    return f"1-{int(time.time() if at is None else at):08x}-{number:024x}"


def segment(number: int, segment_id: int = 1, **fields: Any) -> dict[str, Any]:
    """The document of a segment; a field that is None is left out."""
    now = time.time()
    whole = {
        "trace_id": trace_id(number, now),
        "id": f"{segment_id:016x}",
        "name": "shop",
        "start_time": now - 1,
        "end_time": now,
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


@pytest.fixture(scope="module")
def xray(region: Region) -> Any:
    return region.client("xray")


def put(xray: Any, *documents: Any) -> list[dict[str, Any]]:
    texts = [document if isinstance(document, str) else json.dumps(document) for document in documents]
    found: list[dict[str, Any]] = xray.put_trace_segments(TraceSegmentDocuments=texts)["UnprocessedTraceSegments"]
    return found


def whole(xray: Any, found: str) -> list[dict[str, Any]]:
    """The documents of a trace, each with its segment's id checked."""
    (trace,) = xray.batch_get_traces(TraceIds=[found])["Traces"]
    documents = [json.loads(each["Document"]) for each in trace["Segments"]]
    assert [each["Id"] for each in trace["Segments"]] == [document["id"] for document in documents]
    return documents


def summaries(xray: Any, expression: str = "", **more: Any) -> list[dict[str, Any]]:
    now = time.time()
    given = {"FilterExpression": expression} if expression else {}
    found = xray.get_trace_summaries(StartTime=now - 600, EndTime=now + 60, **given, **more)
    return list(found["TraceSummaries"])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"id": None}, "MissingId"),
        ({"id": "xyz"}, "InvalidId"),
        ({"id": 7}, "InvalidId"),
        ({"trace_id": None}, "MissingTraceId"),
        ({"trace_id": "1-2-3"}, "InvalidTraceId"),
        ({"trace_id": trace_id(1, time.time() - 31 * 86400)}, "InvalidTime"),
        ({"name": None}, "MissingName"),
        ({"name": "a" * 201}, "InvalidName"),
        ({"name": "<b>"}, "InvalidName"),
        ({"type": "subsegment"}, "MissingParentId"),
        ({"parent_id": "1"}, "InvalidParentId"),
        ({"start_time": None}, "MissingStartTime"),
        ({"start_time": "now"}, "InvalidStartTime"),
        ({"start_time": True}, "InvalidStartTime"),
        ({"start_time": 10**400}, "InvalidStartTime"),
        ({"start_time": 1.0}, "InvalidTime"),
        ({"end_time": None}, "MissingEndTime"),
        ({"end_time": -1}, "InvalidEndTime"),
        ({"metadata": "x" * 65536}, "DocumentTooLarge"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_document_that_is_no_segment_is_told_back_with_its_code(xray: Any, fields: dict[str, Any], code: str) -> None:
    document = segment(1, **fields)
    (told,) = put(xray, document)
    kind = "subsegment" if fields.get("type") else "segment"
    assert (told["ErrorCode"], told["Message"]) == (code, f"Invalid {kind}. ErrorCode: {code}")
    assert told.get("Id") in (None, document.get("id"))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 60_000, '{"a":' * 10_000], ids=range(6))
def test_what_is_not_an_object_is_a_parse_error(xray: Any, text: str) -> None:
    assert put(xray, text) == [{"ErrorCode": "ParseError", "Message": "Invalid segment. ErrorCode: ParseError"}]


def test_a_trace_is_told_with_what_came_alone_in_the_segment_that_it_belongs_to(xray: Any) -> None:
    client = segment(10, 1, subsegments=[{"id": f"{2:016x}", "name": "call", "start_time": 1.0, "end_time": 2.0}])
    called = segment(10, 3, parent_id=f"{2:016x}", name="stock")
    alone = segment(10, 4, parent_id=f"{3:016x}", type="subsegment", name="query")
    deeper = segment(10, 5, parent_id=f"{4:016x}", type="subsegment", name="fetch")
    assert put(xray, deeper, alone, called, client) == []
    first, second = sorted(whole(xray, client["trace_id"]), key=lambda document: document["id"])
    assert first["subsegments"][0]["name"] == "call"
    (query,) = second["subsegments"]
    assert (query["name"], query["subsegments"][0]["name"]) == ("query", "fetch")


def test_a_finished_segment_takes_the_place_of_the_one_in_progress(xray: Any) -> None:
    begun = segment(11, end_time=None, in_progress=True)
    put(xray, begun)
    assert [each["Id"] for each in summaries(xray, "partial")] == [begun["trace_id"]]
    put(xray, {**begun, "end_time": begun["start_time"] + 2, "in_progress": None} | {"in_progress": False})
    (document,) = whole(xray, begun["trace_id"])
    assert document["end_time"] == begun["start_time"] + 2
    assert not summaries(xray, "partial")


def test_a_trace_has_a_size_beyond_which_segments_are_left_out(xray: Any) -> None:
    documents = [segment(12, 100 + number, metadata={"d": {"x": "y" * 60_000}}) for number in range(10)]
    for document in documents:
        assert put(xray, document) == []
    (trace,) = xray.batch_get_traces(TraceIds=[documents[0]["trace_id"]])["Traces"]
    assert trace["LimitExceeded"] is True
    assert len(trace["Segments"]) == 8


def test_segments_that_lead_in_circles_or_very_deep_end(xray: Any) -> None:
    circle = [
        segment(13, 1, parent_id=f"{2:016x}", type="subsegment"),
        segment(13, 2, parent_id=f"{1:016x}", type="subsegment"),
        segment(13, 3, parent_id=f"{3:016x}", type="subsegment"),
    ]
    chain = [segment(14, number + 1, parent_id=f"{number:016x}", type="subsegment") for number in range(1, 1500)]
    nested: dict[str, Any] = {"id": "a" * 16, "name": "n", "start_time": 1.0, "end_time": 2.0}
    for _ in range(250):
        nested = {**nested, "subsegments": [nested]}
    deep = segment(15, subsegments=[nested])
    assert put(xray, deep) == []
    assert whole(xray, deep["trace_id"])
    put(xray, *circle, *chain)
    assert len(whole(xray, circle[0]["trace_id"])) >= 2
    assert whole(xray, chain[0]["trace_id"])
    assert summaries(xray, 'service("shop") { duration >= 0 }')


def test_ids_are_checked_and_unknown_ones_told(xray: Any) -> None:
    unknown = trace_id(99)
    answer = xray.batch_get_traces(TraceIds=[unknown])
    assert (answer["Traces"], answer["UnprocessedTraceIds"]) == ([], [unknown])
    with pytest.raises(ClientError) as refused:
        xray.batch_get_traces(TraceIds=["1-2-3"])
    assert refused.value.response["Error"]["Code"] == "InvalidRequestException"
    with pytest.raises(ClientError):
        xray.batch_get_traces(TraceIds=[trace_id(number) for number in range(6)])


@pytest.fixture(scope="module")
def shop(xray: Any) -> str:
    """A trace with most of what filters ask for."""
    web = segment(
        50,
        1,
        name="web",
        origin="AWS::ApiGateway::Stage",
        user="ann",
        error=True,
        http={
            "request": {"url": "http://shop/v2/a", "method": "GET", "client_ip": "1.2.3.4"},
            "response": {"status": 404},
        },
        annotations={"account": "12345", "paid": True, "items": 3},
        resource_arn="arn:aws:x",
    )
    back = segment(50, 2, name="back", parent_id=f"{1:016x}", fault=True, aws={"account_id": "111122223333"})
    back["subsegments"] = [
        {
            "id": f"{3:016x}",
            "name": "DynamoDB",
            "namespace": "aws",
            "start_time": 1.0,
            "end_time": 1.5,
            "throttle": True,
        }
    ]
    put(xray, web, back)
    return str(web["trace_id"])


def test_a_summary_tells_of_the_root_and_of_all_services(xray: Any, shop: str) -> None:
    (told,) = summaries(xray, 'annotation.account = "12345"')
    assert told["Id"] == shop
    assert (told["HasError"], told["HasFault"], told["IsPartial"]) == (True, False, False)
    assert told["Http"] == {
        "HttpURL": "http://shop/v2/a",
        "HttpStatus": 404,
        "HttpMethod": "GET",
        "ClientIp": "1.2.3.4",
    }
    assert [service["Name"] for service in told["ServiceIds"]] == ["web", "back"]
    assert told["EntryPoint"]["Type"] == "AWS::ApiGateway::Stage"
    assert told["Users"][0]["UserName"] == "ann"
    assert told["Annotations"]["paid"][0]["AnnotationValue"] == {"BooleanValue": True}
    assert told["Annotations"]["items"][0]["AnnotationValue"] == {"NumberValue": 3.0}
    assert told["ResourceARNs"] == [{"ARN": "arn:aws:x"}]
    assert 0.9 < told["Duration"] < 1.5


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("error", True),
        ("fault", False),
        ("!ok", True),
        ("error = false", False),
        ('user = "ann"', True),
        ('user != "ann"', False),
        ('user BEGINSWITH "an" AND http.status >= 400', True),
        ('http.url CONTAINS "/v2/" http.method = "GET"', True),
        ('http.url ENDSWITH "/b" OR http.clientip = "1.2.3.4"', True),
        ("responsetime > 5", False),
        ("duration >= 0.5 AND duration <= 8", True),
        ('annotation.account = "12345" AND annotation.items > 2', True),
        ('annotation[account] = "1"', False),
        ("annotation.paid = true", True),
        ("annotation.nothing", False),
        ('service("back")', True),
        ('service("back") { fault }', True),
        ('service("web") { fault }', False),
        ('service(id(name: "web", type: "AWS::ApiGateway::Stage"))', True),
        ('service(id(account.id: "111122223333")) { fault = true OR responsetime > 2.5 }', True),
        ('!service("nobody")', True),
        ('edge("web", "back") { fault }', True),
        ('edge("back", "web")', False),
        ('(error OR fault) AND !(user = "bob")', True),
    ],
)
def test_filters_find_what_they_describe(xray: Any, shop: str, expression: str, found: bool) -> None:
    expression = f'({expression}) AND resource.arn = "arn:aws:x"'
    assert [each["Id"] for each in summaries(xray, expression)] == ([shop] if found else [])


@pytest.mark.parametrize(
    "expression",
    [
        "nonsense",
        "duration >",
        'duration = "x"',
        "error CONTAINS 1",
        'user > "a"',
        "service(",
        "(error",
        "error)",
        "rootcause.fault.service { }",
        'edge("a")',
        "user",
        "#",
        "(" * 100 + "error" + ")" * 100,
        "!" * 1000 + "error",
        "error " * 400,
        "service() { service() { error } }",
        "edge() { !(ok service()) }",
    ],
    ids=range(17),
)
def test_filters_that_mean_nothing_here_are_refused(xray: Any, expression: str) -> None:
    with pytest.raises(ClientError) as refused:
        summaries(xray, expression)
    assert refused.value.response["Error"]["Code"] == "InvalidRequestException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_summaries_of_a_subset_and_of_odd_times_are_refused(xray: Any) -> None:
    now = time.time()
    odd: list[dict[str, Any]] = [
        {"StartTime": now, "EndTime": now - 10},
        {"StartTime": now - 2 * 86400, "EndTime": now},
        {"StartTime": now - 10, "EndTime": now, "Sampling": True},
        *(
            {"StartTime": now - 10, "EndTime": now, "NextToken": base64.urlsafe_b64encode(token).decode()}
            for token in (b"x", b"[1, Infinity]", b"[1, 1e300]", b"[1, 9223372036854775808]", b"[" * 3000, b"[[], 1]")
        ),
    ]
    for given in odd:
        with pytest.raises(ClientError, match="InvalidRequestException"):
            xray.get_trace_summaries(**given)


def test_pages_of_summaries_hold_each_trace_once_the_newest_first(region: Region) -> None:
    key = region.key
    elsewhere = region.client("xray", region_name="eu-west-1", aws_access_key_id=key.access_key)
    put(elsewhere, *[segment(1000 + number, start_time=time.time() - number / 10) for number in range(250)])
    now, found = time.time(), []
    for page in elsewhere.get_paginator("get_trace_summaries").paginate(StartTime=now - 600, EndTime=now):
        found += [each["Id"] for each in page["TraceSummaries"]]
    assert len(found) == len(set(found)) == 250
    assert [int(each.rpartition("-")[2], 16) for each in found] == list(range(1000, 1250))


def test_what_is_nested_deep_spoils_no_trace(xray: Any) -> None:
    found = trace_id(69)

    def child(number: int, depth: int = 0) -> str:
        parent: dict[str, Any] = {"type": "subsegment", "parent_id": f"{number - 1:016x}"} if number > 1 else {}
        text = json.dumps(segment(69, number, trace_id=found, metadata="here", **parent))
        return text.replace('"here"', "[" * depth + "]" * depth or "{}")

    (told,) = put(xray, *(child(number) for number in range(1, 99)), child(99, 500), child(100, 700))
    assert told["ErrorCode"] == "ParseError"
    (document,) = whole(xray, found)
    assert document["id"] == f"{1:016x}"


def test_a_number_that_no_float_can_be_spoils_no_summary(xray: Any) -> None:
    assert put(xray, segment(70, annotations={"huge": 10**400, "kept": 1})) == []
    (found,) = summaries(xray, "annotation.kept = 1")
    assert found["Annotations"].keys() == {"kept"}


def test_fifty_annotations_of_a_trace_are_told_and_found(xray: Any) -> None:
    assert put(xray, segment(71, annotations={f"k{number}": number for number in range(2000)})) == []
    (found,) = summaries(xray, "annotation.k49 = 49")
    assert len(found["Annotations"]) == 50
    assert summaries(xray, "annotation.k50 = 50") == []


@pytest.mark.slow
def test_filters_of_a_trace_of_thousands_of_segments_are_quick(xray: Any) -> None:
    found = trace_id(72)
    for batch in range(3):
        fields: dict[str, Any] = {"trace_id": found, "origin": "AWS::Lambda::Function", "annotations": {"many": batch}}
        if batch == 1:
            fields |= {"type": "subsegment", "parent_id": f"{1:016x}"}
        assert put(xray, *(segment(72, 1 + 1000 * batch + each, **fields) for each in range(1000))) == []
    began = time.monotonic()
    for expression in ("service() { annotation.many = 0 }", " ".join(["!service() { fault OR annotation.b }"] * 40)):
        assert found in [each["Id"] for each in summaries(xray, expression)]
    assert time.monotonic() - began < 5


def test_regions_and_accounts_keep_their_own_traces(region: Region, shop: str) -> None:
    elsewhere = region.client("xray", region_name="ap-south-1")
    assert summaries(elsewhere) == []
    assert elsewhere.batch_get_traces(TraceIds=[shop])["Traces"] == []


def test_the_graph_joins_services_by_who_called_whom(xray: Any, shop: str) -> None:
    services = {each["Name"]: each for each in xray.get_trace_graph(TraceIds=[shop])["Services"]}
    assert set(services) == {"web", "back", "DynamoDB"}
    assert services["web"]["Root"] is True
    (edge,) = services["web"]["Edges"]
    assert edge["ReferenceId"] == services["back"]["ReferenceId"]
    assert edge["SummaryStatistics"]["FaultStatistics"]["TotalCount"] == 1
    assert services["DynamoDB"]["SummaryStatistics"]["ErrorStatistics"]["ThrottleCount"] == 1
    now = time.time()
    graph = xray.get_service_graph(StartTime=now - 600, EndTime=now + 1)["Services"]
    assert {"web", "back", "DynamoDB"} <= {each["Name"] for each in graph}


def test_sdks_get_the_default_sampling_rule_and_targets(xray: Any) -> None:
    (record,) = xray.get_sampling_rules()["SamplingRuleRecords"]
    rule = record["SamplingRule"]
    assert (rule["RuleName"], rule["FixedRate"], rule["ReservoirSize"], rule["Priority"]) == (
        "Default",
        0.05,
        1,
        10_000,
    )
    told = {"ClientID": "a" * 24, "Timestamp": time.time(), "RequestCount": 5, "SampledCount": 2, "BorrowCount": 1}
    answer = xray.get_sampling_targets(
        SamplingStatisticsDocuments=[{"RuleName": "Default", **told}, {"RuleName": "mine", **told}]
    )
    assert [each["RuleName"] for each in answer["SamplingTargetDocuments"]] == ["Default"]
    assert [each["RuleName"] for each in answer["UnprocessedStatistics"]] == ["mine"]
    (counted,) = xray.get_sampling_statistic_summaries()["SamplingStatisticSummaries"]
    assert (counted["RequestCount"], counted["SampledCount"], counted["BorrowCount"]) == (5, 2, 1)


def test_settings_are_those_of_a_new_account(xray: Any) -> None:
    assert [group["GroupName"] for group in xray.get_groups()["Groups"]] == ["Default"]
    assert xray.get_group(GroupName="Default")["Group"]["GroupARN"].endswith(":group/Default")
    with pytest.raises(ClientError, match="InvalidRequestException"):
        xray.get_group(GroupName="mine")
    assert xray.get_encryption_config()["EncryptionConfig"] == {"Status": "ACTIVE", "Type": "NONE"}
    assert xray.put_telemetry_records(TelemetryRecords=[{"Timestamp": time.time()}])
    with pytest.raises(ClientError) as refused:
        xray.create_group(GroupName="mine")
    assert refused.value.response["Error"]["Code"] == "NotImplemented"


@pytest.mark.slow
def test_traces_outlive_a_kill_and_not_a_reset(region: Region, xray: Any) -> None:
    document = segment(77)
    put(xray, document)
    region.kill()
    region.start()
    again = region.client("xray")
    assert [each["id"] for each in whole(again, document["trace_id"])] == [document["id"]]
    region.reset()
    assert summaries(again) == []
