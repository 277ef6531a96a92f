"""Log groups over the wire: create, describe, delete, retention, deletion protection, tags."""

from __future__ import annotations

import time
from typing import Any

import pytest
from logs_helpers import NO_GROUP, refusal


def test_created_group_is_described_with_both_forms_of_its_arn(client: Any, name: str) -> None:
    client.create_log_group(logGroupName=name)
    (described,) = client.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{name}"
    assert abs(described.pop("creationTime") / 1000 - time.time()) < 60
    assert described == {
        "logGroupName": name,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "storedBytes": 0,
        "logGroupClass": "STANDARD",
        "deletionProtectionEnabled": False,
    }


def test_group_that_exists_cannot_be_created_again(client: Any, group: str) -> None:
    assert refusal(client.create_log_group, logGroupName=group) == (
        "ResourceAlreadyExistsException",
        "The specified log group already exists",
    )


def test_names_that_aws_keeps_for_itself_are_refused(client: Any) -> None:
    assert refusal(client.create_log_group, logGroupName="aws/mine") == (
        "InvalidParameterException",
        "Log groups starting with AWS/ are reserved for AWS.",
    )


@pytest.mark.parametrize(
    ("option", "value"), [("kmsKeyId", "arn:aws:kms:us-east-1:000000000000:key/1"), ("logGroupClass", "DELIVERY")]
)
def test_options_that_would_do_nothing_are_refused(client: Any, name: str, option: str, value: str) -> None:
    code, message = refusal(client.create_log_group, logGroupName=name, **{option: value})
    assert code == "InvalidParameterException"
    assert option in message
    assert client.describe_log_groups(logGroupNamePrefix=name)["logGroups"] == []


def test_deleted_group_is_gone_and_a_second_delete_says_so(client: Any, group: str) -> None:
    client.delete_log_group(logGroupName=group)
    assert client.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    assert refusal(client.delete_log_group, logGroupName=group) == NO_GROUP


def test_protected_group_is_not_deleted_until_protection_is_off(client: Any, name: str) -> None:
    client.create_log_group(logGroupName=name, deletionProtectionEnabled=True)
    assert refusal(client.delete_log_group, logGroupName=name)[0] == "ValidationException"
    client.put_log_group_deletion_protection(logGroupIdentifier=name, deletionProtectionEnabled=False)
    client.delete_log_group(logGroupName=name)


def test_groups_are_listed_in_order_of_name_by_pages(client: Any, name: str) -> None:
    names = [f"{name}/{number:02d}" for number in range(7)]
    for each in reversed(names):
        client.create_log_group(logGroupName=each)
    pages = client.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix=name, PaginationConfig={"PageSize": 3}
    )
    assert [[found["logGroupName"] for found in page["logGroups"]] for page in pages] == [
        names[:3],
        names[3:6],
        names[6:],
    ]


def test_pattern_finds_groups_by_any_part_of_their_name_and_its_case(client: Any, name: str) -> None:
    client.create_log_group(logGroupName=f"{name}/DataLogs")
    client.create_log_group(logGroupName=f"{name}/datalogs")
    found = client.describe_log_groups(logGroupNamePattern=f"{name.removeprefix('/')}/DataL")["logGroups"]
    assert [each["logGroupName"] for each in found] == [f"{name}/DataLogs"]
    code, _ = refusal(client.describe_log_groups, logGroupNamePattern="a", logGroupNamePrefix="b")
    assert code == "InvalidParameterException"


def test_made_up_token_is_refused(client: Any) -> None:
    for token in ("nonsense!", "////"):
        assert refusal(client.describe_log_groups, nextToken=token) == (
            "InvalidParameterException",
            "The specified nextToken is invalid.",
        )


def test_retention_is_set_shown_and_removed(client: Any, group: str) -> None:
    client.put_retention_policy(logGroupName=group, retentionInDays=14)
    assert client.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"] == 14
    client.delete_retention_policy(logGroupName=group)
    assert "retentionInDays" not in client.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]


def test_retention_takes_only_the_days_that_aws_knows(client: Any, group: str) -> None:
    assert refusal(client.put_retention_policy, logGroupName=group, retentionInDays=2) == (
        "InvalidParameterException",
        "Invalid retention value. Valid values are: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, "
        "1096, 1827, 2192, 2557, 2922, 3288, 3653]",
    )
    assert refusal(client.put_retention_policy, logGroupName="/none", retentionInDays=3) == NO_GROUP


def test_tags_are_kept_by_arn_and_by_name(client: Any, name: str) -> None:
    client.create_log_group(logGroupName=name, tags={"team": "a", "old": "1"})
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{name}"
    client.tag_resource(resourceArn=arn, tags={"team": "b", "new": "2"})
    client.untag_resource(resourceArn=arn, tagKeys=["old", "never there"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "b", "new": "2"}
    client.tag_log_group(logGroupName=name, tags={"third": "3"})
    client.untag_log_group(logGroupName=name, tags=["new"])
    assert client.list_tags_log_group(logGroupName=name)["tags"] == {"team": "b", "third": "3"}


def test_tags_are_refused_beyond_fifty_with_reserved_keys_and_for_others(client: Any, group: str) -> None:
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}"
    client.tag_resource(resourceArn=arn, tags={f"k{number}": "" for number in range(50)})
    assert refusal(client.tag_resource, resourceArn=arn, tags={"one more": ""})[0] == "TooManyTagsException"
    assert refusal(client.tag_resource, resourceArn=arn, tags={"aws:x": ""})[0] == "InvalidParameterException"
    assert refusal(client.list_tags_for_resource, resourceArn=arn + "x") == NO_GROUP
    foreign = arn.replace("000000000000", "111111111111")
    assert refusal(client.list_tags_for_resource, resourceArn=foreign) == NO_GROUP
    assert refusal(client.list_tags_for_resource, resourceArn="no-arn")[0] == "InvalidParameterException"


@pytest.mark.slow
def test_settings_and_events_survive_a_crash(start_region: Any, name: str, now: int) -> None:
    region = start_region()
    client = region.client("logs")
    client.create_log_group(logGroupName=name, tags={"team": "a"})
    client.put_retention_policy(logGroupName=name, retentionInDays=7)
    client.create_log_stream(logGroupName=name, logStreamName="s")
    client.put_log_events(
        logGroupName=name, logStreamName="s", logEvents=[{"timestamp": now, "message": "acknowledged"}]
    )
    region.kill()
    region.start()
    client = region.client("logs")
    (described,) = client.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert (described["retentionInDays"], described["storedBytes"]) == (7, len("acknowledged") + 26)
    assert client.list_tags_log_group(logGroupName=name)["tags"] == {"team": "a"}
    events = client.get_log_events(logGroupName=name, logStreamName="s")["events"]
    assert [event["message"] for event in events] == ["acknowledged"]
