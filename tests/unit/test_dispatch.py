"""Operations find the method that bears their name, and no other."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from lambent.context import Caller, Context
from lambent.edge.dispatch import Dispatch
from lambent.errors import NotImplementedOperation

CALLER = Caller("000000000000", "arn:aws:iam::000000000000:root", "000000000000", "AKIA")
CONTEXT = Context("000000000000", "us-east-1", CALLER, "id", "http://localhost:4566")


class Functions:
    async def GetFunction(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"Account": context.account, **params}

    async def helper(self) -> None:
        raise AssertionError("not an operation")

    def NotAsync(self) -> None:
        raise AssertionError("not an operation")


def call(dispatch: Dispatch, service: str, name: str) -> dict[str, Any]:
    return asyncio.run(dispatch(SimpleNamespace(service=service, name=name), CONTEXT, {"FunctionName": "f"}))


def test_an_operation_gets_context_and_parameters() -> None:
    answer = call(Dispatch({"lambda": [Functions()]}), "lambda", "GetFunction")
    assert answer == {"Account": "000000000000", "FunctionName": "f"}


@pytest.mark.parametrize(
    ("service", "name"), [("lambda", "helper"), ("lambda", "NotAsync"), ("lambda", "Other"), ("sts", "GetFunction")]
)
def test_what_is_not_built_says_so_by_name(service, name) -> None:
    with pytest.raises(NotImplementedOperation, match=f"The operation {name} of {service} is not implemented."):
        call(Dispatch({"lambda": [Functions()]}), service, name)


def test_two_objects_cannot_implement_the_same_operation() -> None:
    with pytest.raises(ValueError, match="Two objects implement GetFunction of lambda"):
        Dispatch({"lambda": [Functions(), Functions()]})


def test_what_is_implemented_can_be_listed() -> None:
    assert Dispatch({"lambda": [Functions()]}).implemented() == {("lambda", "GetFunction")}
