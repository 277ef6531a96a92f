"""The extensions beside one runtime process: serves their API, watches their processes and shuts them down."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable
from typing import Protocol

from lambent.clock import Clock
from lambent.invoke.extensions import Extension, ExtensionEvents, Extensions, Phase, shutdown_event
from lambent.invoke.extensions_api import PATH, ExtensionsApi
from lambent.invoke.faults import process_words
from lambent.invoke.host import Sandbox
from lambent.invoke.http import SandboxApi
from lambent.ports import FunctionVersion
from lambent.sandbox.spec import ExitStatus

#: Of the shutdown phase, what the runtime has to end in after SIGTERM; its extensions have the rest.
_RUNTIME_SHARE = 0.3
#: What a program exits with that could not be executed, and why: AWS's type and the system's words.
_LAUNCH_FAULTS = {
    126: ("PermissionDenied", "permission denied"),
    127: ("UnknownError", "no such file or directory"),
}


class HostEvents(ExtensionEvents, Protocol):
    def extension_failed(self, error_type: str, words: str) -> None:
        """One ended, or could not be started."""

    def runtime_bug(self, error: Exception) -> None: ...


class ExtensionHost:
    """Made anew for each runtime process."""

    def __init__(
        self, sandbox: Sandbox, api: SandboxApi, function: FunctionVersion, names: tuple[str, ...], events: HostEvents
    ) -> None:
        self._sandbox = sandbox
        self._events = events
        self.extensions = Extensions(names, events)
        #: Those that were started, in the order of the sandbox's.
        self._started = list(self.extensions)
        self._is_watching = True
        api.mount(PATH, ExtensionsApi(self.extensions, function))
        for extension, exited in zip(self._started, sandbox.extensions_exited, strict=True):
            exited.add_done_callback(self._watcher(extension))

    def __repr__(self) -> str:
        return f"<ExtensionHost {self.extensions!r}>"

    def retire(self) -> None:
        """What they do from now on concerns the environment no more; none may join."""
        self._is_watching = False
        self.extensions.close_registration()

    async def shut_down(self, clock: Clock, reason: str, *, runtime_runs: bool) -> None:
        """SIGTERM for the runtime, SHUTDOWN for those who asked for it, and time to end; what is left is to be killed.

        `reason`: spindown, timeout or failure.
        """
        loop = asyncio.get_running_loop()
        sandbox = self._sandbox
        budget_s = self.extensions.shutdown_s
        ends_at = loop.time() + budget_s
        event = shutdown_event(int((clock.now() + budget_s) * 1000), reason)
        sandbox.thaw()
        if runtime_runs and not sandbox.exited.done():
            sandbox.terminate(kill=False)
            await asyncio.wait([sandbox.exited], timeout=budget_s * _RUNTIME_SHARE)
            sandbox.terminate(kill=True)
        told = self.extensions.shut_down(event)
        ends = [end for each, end in zip(self._started, sandbox.extensions_exited, strict=False) if each in told]
        if ends:
            await asyncio.wait(ends, timeout=max(0.0, ends_at - loop.time()))

    def _watcher(self, extension: Extension) -> Callable[[Future[ExitStatus]], None]:
        def on_exit(future: Future[ExitStatus]) -> None:
            extension.has_ended = True
            if not self._is_watching or future.cancelled():
                return
            try:
                self._on_exit(extension, future.result())
            except Exception as error:  # our own bug must end this environment, not hang its client
                self._events.runtime_bug(error)

        return on_exit

    def _on_exit(self, extension: Extension, status: ExitStatus) -> None:
        if status.error:
            # It died on the way to its first instruction: nothing that it did.
            raise RuntimeError(status.error)
        if extension.phase is Phase.STARTED and status.code in _LAUNCH_FAULTS:
            extension.error_type, words = _LAUNCH_FAULTS[status.code]
            extension.phase = Phase.LAUNCH_ERROR
            self._events.extension_failed("Extension.LaunchError", f"fork/exec {path_of(extension.name)}: {words}")
            return
        kind = self.extensions.first_error or "Extension.Crash"
        self._events.extension_failed(kind, process_words(status) or "exit code 0")


def path_of(name: str) -> str:
    return f"/opt/extensions/{name}"
