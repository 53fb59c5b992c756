"""A status on one screen of 80×24, whatever there is in it; `--json` tells all."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ecolyo_worker.cli.output import Output, fitted, megabytes, several
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.store.status import DestinationStatus, Status

__all__ = ["show_status"]

_HEIGHT = 23
"""Lines on a screen of 24, for the last one is the prompt's."""
_MOST_TASKS = 7
_MOST_TARGETS = 3
_REASONS = {
    "pruned": "for their age",
    "withdrawn": "by withdrawals",
    "forgotten": "by `forget`",
    "removed": "by `accounts remove`",
}
_THINGS = {
    "events": ("event", "events"),
    "outbox": ("indicator", "indicators"),
    "accounts": ("account", "accounts"),
    "instances": ("person", "people"),
}


def show_status(output: Output, found: Status, directory: Path) -> None:
    """Print a status."""
    if output.as_json:
        output.document(found)
        return
    for line in _screen(found, directory, output.width):
        output.line(line)


def _screen(found: Status, directory: Path, width: int) -> list[str]:
    """Give the lines. What there is no place for is left out: what matters least, first."""
    fixed = [_cut(line, width) for line in _sums(found, directory)]
    outbox = fitted(_outbox(found), width - 10, lines=2)
    fixed += [f"{name:10}{line}" for name, line in zip(("outbox", ""), outbox, strict=False)]
    fixed += [_cut(line, width) for line in (_sending(found), _targets(found))]
    if any(found.accounts.values()):
        fixed.append(_cut(f"accounts  {_counts(found.accounts)}", width))
    tasks = [_cut(line, width) for line in _tasks(found.tasks)]
    room = _HEIGHT - len(fixed) - len(tasks)  # five lines at least
    advice = _advice(found.advice, width, room)
    more = [_cut(line, width) for line in _more(found, width)]
    return [*fixed, *more[: room - len(advice)], *tasks, *advice]


def _sums(found: Status, directory: Path) -> list[str]:
    sizes = found.sizes
    database = f"{megabytes(sizes.database)}, of it {megabytes(sizes.free)} free"
    return [
        f"state     {directory}",
        f"ecolyo-worker {found.version} · mode {found.mode} · DACC {found.url or 'not set'}",
        f"files     database {database}, log {megabytes(sizes.log)}",
        f"people    {found.instances}",
        f"events    {_counts(found.events)}",
    ]


def _outbox(found: Status) -> str:
    counts = _counts(found.outbox)
    if found.oldest_pending is None:
        return counts
    return counts.replace(" pending", f" pending (oldest since {found.oldest_pending})")


def _sending(found: Status) -> str:
    return (
        f"sending   {several(found.attempts, 'attempt')}, {found.maybe_delivered} maybe delivered"
    )


def _targets(found: Status) -> str:
    """Tell of the target, or of several how many are in each state."""
    if sum(found.destination_states.values()) > 1:
        return f"targets   {_counts(found.destination_states)}"
    return _target(found.destinations[0]) if found.destinations else "targets   none"


def _target(one: DestinationStatus) -> str:
    # The name is what may be long.
    last = one.last_delivered or "never"
    return f"target    {one.state}, last delivery {last}: {one.name}"


def _held(found: Status) -> str:
    """Tell up to which day something is held of the active accounts, those behind first."""
    days = [
        f"{provider} {held.least}"
        if held.least == held.most
        else f"{provider} {held.least} to {held.most}"
        for provider, held in found.held_through.items()
    ]
    return f"held to   {', '.join(days)}"


def _more(found: Status, width: int) -> list[str]:
    """Give what is left out first where there is no room."""
    lines = [_held(found)] if found.held_through else []
    for counts, what in ((found.other_values, "sent as other"), (found.too_large, "too large")):
        if counts:
            lines.append(_by_name(counts, what, width))
    if sum(found.destination_states.values()) > 1:
        lines += [_target(one) for one in found.destinations[:_MOST_TARGETS]]
    if told := "; ".join(_removed(found)):
        lines.append(f"removed   {told}")
    return lines


def _removed(found: Status) -> Iterator[str]:
    """Tell what was deleted, and why."""
    for reason, words in _REASONS.items():
        counts = found.removed_for.get(reason, {})
        things = {
            names: sum(n for what, n in counts.items() if _thing(what) == thing)
            for thing, names in _THINGS.items()
        }
        told = [several(count, *names) for names, count in things.items() if count]
        if told:
            yield f"{', '.join(told)} {words}"


def _thing(what: str) -> str | None:
    """Give of which things it is the number; doubts about a row are no more rows."""
    return None if what == "outbox.maybe_delivered" else what.partition(".")[0]


def _tasks(tasks: Sequence[ActorHealth]) -> list[str]:
    if not tasks:
        return []
    lines = [f"{'task':12} {'state':10} restarts  {'last success':20}  next due"]
    lines += [_task(task) for task in tasks[:_MOST_TASKS]]
    if len(tasks) > _MOST_TASKS:
        lines[_MOST_TASKS:] = [f"  and {len(tasks) - _MOST_TASKS + 1} more"]
    return lines


def _task(task: ActorHealth) -> str:
    state = "hangs" if task.hangs else task.state
    name = _cut(task.name, 10)
    return (
        f"  {name:10} {state:10} {task.restarts:8}  {task.last_success or 'none yet':20}"
        f"  {task.next_due or '–'}"
    )


def _advice(advice: Sequence[str], width: int, most: int) -> list[str]:
    """Give advice in so many lines: each on two at most, and how much there is no place for."""
    lines: list[str] = []
    for number, text in enumerate(advice):
        first, *rest = fitted(text, width - 2, lines=2)
        is_last = number == len(advice) - 1
        if len(lines) + 1 + len(rest) > most - (not is_last):
            return [*lines, f"! and {len(advice) - number} more; --json tells all"]
        lines += [f"! {first}", *(f"  {line}" for line in rest)]
    return lines


def _by_name(counts: dict[str, int], what: str, width: int) -> str:
    """Give a sum, and as many of the first things it is made of as fit on the line."""
    names = [f"{name} {count}" for name, count in counts.items()]
    begin = f"values    {sum(counts.values())} {what}"
    line = f"{begin}: {', '.join(names)}"
    for shown in range(len(names) - 1, -1, -1):
        if len(line) <= width:
            break
        line = f"{begin}: {', '.join([*names[:shown], f'{len(names) - shown} more'])}"
    return line


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none"


def _cut(text: str, width: int) -> str:
    return fitted(text, width)[0]
