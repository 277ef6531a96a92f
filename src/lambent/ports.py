"""The Protocols and values through which packages meet: the map of every arrow between siblings.

Implementations live elsewhere and are put together in `app.py`; nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from lambent.context import Caller

# ---- functions as the data plane sees them ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FunctionVersion:
    """Everything that running one version of a function needs: a snapshot, replaced (never changed) by an update.

    `services/lambda_` makes it; `invoke` keys its environments by `environment_key`.
    """

    account: str
    region: str
    name: str
    #: `$LATEST` or a number.
    version: str
    #: Unqualified ARN.
    arn: str
    runtime: str
    handler: str
    role: str
    #: Extracted package, mounted at /var/task.
    code_root: Path
    #: Extracted layers in order, merged into /opt.
    layers: tuple[Path, ...] = ()
    #: (ARN of an EFS access point, /mnt/<name>)
    file_systems: tuple[tuple[str, str], ...] = ()
    #: CodeSha256 of the package, base64.
    code_sha256: str = ""
    memory_mb: int = 128
    timeout_s: int = 3
    tmp_mb: int = 512
    environment: Mapping[str, str] = field(default_factory=dict)
    log_group: str = ""
    #: Text or JSON, with the levels of LoggingConfig.
    log_format: str = "Text"
    application_log_level: str | None = None
    system_log_level: str | None = None
    #: Active | PassThrough
    tracing_mode: str = "PassThrough"
    #: x86_64 | arm64: what the package is made for.
    architecture: str = "x86_64"
    #: Changes with every change of code or configuration: an environment made under another key is never used again.
    environment_key: str = ""
    #: ReservedConcurrentExecutions, None without.
    reserved_concurrency: int | None = None
    #: TenancyConfig PER_TENANT: every invocation names a tenant, and no two tenants share an environment.
    per_tenant: bool = False
    #: RecursiveLoop Allow: it may run in loops as long as it likes.
    allows_recursion: bool = False
    #: A published version with SnapStart: its environments are restored from a snapshot of the initialised function.
    snap_start: bool = False
    #: The same whether it has a snapshot or starts as any other: what it registered to run around one runs.
    snapshot_hooks: bool = False
    #: Of a version with SnapStart: Pending | Active | Failed. Nothing but what is Active is invoked.
    state: str = "Active"
    #: Name of what its VpcConfig lets it reach (`none`, `egress` or one of the operator's); "" without: the region's.
    network: str = ""


class FunctionDirectory(Protocol):
    """Functions by name, from memory: no database stands on the invoke path."""

    def find(self, account: str, region: str, name: str, qualifier: str | None) -> FunctionVersion | None:
        """The version that `qualifier` names, or None.

        No qualifier is $LATEST; an alias with weights picks one of its versions by them, anew at each call.
        """


# ---- executions ----------------------------------------------------------------------------------------------------


class Invocation(msgspec.Struct, frozen=True):
    """One execution to be done. `payload` is JSON text already checked for syntax; it is passed on as it is."""

    request_id: str
    payload: bytes
    #: The ARN as invoked, with its qualifier if the caller named one.
    invoked_arn: str
    #: Decoded ClientContext (JSON text) or "".
    client_context: str = ""
    #: X-Amzn-Trace-Id header as received, "" without: the invoker makes one.
    trace_id: str = ""
    #: Return the last 4 KB of the log.
    log_tail: bool = False
    #: X-Amz-Tenant-Id, "" without.
    tenant_id: str = ""
    #: Takes the response piece by piece as the function writes it; None: it is wanted whole.
    stream: ResponseSink | None = None


class ResponseSink(Protocol):
    """Who takes a streamed response. Everything is called on the event loop; nothing awaits or raises."""

    def begin(self, content_type: str) -> None:
        """The function began to respond; called once, before the first piece."""

    def write(self, piece: bytes) -> bool:
        """Take one piece. False: no more until `on_drain`, so that a slow reader holds up the function, not memory."""

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when pieces may come again."""

    def finish(self) -> None:
        """The response is whole, whatever the function still does. Not called where it ended early."""


