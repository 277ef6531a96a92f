"""What one client may cost: bytes of head and body, seconds of waiting."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Limits:
    #: Request line and headers together; AWS allows 1 MB.
    head_bytes: int = MIB
    #: AWS's limit of the control plane: 50 MB of zip in base64, and a little.
    body_bytes: int = 70_167_211
    #: Bodies up to this are read whoever they are for; of larger ones the application says how much it takes.
    unasked_bytes: int = 6 * MIB
    #: Unfinished bodies of all clients together, those of less than `small_bytes` left out.
    unfinished_bytes: int = 512 * MIB
    small_bytes: int = 64 * 1024
    #: From a request's first byte (or the connection's start) to the end of its head.
    head_seconds: float = 20.0
    #: A body may take this long and one second more per `body_rate` bytes received.
    body_seconds: float = 30.0
    body_rate: int = 64 * 1024
    #: Between requests. Longer than what SDKs keep a pooled connection for, so that they close first.
    idle_seconds: float = 120.0
    #: A client that reads nothing for this long loses its connection.
    write_seconds: float = 60.0
    #: How long the rest of a refused request is read and thrown away, so that its sender sees the answer.
    discard_seconds: float = 20.0
    #: Open connections from inside one sandbox: its function must not use up the server's descriptors.
    sandbox_connections: int = 128
    #: Requests that are being answered may take this long after a stop is asked for.
    drain_seconds: int = 10
