"""The life of one environment: its states, what may happen in each, and where that leads. Anything else is an error.

    STARTING ─▶ INIT ─▶ READY ◀─▶ BUSY          READY ─▶ FROZEN ─▶ BUSY ─▶ FINISHING ─▶ READY
                  │        │        │
                  └────────┴────────┴─▶ STOPPED ─▶ RESETTING ─▶ REINIT ─▶ BUSY

FINISHING is for environments with extensions: the client has its answer, and extensions still work on the invocation.
STOPPED keeps the sandbox with its /tmp but has no usable runtime: the next invocation starts one and pays for its
init ("suppressed init"). Every state can be destroyed.
"""

from __future__ import annotations

import enum


class State(enum.IntEnum):
    #: The sandbox is being made.
    STARTING = 0
    #: The runtime initialises, outside any invocation.
    INIT = 1
    #: Idle.
    READY = 2
    #: Runs an invocation.
    BUSY = 3
    #: Idle, its processes frozen.
    FROZEN = 4
    #: Idle, without a runtime.
    STOPPED = 5
    #: A new runtime process is being started for an invocation.
    RESETTING = 6
    #: The runtime initialises within an invocation.
    REINIT = 7
    DEAD = 8
    #: The runtime is done with the invocation and its client is answered; an extension is not done yet.
    FINISHING = 9


class Event(enum.IntEnum):
    LAUNCHED = 0
    INITIALISED = 1
    INVOKED = 2
    #: The invocation ended; runtime and extensions can take another.
    ANSWERED = 3
    #: The runtime exited, overran its time or broke the protocol.
    FAILED = 4
    FREEZE = 5
    RESTARTED = 6
    DESTROYED = 7
    #: The runtime is done with the invocation, and not every extension is.
    RESPONDED = 8


class IllegalTransition(RuntimeError):
    """An environment was told something that its state does not allow: a bug of ours."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"An environment that is {state.name} cannot take {event.name}.")


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.STARTING, Event.LAUNCHED): State.INIT,
    (State.INIT, Event.INITIALISED): State.READY,
    (State.INIT, Event.FAILED): State.STOPPED,
    (State.READY, Event.INVOKED): State.BUSY,
    (State.READY, Event.FREEZE): State.FROZEN,
    (State.READY, Event.FAILED): State.STOPPED,
    (State.FROZEN, Event.INVOKED): State.BUSY,
    (State.FROZEN, Event.FAILED): State.STOPPED,
    (State.BUSY, Event.ANSWERED): State.READY,
    (State.BUSY, Event.FAILED): State.STOPPED,
    (State.BUSY, Event.RESPONDED): State.FINISHING,
    (State.FINISHING, Event.ANSWERED): State.READY,
    (State.FINISHING, Event.FAILED): State.STOPPED,
    (State.STOPPED, Event.INVOKED): State.RESETTING,
    (State.RESETTING, Event.RESTARTED): State.REINIT,
    (State.REINIT, Event.INITIALISED): State.BUSY,
    (State.REINIT, Event.FAILED): State.STOPPED,
    **{(state, Event.DESTROYED): State.DEAD for state in State},
}


def advance(state: State, event: Event) -> State:
    """The state after `event`; raises IllegalTransition."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None


INITIALISING = (State.INIT, State.REINIT)
#: Its processes have something to do, and may fail at it.
AT_WORK = (State.INIT, State.BUSY, State.FINISHING, State.REINIT)

# What every invocation touches, as plain names: until Python 3.12 an enum's attribute costs ten times as much.
READY, BUSY, FROZEN, STOPPED = State.READY, State.BUSY, State.FROZEN, State.STOPPED
FINISHING = State.FINISHING
INVOKED, ANSWERED = Event.INVOKED, Event.ANSWERED
