"""IAM JSON policies: read once into compiled statements, then asked who may do what. Pure: no I/O, no clock, no state.

`parse` reads a document, `evaluate` asks one policy, `combine` several of one kind, `authorize` follows AWS's whole
documented flow. A document of unknown form is a MalformedPolicy and so can never allow anything.
"""

from lambent.identity.policy.document import Policy, PolicyKind, parse
from lambent.identity.policy.evaluation import Decision, Reason, Verdict, authorize, combine, evaluate
from lambent.identity.policy.faults import MalformedPolicy
from lambent.identity.policy.question import Effect, Principal, PrincipalKind, Question, Reach
from lambent.identity.policy.statements import Statement

__all__ = [
    "Decision",
    "Effect",
    "MalformedPolicy",
    "Policy",
    "PolicyKind",
    "Principal",
    "PrincipalKind",
    "Question",
    "Reach",
    "Reason",
    "Statement",
    "Verdict",
    "authorize",
    "combine",
    "evaluate",
    "parse",
]
