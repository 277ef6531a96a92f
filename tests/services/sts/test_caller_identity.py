"""GetCallerIdentity, the first call of most tools."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError


def test_the_root_key_is_the_default_accounts_root(region) -> None:
    answer = region.client("sts").get_caller_identity()
    answer.pop("ResponseMetadata")
    assert answer == {
        "UserId": "000000000000",
        "Account": "000000000000",
        "Arn": "arn:aws:iam::000000000000:root",
    }


def test_an_unknown_key_is_refused_in_the_words_of_the_query_protocol(region) -> None:
    client = region.client("sts", aws_access_key_id="AKIAABCDEFGHIJKLMNOP")
    with pytest.raises(ClientError) as caught:
        client.get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"
    assert caught.value.response["Error"]["Message"] == "The security token included in the request is invalid."
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_wrong_secret_is_refused_in_the_words_of_the_query_protocol(region) -> None:
    client = region.client("sts", aws_secret_access_key="wrong" * 8)
    with pytest.raises(ClientError) as caught:
        client.get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_operation_that_is_not_built_names_itself(region) -> None:
    with pytest.raises(ClientError) as caught:
        region.client("sts").assume_root(
            TargetPrincipal="111122223333", TaskPolicyArn={"arn": "arn:aws:iam::aws:policy/x"}
        )
    assert caught.value.response["Error"]["Code"] == "NotImplemented"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "AssumeRoot of sts" in caught.value.response["Error"]["Message"]
