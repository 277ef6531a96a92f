"""EFS access points as this machine has them: each ARN stands for a folder that the operator named (`[efs]`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lambent.services.lambda_.domain import FileSystem
from lambent.services.lambda_.errors import InvalidParameterValueException, UnsupportedHere


class FileSystems:
    def __init__(self, arns: Sequence[str] = (), withheld: str = "") -> None:
        """`withheld`: why none can be mounted here, "" where they can."""
        self._arns = frozenset(arns)
        self._withheld = withheld

    def checked(self, configs: Sequence[Mapping[str, Any]]) -> tuple[FileSystem, ...]:
        """What `configs` (FileSystemConfigs) name; raises for what cannot be mounted."""
        for config in configs:
            if self._withheld:
                raise UnsupportedHere("FileSystemConfigs", self._withheld)
            if config.get("S3FilesConfig"):
                raise UnsupportedHere("S3FilesConfig", "there are no S3 file systems here.")
            if config["Arn"] not in self._arns:
                raise InvalidParameterValueException(
                    f"The access point {config['Arn']} does not exist. "
                    "The region's operator names access points in the table [efs] of its configuration file."
                )
            if config["LocalMountPath"] in ("/mnt/.", "/mnt/.."):
                raise InvalidParameterValueException(f"The mount path {config['LocalMountPath']} names no folder.")
        return tuple(FileSystem(config["Arn"], config["LocalMountPath"]) for config in configs)
