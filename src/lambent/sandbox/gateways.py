"""Whether a region's functions get a way out, and which of them what: decided once, at its start. Python 3.8 syntax."""

import contextlib
from typing import Any, Dict, Optional

from lambent.sandbox import egress, egress_dns, egress_filter, levels, network, user
from lambent.sandbox.spec import EGRESS, NO_NETWORK, SandboxError, SupervisorOptions

#: Each has a network of 65,536 addresses, of the 64 that carriers' NAT has.
MAX_ACCESSES = 64


def open_gateway(options: SupervisorOptions, ground: levels.Ground, tag: str, loop: Any) -> Optional[egress.Gateway]:
    """The way out of this region's sandboxes, None without; sets what the report of the isolation says of it.

    Raises SandboxError where the operator asked for it and it cannot be had; by default functions then have none.
    """
    if not ground.has_namespaces or options.network == "host":
        ground.network = "host"
        if options.network == EGRESS:
            hint = "Without network namespaces functions share the host's: --network auto or host says so."
            raise SandboxError("network", EGRESS, 0, hint)
        return None
    is_mapped = len(options.accesses) > 1
    if options.network == NO_NETWORK and not is_mapped:
        return None
    if len(options.accesses) > MAX_ACCESSES:
        raise SandboxError("network", f"{len(options.accesses)} accesses", 0, f"At most {MAX_ACCESSES} differ.")
    gateway = egress.Gateway(tag, options.accesses, ground.is_root, loop)
    uid, _ = user.outside_ids(user.SLOTS, ground.is_root, ground.subordinate_ids)
    try:
        gateway.open(uid if ground.may_set_groups else -1, ground.may_set_groups)
    except SandboxError as error:
        if options.network == EGRESS or is_mapped:
            raise
        ground.missing.append((EGRESS, f"Functions reach nothing outside: {error}", ""))
        return None
    ground.network = NO_NETWORK if options.network == NO_NETWORK else EGRESS
    return gateway


def resolv_conf(options: SupervisorOptions, gateway: Optional[egress.Gateway]) -> str:
    """Whom functions ask for names."""
    if gateway is not None:
        return f"nameserver {egress_filter.RESOLVER}\noptions timeout:3 attempts:2\n"
    if options.network == "host":
        with contextlib.suppress(OSError), open(egress_dns.RESOLV_CONF, encoding="utf-8", errors="replace") as file:
            return file.read()
    return network.NO_RESOLVER


def numbers(
    options: SupervisorOptions, ground: levels.Ground, gateway: Optional[egress.Gateway]
) -> Dict[str, Optional[int]]:
    """The access of each name that a launch may give; a name that is missing cannot be had here."""
    if ground.network == "host":
        # Nothing keeps one of these from what the others reach.
        return {"": None, **{access.name: None for access in options.accesses[:1]}}
    found: Dict[str, Optional[int]] = {"": None, NO_NETWORK: None}
    if gateway is not None:
        found.update((access.name, number) for number, access in enumerate(options.accesses))
        found[""] = 0 if ground.network == EGRESS else None
    return found
