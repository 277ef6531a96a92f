"""Who asks, where: what every handler of an AWS operation is given beside its parameters."""

from __future__ import annotations

import msgspec


class Session(msgspec.Struct, frozen=True):
    """What temporary credentials were made with, beyond whose they are: it limits and describes their holder."""

    #: RoleSessionName, the name of a federated user, "" for GetSessionToken.
    name: str
    #: JSON texts of policies given for this session alone.
    policies: tuple[str, ...] = ()
    #: ARNs of managed policies given for this session alone.
    policy_arns: tuple[str, ...] = ()
    #: Session tags, inherited ones first; not those of the role or user.
    tags: tuple[tuple[str, str], ...] = ()
    #: Keys of those tags that pass on to sessions which are made by this one.
    transitive: tuple[str, ...] = ()
    #: Seconds since the epoch.
    issued_at: float = 0.0
    source_identity: str = ""
    #: ARN of the identity provider whose user holds it, "" without.
    provider: str = ""
    #: Unique id of the user that let a federated one in: a user who is made anew under its name is somebody else.
    issuer_id: str = ""
    #: ARN of the function that these are the credentials of, "" without.
    function: str = ""
    #: Whether a second factor was shown when it was made.
    mfa: bool = False


class Caller(msgspec.Struct, frozen=True):
    """An authenticated principal."""

    account: str
    #: `arn:aws:iam::000000000000:root`, `arn:aws:sts::…:assumed-role/<role>/<session>` …
    arn: str
    #: What STS GetCallerIdentity calls UserId.
    user_id: str
    access_key_id: str
    #: root | user | role | federated | anonymous. A root may do everything in its account, so nobody is one by default.
    kind: str = "user"
    #: Of the user or role whose policies count, without its path; of a federated user, whoever let it in. "" for root.
    name: str = ""
    #: ARN of that user or role, path and all: `arn:aws:iam::<account>:role/path/name`. What aws:PrincipalArn says.
    principal_arn: str = ""
    #: None for a key that holds until it is deleted.
    session: Session | None = None

    @classmethod
    def root(cls, account: str, access_key_id: str, partition: str = "aws") -> Caller:
        arn = f"arn:{partition}:iam::{account}:root"
        return cls(account, arn, account, access_key_id, kind="root", principal_arn=arn)

    @classmethod
    def anonymous(cls) -> Caller:
        """Of the few operations that nobody signs."""
        return cls("", "", "", "", kind="anonymous")


class Context(msgspec.Struct, frozen=True):
    """One API call. Account and region are columns of every table and come from here alone."""

    account: str
    region: str
    caller: Caller
    request_id: str
    #: scheme://host[:port] that the client used, for URLs in replies.
    base_url: str
    #: The execution environment that the call came from, or None.
    sandbox_id: str | None = None
    #: X-Amzn-Trace-Id as received, "" without.
    trace_id: str = ""
