"""A function URL as a value: its id, its settings, its address as clients reach it. No I/O."""

from __future__ import annotations

import dataclasses
import re
import secrets
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from lambent.arn import function_arn
from lambent.ports import UrlCors, UrlTarget
from lambent.services.lambda_.errors import InvalidParameterValueException
from lambent.services.lambda_.names import LATEST

ID_LENGTH = 32
#: A tag on the function that gives its URL's id, as LocalStack has it.
CUSTOM_ID_TAG = "_custom_id_"
#: Suffixes of hosts that lead to this machine without anybody's doing, the likelier ones first.
_LOCAL_SUFFIXES = ("localhost.localstack.cloud", "localhost")

_ID_CHARACTERS = string.ascii_lowercase + string.digits
_CUSTOM_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

_CORS_LISTS = {
    "AllowHeaders": "allow_headers",
    "AllowMethods": "allow_methods",
    "AllowOrigins": "allow_origins",
    "ExposeHeaders": "expose_headers",
}


class UrlSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What UpdateFunctionUrlConfig may change; stored as JSON. A new field needs a default."""

    auth_type: str
    invoke_mode: str = "BUFFERED"
    cors: UrlCors | None = None


@dataclass(frozen=True, slots=True)
class FunctionUrl:
    account: str
    region: str
    function: str
    #: An alias, or $LATEST.
    qualifier: str
    id: str
    settings: UrlSettings
    #: Nanoseconds since the epoch, as precise as AWS tells them.
    created_ns: int
    modified_ns: int

    @property
    def key(self) -> tuple[str, str, str]:
        """Of the function."""
        return self.account, self.region, self.function

    @property
    def function_arn(self) -> str:
        alias = None if self.qualifier == LATEST else self.qualifier
        return function_arn(self.region, self.account, self.function, alias)

    @property
    def target(self) -> UrlTarget:
        settings = self.settings
        return UrlTarget(
            id=self.id,
            account=self.account,
            region=self.region,
            function_arn=self.function_arn,
            auth_type=settings.auth_type,
            invoke_mode=settings.invoke_mode,
            cors=settings.cors,
        )

    def updated(self, params: Mapping[str, Any], now: float) -> FunctionUrl:
        return dataclasses.replace(
            self, settings=updated_settings(self.settings, params), modified_ns=int(now * 1_000_000_000)
        )

    def described(self, address: str) -> dict[str, Any]:
        """As GetFunctionUrlConfig shows it, reached at `address`."""
        described: dict[str, Any] = {
            "FunctionUrl": address,
            "FunctionArn": self.function_arn,
            "AuthType": self.settings.auth_type,
            "CreationTime": _time(self.created_ns),
            "LastModifiedTime": _time(self.modified_ns),
            "InvokeMode": self.settings.invoke_mode,
        }
        if self.settings.cors is not None:
            described["Cors"] = _described_cors(self.settings.cors)
        return described


def created_settings(params: Mapping[str, Any]) -> UrlSettings:
    return updated_settings(UrlSettings(auth_type=params["AuthType"]), params)


def updated_settings(current: UrlSettings, params: Mapping[str, Any]) -> UrlSettings:
    """Given Cors replace all that were there; empty ones leave none."""
    return UrlSettings(
        auth_type=params.get("AuthType") or current.auth_type,
        invoke_mode=params.get("InvokeMode") or current.invoke_mode,
        cors=current.cors if params.get("Cors") is None else _cors(params["Cors"]),
    )


def url_id(tags: Mapping[str, str], qualifier: str) -> str:
    """The one that the function's tag asks for, else a random one. The tag means the URL without a qualifier."""
    wanted = tags.get(CUSTOM_ID_TAG) if qualifier == LATEST else None
    if wanted is None:
        return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(ID_LENGTH))
    if not _CUSTOM_ID.fullmatch(wanted):
        raise InvalidParameterValueException(
            f"The tag {CUSTOM_ID_TAG} must be lower-case letters, digits and hyphens, as in a host name: {wanted}"
        )
    return wanted


def address(url: FunctionUrl, base_url: str, host_suffix: str) -> str:
    """Where a client finds `url` who reached the region at `base_url`; `host_suffix` is the operator's, or ""."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    suffix = host_suffix.strip(".") or next(
        (known for known in _LOCAL_SUFFIXES if host == known or host.endswith(f".{known}")), "localhost"
    )
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{url.id}.lambda-url.{url.region}.{suffix}{port}/"


def _cors(given: Mapping[str, Any]) -> UrlCors | None:
    cors = UrlCors(
        allow_credentials=given.get("AllowCredentials"),
        max_age=given.get("MaxAge"),
        **{ours: tuple(given.get(theirs) or ()) for theirs, ours in _CORS_LISTS.items()},
    )
    return None if cors == UrlCors() else cors


def _described_cors(cors: UrlCors) -> dict[str, Any]:
    described: dict[str, Any] = {
        theirs: list(getattr(cors, ours)) for theirs, ours in _CORS_LISTS.items() if getattr(cors, ours)
    }
    if cors.allow_credentials is not None:
        described["AllowCredentials"] = cors.allow_credentials
    if cors.max_age is not None:
        described["MaxAge"] = cors.max_age
    return described


def _time(nanoseconds: int) -> str:
    """`2026-08-25T04:24:42.237129342Z`: other times of Lambda's have another form."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09}Z"
