"""From the Layers parameter of a function to what it keeps of them, and how large all may be together."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.lambda_.code.archive import UNZIPPED_LIMIT
from lambent.services.lambda_.domain import LayerUse
from lambent.services.lambda_.errors import InvalidParameterValueException
from lambent.services.lambda_.layers.domain import (
    GET_ACTION,
    LayerName,
    LayerVersion,
    not_authorized,
    parse_version_arn,
)
from lambent.services.lambda_.layers.store import LayerStore

MAX_LAYERS = 5


def resolve(tx: Connection, store: LayerStore, context: Context, arns: Sequence[str]) -> tuple[LayerUse, ...]:
    """What `arns` name, in their order. Raises AWS's error for the first that is wrong."""
    if len(arns) > MAX_LAYERS:
        raise InvalidParameterValueException(f"Cannot reference more than {MAX_LAYERS} layers.")
    found: dict[LayerName, LayerVersion] = {}
    for arn in arns:
        layer = _find(tx, store, context, arn)
        if (other := found.get(layer.name)) is not None:
            raise InvalidParameterValueException(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{other.arn} and {layer.arn} are versions of the same layer."
            )
        found[layer.name] = layer
    return tuple(layer.use for layer in found.values())


def _find(tx: Connection, store: LayerStore, context: Context, arn: str) -> LayerVersion:
    place = parse_version_arn(arn)
    if place is None:
        raise _missing(arn)
    name, number = place
    is_own = name.account == context.account
    if is_own and name.region != context.region:
        raise InvalidParameterValueException(
            f"Layers are not in the same region as the function. Layers are expected to be in region {context.region}."
        )
    layer = store.find(tx, name, number) if name.region == context.region else None
    if not is_own and (layer is None or not layer.is_open_to(context.caller)):
        raise not_authorized(context, GET_ACTION, arn)
    if layer is None:
        raise _missing(arn)
    return layer


def _missing(arn: str) -> InvalidParameterValueException:
    return InvalidParameterValueException(f"Layer version {arn} does not exist.")


def check_size(package: int, layers: Sequence[LayerUse]) -> None:
    """`package`: bytes of what lies in the function's own. Raises where all together are too much."""
    whole = package + sum(layer.unzipped for layer in layers)
    if whole > UNZIPPED_LIMIT:
        raise InvalidParameterValueException(
            f"Function code combined with layers exceeds the maximum allowed size of {UNZIPPED_LIMIT} bytes. "
            f"The actual size is {whole} bytes."
        )
