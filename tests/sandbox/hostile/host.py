"""What lies on the host for a hostile function to find: a canary file, listeners of every kind, a process to signal."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

GREETING = b"reached the host"


class HostTargets:
    def __init__(self) -> None:
        self.canary_name = f"canary-{secrets.token_hex(8)}"
        self.folder = Path(tempfile.mkdtemp(prefix="lambent-targets-"))
        # Anybody may enter: what keeps a function out must be the sandbox, not the mode.
        self.folder.chmod(0o755)
        self.canary = self.folder / self.canary_name
        self.canary.write_text("of the host")
        self.servers: list[socket.socket] = []
        self.sleeper = subprocess.Popen(["sleep", "3600"], stdin=subprocess.DEVNULL)
        self.abstract = f"lambent-{secrets.token_hex(8)}"
        self.tcp = self._listen(socket.AF_INET, ("127.0.0.1", 0))
        # Without IPv6 on the host there is nothing to reach by it.
        self.tcp6 = self._listen(socket.AF_INET6, ("::1", 0)) if _has_ipv6() else None
        self._listen(socket.AF_UNIX, "\0" + self.abstract)
        self._listen(socket.AF_UNIX, str(self.folder / "socket"))
        (self.folder / "socket").chmod(0o777)
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", 0))
        self._serve(self._echo)

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "canary": str(self.canary),
            "canary_name": self.canary_name,
            "host_pid": self.sleeper.pid,
            "tcp_port": self.tcp.getsockname()[1],
            "tcp6_port": self.tcp6.getsockname()[1] if self.tcp6 else 9,
            "udp_port": self.datagrams.getsockname()[1],
            "abstract": f"@{self.abstract}",
            "socket_path": str(self.folder / "socket"),
            "root_file": _entry_of(Path("/root")),
            "home_folder": _entry_of(Path("/home")),
        }

    def close(self) -> None:
        for server in (*self.servers, self.datagrams):
            server.close()
        self.sleeper.kill()
        self.sleeper.wait()
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()

    def _listen(self, family: int, address: Any) -> socket.socket:
        server = socket.socket(family, socket.SOCK_STREAM)
        server.bind(address)
        server.listen()
        self.servers.append(server)

        def greet() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(GREETING)

        self._serve(greet)
        return server

    def _echo(self) -> None:
        while True:
            _, sender = self.datagrams.recvfrom(64)
            self.datagrams.sendto(GREETING, sender)

    def _serve(self, loop: Any) -> None:
        """On a daemon thread, until the socket is closed under it."""

        def run() -> None:
            try:
                loop()
            except OSError:
                return

        threading.Thread(target=run, daemon=True).start()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _entry_of(folder: Path) -> str:
    """Something in the folder that is not on the way to an interpreter, which functions may see."""
    try:
        names = sorted(os.listdir(folder))
    except PermissionError:
        names = []
    return str(folder / next((name for name in names if name not in (".pyenv", ".local")), "nothing-here"))
