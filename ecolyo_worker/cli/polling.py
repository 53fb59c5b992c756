"""`poll`: fetches what is missing, with a bar over the windows."""

from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from ecolyo_worker import exits
from ecolyo_worker import requests as ask
from ecolyo_worker.cli.interrupting import telling
from ecolyo_worker.cli.options import Account, Day
from ecolyo_worker.cli.output import Output, several
from ecolyo_worker.cli.session import Session

__all__ = ["register"]

_SERIES = {
    "daily": "days",
    "curve": "half-hours",
    "gas_days": "gas days",
    "gas_periods": "published months",
}
_ENDS = {
    "done": "all is there that there is",
    "partial": "all is there but what is not given",
    "refused": "nothing is given",
    "failed": "a part could not be fetched",
    "later": "not now",
    "waiting": "it is not fetched yet",
    "consent": "it needs a consent",
    "suspended": "it is suspended",
    "gone": "it is not fetched any more",
    "settings": "the settings must be put right",
}
_ANSWERED = {"ok", "empty"}
_WRONG = {"refused", "consent", "suspended"}
# Nothing is wrong with these; but whoever names one of them asked for what cannot be done.
_NOT_FETCHED = {"waiting", "gone"}
# What its own lines say.
_TOLD = (
    "a series of readings is given up",
    "an energy account needs a consent",
    "no token for energy data",
    "readings are not given",
)


def register(app: App) -> None:
    """Add this command."""
    app.command(poll)


async def poll(
    provider: Literal["enedis", "grdf", "all"] = "all",
    /,
    *,
    account: Account = None,
    from_: Annotated[Day, Parameter(name="--from")] = None,
    to: Day = None,
    force: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Fetch what is missing, now. Broken off by Ctrl-C, the next one goes on where it was.

    Parameters
    ----------
    provider
        Of which provider: enedis, grdf, or all.
    account
        Only this account's, by its number, as `accounts list` tells it.
    from_
        The first day, as YYYY-MM-DD; default: as far back as the settings say.
    to
        The last day; default: yesterday.
    force
        Also what is there already, days that wait to be asked for again, and series that were given
        up. A quota or a pause of the provider counts all the same.

    Returns
    -------
    1
        An account needs another consent, is suspended, or is given nothing: the line says why. One
        that waits for its first consent counts only where --account names it.
    75
        A part could not be fetched now; it is tried again by itself, too.
    78
        The settings, or a file that they name, do not let anything be fetched.

    Examples
    --------
    ecolyo-worker poll enedis --account 3 --from 2026-01-01
    """
    request = ask.Poll(provider, account, from_, to, force)
    ends: set[str] = set()
    stored = _Stored()
    with telling(stored.words), _progress(session.output) as progress:
        bars = _Bars(progress)
        async with session.commands(_TOLD) as commands:
            async for step in commands.poll(request):
                if step.window is not None:
                    stored.add(step.window)
                    bars.show(step.window)
                if session.output.as_json:
                    session.output.document(step.window or step.account)
                elif step.account is not None:
                    _show(session.output, step.account)
                if step.account is not None:
                    ends.add(step.account.outcome)
    if not ends:
        session.output.talk("there is no account to fetch for")
    return _code(ends, is_chosen=account is not None)


def _code(ends: set[str], *, is_chosen: bool) -> int:
    """Give the exit code of how the visits ended: what somebody must do goes first."""
    if "settings" in ends:
        return exits.CONFIGURATION
    if ends & _WRONG or (is_chosen and ends & _NOT_FETCHED):
        return exits.CHECK_FAILED
    return exits.TRY_AGAIN if ends & {"failed", "later"} else exits.OK


def _show(output: Output, found: ask.PolledAccount) -> None:
    words = f"account {found.account} ({found.provider}): {_ENDS[found.outcome]}"
    if found.windows:
        words += (
            f"; {several(found.windows, 'window')}, {several(found.new, 'new value')},"
            f" {found.replaced} replaced"
        )
    if found.until is not None:
        words += f"; asked again from {found.until} on"
    output.paragraph(words)
    if found.reason is not None:
        output.paragraph(found.reason, indent=2)
    if found.next is not None:
        output.line(f"  next: ecolyo-worker {found.next}")


class _Stored:
    """What was stored until now."""

    def __init__(self) -> None:
        self._windows = self._new = 0

    def add(self, found: ask.PolledWindow) -> None:
        self._windows += found.outcome in _ANSWERED
        self._new += found.new

    def words(self) -> str:
        """Say what it is, and how to go on."""
        stored = f"{several(self._windows, 'window')} with {several(self._new, 'new value')}"
        return f"{stored} stored; the next `ecolyo-worker poll` goes on where it was"


class _Bars:
    """A bar for each series of an account, which shows how far it is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[tuple[int, str], TaskID] = {}

    def show(self, found: ask.PolledWindow) -> None:
        key = (found.account, found.series)
        if key not in self._tasks:
            words = f"account {found.account}: {_SERIES[found.series]}"
            self._tasks[key] = self._progress.add_task(words, total=found.total, day=found.begin)
        self._progress.update(
            self._tasks[key], completed=found.done, total=found.total, day=found.begin
        )


def _progress(output: Output) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("back to {task.fields[day]}"),
        console=output.console,
        transient=True,
        disable=not output.console.is_terminal,
    )
