"""`config show`."""

from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from ecolyo_worker.cli.session import Session
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.shown import Shown, as_toml, shown

__all__ = ["register"]


def register(app: App) -> None:
    """Add this command."""
    group = App(name="config", help="The settings in force.")
    group.command(show, name="show")
    app.command(group)


def show(*, origin: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Show the settings in force, as a file that could be given back.

    Parameters
    ----------
    origin
        Say behind each where it comes from: a file's line, an environment variable, an option, or
        the default.

    Examples
    --------
    ecolyo-worker config show --origin
    """
    reading = session.read_settings()
    if reading.problems:
        raise ConfigurationError(*reading.problems)
    settings = shown(reading)
    if session.output.as_json:
        for item in settings:
            session.output.document(_document(item))
        return
    for line in as_toml(settings, origins=origin):
        session.output.line(line)


def _document(item: Shown) -> dict[str, object]:
    return {"key": item.key, "value": item.value, "origin": str(item.origin)} | {
        name: value for name, value in msgspec.structs.asdict(item.origin).items() if value
    }