class InvocationRecord(msgspec.Struct, frozen=True):
    """What happened, once: the REPORT line, metrics, billing and traces all derive from it."""

    function: FunctionVersion
    request_id: str
    #: Seconds since the epoch.
    started_at: float
    duration_ms: float
    billed_ms: int
    #: None on a warm start.
    init_ms: float | None
    memory_mb: int
    max_memory_used_mb: int
    #: success | error (the function said so) | failure (exit, crash) | timeout
    status: str
    #: Such as Runtime.ExitError or Sandbox.Timedout; None on success.
    error_type: str | None
    log_stream: str
    #: The function's ARN as the request named it.
    invoked_arn: str = ""
    tenant_id: str = ""
    #: None where the version has no provisioned concurrency; else whether the environment was a provisioned one
    #: (False: the invocation spilled over).
    provisioned: bool | None = None
    #: X-Amzn-Trace-Id as the function got it.
    trace_id: str = ""
    #: Of `duration_ms`, what passed after the runtime was done, until every extension was (0 without extensions).
    extensions_ms: float = 0.0
    #: Of `duration_ms`, what passed until the first byte of a streamed response; None where it was not streamed.
    first_byte_ms: float | None = None
    #: Of a streamed response.
    streamed_bytes: int = 0
    #: Of the first invocation after a SnapStart restore: what that took, and what of it is billed.
    restore_ms: float | None = None
    billed_restore_ms: int = 0
    #: X-Amzn-Trace-Id as the request bore it.
    received_trace: str = ""


class InvokeResult(msgspec.Struct, frozen=True):
    #: Of a streamed response what it ended with: b"", or the error (JSON) that ended it early.
    payload: bytes
    #: `Unhandled`, or None on success.
    function_error: str | None
    executed_version: str
    #: The last 4 KB of the log if it was asked for.
    log_tail: bytes | None
    record: InvocationRecord
    #: What a runtime that streamed says the payload is, where its caller wanted it whole; else "".
    content_type: str = ""


class Provision(msgspec.Struct, frozen=True):
    """Provisioned concurrency of one version, as far as it is."""

    requested: int = 0
    #: Environments that exist, those that still initialise among them.
    allocated: int = 0
    #: Environments that have initialised, busy or not.
    available: int = 0
    #: Why the last one that was started did not come to be, "" where it did.
    failure: str = ""


class Invoker(Protocol):
    """The one door to function code."""

    async def invoke(self, function: FunctionVersion, invocation: Invocation) -> InvokeResult:
        """Run it to its end.

        A function's own failure is a result; raises an AwsError for what Lambda refuses or fails at itself
        (TooManyRequestsException, RecursiveInvocationException, InvalidRuntimeException, ServiceException).
        """

    def reserve(self, account: str, region: str, name: str, amount: int | None) -> None:
        """ReservedConcurrentExecutions of a function are this many from now on, whether it runs or not."""

    def provision(self, function: FunctionVersion, amount: int) -> None:
        """Keep this many environments of the version ready from now on; 0: no more."""

    def provision_of(self, function: FunctionVersion) -> Provision:
        """How far that is."""

    def forget(self, account: str, region: str, name: str) -> None:
        """The function is gone: so are its reservation and what was provisioned for it."""

    def retire(self, account: str, region: str, name: str, version: str | None = None) -> None:
        """This version (None: every one) changed or is gone: its environments finish what they run and go."""


# ---- SnapStart -----------------------------------------------------------------------------------------------------


class SnapshotOutcome(msgspec.Struct, frozen=True):
    """What became of taking a snapshot of a version's initialised function."""

    #: It is there: environments of the version are restored from it.
    ok: bool
    #: Where it is not:
    #: `Fallback`: the function works, and starts as any other (`reason` says why);
    #: `InitError` | `InitTimeout` | `HookError`: its own code failed, the version cannot run;
    #: `Internal`: the platform failed.
    reason_code: str = ""
    #: A sentence for StateReason, "" where it is there.
    reason: str = ""
    #: What the init took.
    init_ms: float = 0.0
    #: Of the function's own failure: Runtime.ImportModuleError, …
    error_type: str = ""
    #: And its error document (JSON).
    payload: bytes = b""
    #: Where the init logged.
    log_stream: str = ""


class Snapshots(Protocol):
    """Snapshots of published versions with SnapStart (`FunctionVersion.snap_start`)."""

    async def prepare(self, function: FunctionVersion) -> SnapshotOutcome:
        """Initialise the function and keep it to be restored from; what becomes of it, never an error.

        Asked at publish. The snapshot lives in memory: one that is gone (after a restart of the region, or because its
        memory was needed) is made again when the version is next invoked, without anybody asking.
        `Invoker.retire` and `Invoker.forget` end it.
        """


class SnapshotMeter(Protocol):
    """Takes what snapshots cost beside invocations: billing."""

    def initialised(self, function: FunctionVersion, init_ms: float) -> None:
        """Its init ran for a snapshot."""

    def cached(self, function: FunctionVersion, seconds: float) -> None:
        """A snapshot of the version was kept for so long (on AWS: is to be paid for so long)."""


