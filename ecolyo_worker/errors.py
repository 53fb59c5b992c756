"""Every error of the package, and who must act on it.

Each error names its reader: the *operator* who runs the worker, the *caller* who asked for
something, or *us*, who wrote it. `exit_code` is what the command line ends with (see `exits`).
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import msgspec

from ecolyo_worker import exits

__all__ = [
    "ActorFailed",
    "AddressUnavailable",
    "AnswerUnreadable",
    "CommandRefused",
    "ConfigurationError",
    "EcolyoError",
    "EventRefused",
    "FactsRefused",
    "IndicatorRefused",
    "InputRefused",
    "IntakeFull",
    "IntakeRefused",
    "Problem",
    "Refusal",
    "StateDamaged",
    "StateRefused",
    "StoreBroken",
    "StoreOwned",
    "StoreUnavailable",
    "kind_of",
    "quote",
]

# A key of the sender's own may be as long as its line.
_LONGEST_FIELD = 200

Reader = Literal["operator", "caller", "us"]


class Refusal(msgspec.Struct, frozen=True):
    """One refused piece of input: where it stood, which field, and why, for the one who sent it.

    `index` counts from 0 within what was handed over; a file's reader gives the line instead.
    """

    index: int
    field: str
    reason: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with the settings: what it is, and where it stands."""

    message: str
    """The whole in a sentence that begins with the key; the place is not in it."""
    key: str | None = None
    """As `dacc.rate`; None where it is of no key."""
    found: str | None = None
    allowed: str | None = None
    did_you_mean: str | None = None
    rests_on: tuple[str, ...] = ()
    """Other keys that make it a problem: it is none if one of them changes."""
    file: str | None = None
    line: int | None = None
    column: int | None = None
    variable: str | None = None
    """The environment variable that it stands in."""

    @property
    def place(self) -> str:
        """Where it stands: `file:line`, `file:line:column` or `$VARIABLE`; empty for nowhere."""
        if self.variable is not None:
            return f"${self.variable}"
        parts = (self.file, self.line, self.column)
        return ":".join(str(part) for part in parts if part is not None)

    def __str__(self) -> str:
        """Say what it is, and where."""
        if not self.place:
            return self.message
        if self.key is None:
            return f"{self.place}: {self.message}"
        return f"{self.message} (in {self.place})"


class EcolyoError(Exception):
    """The base of all errors of this package."""

    reader: ClassVar[Reader] = "us"
    exit_code: ClassVar[int] = exits.BUG
    advice: ClassVar[str] = "Report it; as the base it catches all the others."
    """What a host does that meets it."""


class ConfigurationError(EcolyoError):
    """The settings cannot be used; the operator changes them. `problems` has one or more."""

    reader = "operator"
    exit_code = exits.CONFIGURATION
    advice = "Show it to the operator, and do not go on: nothing was opened."

    def __init__(self, *found: str | Problem) -> None:
        """Say what is wrong, one by one: each is on a line of its own."""
        self.problems = tuple(
            Problem(message=one) if isinstance(one, str) else one for one in found
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def within(self, place: str) -> "ConfigurationError":
        """Give the same error, of which each problem begins with what it is within."""
        return ConfigurationError(*(f"{place}: {problem}" for problem in self.problems))


class StateRefused(EcolyoError):
    """The state directory does not hold what it should; nothing was written to it."""

    reader = "operator"
    exit_code = exits.CONFIGURATION
    advice = "Show it to the operator, and do not go on; a restart does not mend it."


class StateDamaged(StateRefused):
    """The database's file is damaged: it is left as it is, and nothing more is read or written."""

    advice = (
        "Leave the `async with` block, which raises it too; show it to the operator, who keeps the"
        " file and restores a backup."
    )


class StoreOwned(EcolyoError):
    """Another process owns the state directory."""

    reader = "operator"
    exit_code = exits.OWNED
    advice = "One worker a state directory: start one process that owns it, and let others ask it."


class StoreUnavailable(EcolyoError):
    """The database does not take or give anything now: nothing of the request was done."""

    reader = "operator"
    exit_code = exits.UNAVAILABLE
    advice = "Keep what was handed over and try again later: the worker goes on as soon as it can."


class StoreBroken(StoreUnavailable):
    """The disk failed under the database: whether what was under way is stored is not known.

    Nothing more is read or written until it is opened anew, which looks what is there.
    """

    advice = (
        "Leave the `async with` block, which raises it too, and enter a new worker: it looks what"
        " is there. Hand over again what was under way: what has an `_id` is not stored twice."
    )


class AddressUnavailable(EcolyoError):
    """Nobody can listen at an address now, because another does, or it is not this machine's yet.

    It is worth trying again.
    """

    reader = "operator"
    exit_code = exits.UNAVAILABLE
    advice = "End what listens there, or choose another address in `http.listen`."


class CommandRefused(EcolyoError):
    """What was asked for cannot be done as asked; the caller asks differently."""

    reader = "caller"
    exit_code = exits.USAGE
    advice = "Change the call; the message says how."


class InputRefused(EcolyoError):
    """One field of some input is not what it must be."""

    reader = "caller"
    exit_code = exits.BAD_DATA
    advice = "Mend the field that `field` names; `reason` says what was found, and what is allowed."

    def __init__(self, field: str, reason: str) -> None:
        """`field` is named as the sender wrote it; `reason` says what was found and allowed.

        A field that is very long, or holds what cannot be shown, is quoted.
        """
        if len(field) > _LONGEST_FIELD or not field.isprintable():
            field = quote(field)
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class EventRefused(InputRefused):
    """A usage event is not what it must be; the others that came with it may be taken."""


class FactsRefused(InputRefused):
    """What the host says about an instance is not what it must be."""


class IntakeRefused(EcolyoError):
    """None of the events handed over was taken; `refusals` says why, one by one."""

    reader = "caller"
    exit_code = exits.BAD_DATA
    advice = "Look through `refusals`: index, field and reason of each. Mend them, or log and drop."

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        """`refusals` is not empty."""
        first = refusals[0]
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        super().__init__(f"{first.field}: {first.reason}{more}" if first.field else first.reason)
        self.refusals = tuple(refusals)


class IntakeFull(EcolyoError):
    """More is waiting to be stored than `intake.max_waiting` allows; try again later."""

    reader = "caller"
    exit_code = exits.TRY_AGAIN
    advice = "Wait a second and hand the same over again: nothing of it was taken."


class ActorFailed(EcolyoError):
    """A part of the worker crashed again and again, or ended: whoever runs it starts it anew."""

    advice = "Leave the `async with` block and enter a new worker, after a while; report the cause."


class AnswerUnreadable(EcolyoError):
    """What Enedis or GRDF answered has not the agreed shape: it is asked for again later.

    Its text never holds the number of a meter, a token or a whole value of the answer.
    """

    reader = "operator"
    exit_code = exits.UNAVAILABLE
    advice = "Wait for the next time; if it stays so, report it with the provider's name."


class IndicatorRefused(EcolyoError):
    """An indicator is not what the definitions allow, so it may not leave."""

    advice = "Report it: measures make what the definitions allow."


def quote(text: str) -> str:
    """Quote text for an error, cut to 60 characters."""
    return repr(text if len(text) <= 60 else text[:59] + "…")


def kind_of(value: object) -> str:
    """Name a value's JSON type, with the value where it is short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a huge number" if abs(value) >= 1e20 else f"the number {value}"
    if isinstance(value, str):
        return f"the text {quote(value)}"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a {type(value).__name__}"
