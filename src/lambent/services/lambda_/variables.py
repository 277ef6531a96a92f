"""Rules for a function's environment variables: reserved names, and 4 KB for all of them together."""

from __future__ import annotations

import json
from collections.abc import Mapping

from lambent.services.lambda_.errors import InvalidParameterValueException

LIMIT_BYTES = 4096

#: Set by Lambda itself; https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_METADATA_API",
        "AWS_LAMBDA_METADATA_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)

_UNABLE = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided"
)


def checked(variables: Mapping[str, str]) -> dict[str, str]:
    """`variables` as they are; raises what AWS does for those it refuses."""
    reserved = [name for name in variables if name in RESERVED]
    if reserved:
        raise InvalidParameterValueException(
            f"{_UNABLE} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    # Surrogates cannot be encoded and would fail here with a traceback instead of an answer.
    if len(measured.encode(errors="replace")) > LIMIT_BYTES:
        raise InvalidParameterValueException(f"{_UNABLE} exceeded the 4KB limit. String measured: {measured}")
    if any("\0" in value for value in variables.values()):
        raise InvalidParameterValueException(f"{_UNABLE} contain a NUL character, which no environment can hold.")
    return dict(variables)