# ---- functions as others call them --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf somebody other than an API caller asks for a function: what its resource policy decides by."""

    #: `apigateway.amazonaws.com`, or `*` where anybody may have asked (a function URL without authorization).
    principal: str
    #: ARN of what calls: `arn:aws:execute-api:<region>:<account>:<api>/<stage>/GET/pets`; "" without.
    source_arn: str = ""
    #: Account of what calls; "" without.
    source_account: str = ""
    #: NONE | AWS_IAM where a function URL asks, else "".
    url_auth_type: str = ""
    #: An authenticated principal (AWS_IAM): its policies decide together with the function's, instead of `principal`.
    caller: Caller | None = None
    #: Condition keys (lower-case) of the request that `caller` made; they have no say in what asker this is.
    circumstances: Mapping[str, Sequence[str]] = field(default_factory=dict, compare=False)


class FunctionCalls(Protocol):
    """How everything but the Lambda API reaches functions: by ARN, as far as their resource policy allows."""

    def resolve(self, arn: str) -> FunctionVersion | None:
        """The version that a function's ARN (qualified or not) names; an alias with weights picks one by them."""

    def allows(self, arn: str, asker: Asker) -> bool:
        """May `asker` invoke the function at `arn`? From memory: no database stands on this path."""

    async def call(
        self,
        arn: str,
        asker: Asker,
        payload: bytes,
        *,
        request_id: str,
        trace_id: str = "",
        tenant_id: str = "",
        stream: ResponseSink | None = None,
    ) -> InvokeResult:
        """Resolve, check and run it to its end; `stream` as in Invocation (see invoke/streams.py).

        Raises ResourceNotFoundException, AccessDeniedException, and what `Invoker.invoke` raises.
        """


# ---- asynchronous invocation ----------------------------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, array_like=True):
    """One asynchronous invocation: to be done, however many attempts it takes. Stored; a new field needs a default."""

    account: str
    region: str
    #: Of the function.
    name: str
    #: As it was invoked, "" without: an alias with weights picks a version at each attempt.
    qualifier: str
    #: The same for all attempts.
    request_id: str
    #: JSON text already checked for syntax.
    payload: bytes
    client_context: str = ""
    trace_id: str = ""
    tenant_id: str = ""


class EventSink(Protocol):
    """Takes events for functions: from Invoke, and from services that push (S3, SNS, EventBridge)."""

    async def accept(self, event: Event) -> None:
        """Returns once it is on disk: from then on it is done at least once or ends in its destination."""

    def forget(self, account: str, region: str, name: str, qualifier: str | None = None) -> None:
        """The function (None), version or alias is gone, and with it the events that wait for it."""


class EventRules(msgspec.Struct, frozen=True, omit_defaults=True):
    """How events of one function, version or alias are treated: an EventInvokeConfig, or AWS's defaults."""

    retries: int = 2
    max_age_s: int = 21_600
    #: ARNs, "" without.
    on_success: str = ""
    on_failure: str = ""


class EventRulesDirectory(Protocol):
    def find(self, account: str, region: str, name: str, qualifier: str) -> EventRules:
        """For functions invoked with `qualifier` ("" without), from memory."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What an event came to, on its way to a destination or a dead-letter queue."""

    #: Where to: an ARN.
    target: str
    #: The function that it is sent for, and whose execution role sends it.
    function: FunctionVersion
    request_id: str
    trace_id: str
    #: The destination record (JSON), or of a dead letter the event itself.
    body: bytes
    #: Whether the event succeeded; what EventBridge tells in its detail-type.
    success: bool = False
    #: Message attributes of a dead letter: RequestID, ErrorCode (a number), ErrorMessage.
    attributes: Mapping[str, str | int] = field(default_factory=dict)


class Destination(Protocol):
    """One kind of target: functions now; queues, topics, buses and buckets once these services are here."""

    def takes(self, arn: str, function: FunctionVersion) -> bool:
        """Whether there is such a target, and the execution role of `function` may send to it. From memory."""

    async def deliver(self, delivery: Delivery) -> None:
        """Returns once it is on disk; raises the AwsError of a target that does not take it."""


class Destinations(Protocol):
    """Every kind, by the service in the target's ARN."""

    def serves(self, service: str) -> bool:
        """Whether deliveries can go to targets of `service` (`sqs`)."""

    def takes(self, arn: str, function: FunctionVersion) -> bool: ...


# ---- function URLs -------------------------------------------------------------------------------------------------


class UrlCors(msgspec.Struct, frozen=True, omit_defaults=True):
    """Cors of a function URL, as given: empty where the member was left out."""

    allow_credentials: bool | None = None
    allow_headers: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class UrlTarget:
    """What stands behind a function URL."""

    #: The first label of its host.
    id: str
    account: str
    region: str
    #: With the alias that the URL was made for; unqualified for $LATEST.
    function_arn: str
    #: NONE | AWS_IAM
    auth_type: str
    #: BUFFERED | RESPONSE_STREAM
    invoke_mode: str
    #: None: the function answers preflights itself, and nothing is added to its answers.
    cors: UrlCors | None = None


