"""Subnets of functions as this machine has them: each stands for what the operator lets it reach (`[vpc.subnets]`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lambent.services.lambda_.domain import Vpc
from lambent.services.lambda_.errors import InvalidParameterValueException

#: In the table: every subnet that it does not name.
ANY = "*"


class Subnets:
    def __init__(self, networks: Mapping[str, str] | None = None) -> None:
        """`networks`: the name of what is reached from it, by id of a subnet."""
        self._networks = networks or {}

    def check(self, subnets: Sequence[str]) -> None:
        """Raises for subnets that stand for nothing here, or for different things: a function has one network."""
        found = {}
        for subnet in subnets:
            network = self._networks.get(subnet, self._networks.get(ANY))
            if network is None:
                raise InvalidParameterValueException(
                    "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. "
                    f"EC2 Error Message: The subnet ID '{subnet}' does not exist. "
                    "The region's operator names subnets in the table [vpc.subnets] of its configuration file."
                )
            found[network] = subnet
        if len(found) > 1:
            raise InvalidParameterValueException(
                f"The subnets {' and '.join(found.values())} lead to different networks here, and a function has one."
            )

    def network(self, vpc: Vpc | None) -> str:
        """The name of what is reached, "" without a VPC; that of no network once its subnet stands for nothing."""
        if vpc is None or not vpc.is_one:
            return ""
        return self._networks.get(vpc.subnets[0], self._networks.get(ANY, f"of {vpc.subnets[0]}"))
