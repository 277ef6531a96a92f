"""What the parameters of a function refer to, looked up before they become settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lambent.context import Context
from lambent.services.lambda_.code.store import CodeStore
from lambent.services.lambda_.domain import FileSystem, LayerUse, Package
from lambent.services.lambda_.file_systems import FileSystems
from lambent.services.lambda_.layers import use
from lambent.services.lambda_.layers.store import LayerStore
from lambent.services.lambda_.subnets import Subnets
from lambent.storage.database import Database


@dataclass(frozen=True, slots=True)
class Referenced:
    """None: the parameter was not given."""

    layers: tuple[LayerUse, ...] | None = None
    file_systems: tuple[FileSystem, ...] | None = None


class References:
    def __init__(
        self,
        database: Database,
        layers: LayerStore,
        code: CodeStore,
        file_systems: FileSystems,
        subnets: Subnets,
    ) -> None:
        self._database = database
        self._layers = layers
        self._code = code
        self._file_systems = file_systems
        self._subnets = subnets

    async def look_up(self, context: Context, params: dict[str, Any]) -> Referenced:
        """Raises AWS's error for what is not there or not allowed.

        A layer version that is deleted before the function is stored stays whole: unused packages go on second sight.
        """
        self._subnets.check((params.get("VpcConfig") or {}).get("SubnetIds") or ())
        arns, file_systems = params.get("Layers"), params.get("FileSystemConfigs")
        layers: tuple[LayerUse, ...] | None = () if arns is not None else None
        if arns:
            layers = await self._database.read(lambda tx: use.resolve(tx, self._layers, context, arns))
        return Referenced(layers, None if file_systems is None else self._file_systems.checked(file_systems))

    async def check_size(self, package: Package, layers: tuple[LayerUse, ...]) -> None:
        """Raises where the package and `layers` are too much together."""
        if layers:
            use.check_size(await self._code.measure(package.sha256), layers)

    def check_size_now(self, package: Package, layers: tuple[LayerUse, ...]) -> None:
        """The same inside a transaction. Blocks."""
        if layers:
            use.check_size(self._code.unzipped_size(package.sha256), layers)