class UrlDirectory(Protocol):
    """Function URLs by id, from memory: no database stands on the path of a URL's request."""

    def find(self, url_id: str) -> UrlTarget | None: ...


# ---- logs ----------------------------------------------------------------------------------------------------------


class LogWriter(Protocol):
    """One log stream being written by one environment."""

    def write(self, timestamp_ms: int, message: bytes) -> bool:
        """Append one event; never blocks. False: the store is congested, pause until `on_drain`."""

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, on the event loop, when writing may go on."""

    def close(self) -> None:
        """No more events come."""


class LogSink(Protocol):
    def open_stream(self, account: str, region: str, group: str, stream: str) -> LogWriter:
        """A writer; group and stream appear with the first event. Neither awaits nor raises."""


class LogAccess(Protocol):
    """Whether functions may write their logs."""

    def guarded(
        self, writer: LogWriter, function: FunctionVersion, credentials: Credentials, group: str, stream: str
    ) -> LogWriter:
        """`writer` of an environment with these credentials, dropping whatever its role may not write there.

        Its `write` may be another one after each change of policies: ask for it at each call.
        """


class LogReader(Protocol):
    """Is shown log events as they are stored: what they say may mean something beyond the log."""

    def read_events(self, account: str, region: str, times: Sequence[int], messages: Sequence[bytes]) -> None:
        """Events of one stream. Runs on the event loop for every line that is logged, so it must be quick."""


# ---- traces --------------------------------------------------------------------------------------------------------


class TraceSink(Protocol):
    """Takes what becomes of traces beside invocation records. Nothing waits or raises."""

    def put(self, function: FunctionVersion, document: bytes) -> None:
        """What code in an environment of `function` sent to its X-Ray daemon as a segment: anything, unchecked."""

    def refused(self, function: FunctionVersion, invocation: Invocation) -> None:
        """A request was refused for too many."""

    def tell(self, account: str, region: str, document: bytes) -> None:
        """A segment (JSON) that a service of the region records of itself."""


# ---- metrics and billing -------------------------------------------------------------------------------------------


class RecordSink(Protocol):
    """Takes every invocation record, and every request that was refused for too many: metrics, billing."""

    def record(self, record: InvocationRecord) -> None: ...

    def throttled(self, function: FunctionVersion, invoked_arn: str) -> None: ...


class MetricSink(Protocol):
    """Metrics of AWS/Lambda that no invocation record tells."""

    def count(self, arn: str, metric: str, value: float = 1.0, unit: str = "Count") -> None:
        """One value, now, of the function at `arn` as it was named (with its qualifier if one was)."""


class ConcurrencyPeaks(Protocol):
    """How much ran at once, for the concurrency metrics."""

    def take_peaks(self) -> Iterable[tuple[str, str, Mapping[str, int], int, int]]:
        """Since the last call, for each account and region with executions: the most by function, the most together,
        and the most of functions without a reservation."""


class ProvisionedPeaks(Protocol):
    """The same for provisioned concurrency."""

    def take_provisioned_peaks(self) -> Iterable[tuple[FunctionVersion, int, int]]:
        """Since the last call, for each version with provisioned concurrency: the most that ran under it at once, and
        how much it has."""


# ---- identity ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SigningIdentity:
    """The secret that a signature is checked with, and whose it is."""

    secret_access_key: str
    caller: Caller


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key_id: str
    secret_access_key: str
    session_token: str
    #: Seconds since the epoch.
    expires_at: float


class Identity(Protocol):
    """Access keys by id."""

    def find_key(self, access_key_id: str, session_token: str | None) -> SigningIdentity:
        """Raises the AwsError that AWS gives for an unknown key or a bad or expired token."""


class KeyUseSink(Protocol):
    """Takes each use of a user's access key and of a role."""

    def note(self, used_id: str, service: str, region: str) -> None:
        """Of a request that was signed with the key `used_id` (`AKIA…`), or in a session of the role (`AROA…`).

        Neither waits nor writes.
        """


class CredentialIssuer(Protocol):
    """Temporary credentials of a role, for functions. Writes nothing."""

    def role_credentials(
        self, role_arn: str, session_name: str, duration_s: int, function_arn: str = ""
    ) -> Credentials:
        """`function_arn`: of the function that gets them."""


class Roles(Protocol):
    """Roles by ARN, from memory."""

    def can_be_assumed_by(self, role_arn: str, service: str) -> bool:
        """Is there such a role, and does its trust policy let `service` (lambda.amazonaws.com) assume it?"""


# ---- lifecycle -----------------------------------------------------------------------------------------------------


class Resettable(Protocol):
    """Anything with state that `POST /_lambent/reset` empties."""

    def reset(self) -> Awaitable[None]: ...
