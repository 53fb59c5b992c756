"""`chart`: what a home consumed, as bars in the terminal."""

from typing import Annotated

from cyclopts import App, Parameter

from ecolyo_worker import requests as ask
from ecolyo_worker.cli.options import Account, Day, Instance
from ecolyo_worker.cli.output import Output
from ecolyo_worker.cli.session import Session

__all__ = ["register"]

# Eighths of a cell, so that a short bar still says how short it is.
_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"
_GAP = "·"


def register(app: App) -> None:
    """Add this command."""
    app.command(chart)


async def chart(
    *,
    step: ask.ConsumptionStep = "day",
    instance: Instance = None,
    fluid: ask.Fluid | None = None,
    account: Account = None,
    from_: Annotated[Day, Parameter(name="--from")] = None,
    to: Day = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Draw what a home consumed, a bar for each interval; what is not known is a gap.

    Parameters
    ----------
    step
        How long the intervals are.
    instance
        Whose; where there is but one home, it need not be named.
    fluid
        Which fluid; where a home has but one, it need not be named.
    account
        Of which energy account the home and the fluid are, instead of --instance and --fluid.
    from_
        The first day, as YYYY-MM-DD; default: as many as fit before the last one.
    to
        The last day; default: the last one that is known.
    """
    async with session.reading() as commands:
        found = await commands.consumption_chart(
            ask.ConsumptionChart(step, instance, fluid, from_, to, account)
        )
    if session.output.as_json:
        for bar in found.bars:
            session.output.document(bar)
    else:
        _draw(session.output, found)


def _draw(output: Output, chart: ask.Chart) -> None:
    output.line(f"{chart.instance}: {chart.fluid}, by {chart.step}, in {chart.unit}")
    labels = [_label(bar.start) for bar in chart.bars]
    values = ["" if bar.value is None else f"{bar.value:.3f}" for bar in chart.bars]
    most = max((bar.value or 0 for bar in chart.bars), default=0)
    label_width, value_width = (max(map(len, texts), default=0) for texts in (labels, values))
    room = max(output.width - label_width - value_width - len("    partial"), 8)
    for label, value, bar in zip(labels, values, chart.bars, strict=True):
        drawn = _GAP if bar.value is None else _bar(bar.value / most * room if most else 0)
        note = "  partial" if bar.partial else ""
        output.line(f"{label:{label_width}}  {value:>{value_width}} {drawn}{note}".rstrip())
    gaps = sum(bar.value is None for bar in chart.bars)
    if gaps:
        output.line(f"{_GAP} nothing is known of {gaps} of {len(chart.bars)} intervals")


def _bar(cells: float) -> str:
    """Draw a bar so many cells long, to an eighth of one."""
    eighths = round(cells * 8)
    return (_FULL * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def _label(start: str) -> str:
    """Give where an interval begins as a person reads it; an instant keeps its offset."""
    return start if len(start) <= 10 else f"{start[:10]} {start[11:16]}{start[19:]}"
