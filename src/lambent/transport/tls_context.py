"""How the region speaks TLS, and which names its own certificate is for."""

from __future__ import annotations

import ssl
from pathlib import Path

#: Suffixes of hosts that lead to a region on this machine.
SUFFIXES = ("localhost", "localhost.localstack.cloud")
#: First labels of the hosts of function URLs and APIs.
DOORS = ("lambda-url", "execute-api")


def server_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """`key` None: it stands in the file of the certificate. Raises OSError, of which ssl.SSLError is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client could have us do the work of a handshake as often as it likes.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context


def names_of(host: str, region: str, host_suffix: str) -> list[str]:
    """Every name that a client may know the region by; the first is the certificate's own."""
    suffixes = [*SUFFIXES, *([host_suffix.strip(".").lower()] if host_suffix else [])]
    names: list[str] = []
    for suffix in suffixes:
        names += [suffix, f"*.{suffix}", *(f"*.{door}.{region}.{suffix}" for door in DOORS)]
    names += ["127.0.0.1", "::1", host.lower()]
    return list(dict.fromkeys(name for name in names if name not in ("0.0.0.0", "::")))  # noqa: S104
