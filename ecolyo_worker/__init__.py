"""Counts the usage events of the Ecolyo app into anonymised indicators and sends them to the DACC.

The public names of the package. Importing it reads no file and starts nothing.
"""

from ecolyo_worker.actors.intake import Receipt
from ecolyo_worker.actors.report import RunReport
from ecolyo_worker.actors.sender import SendReport
from ecolyo_worker.configuration import load
from ecolyo_worker.errors import (
    CommandRefused,
    ConfigurationError,
    EcolyoError,
    IntakeFull,
    IntakeRefused,
    Refusal,
    StateDamaged,
    StateRefused,
    StoreBroken,
    StoreOwned,
    StoreUnavailable,
)
from ecolyo_worker.events import UsageEvent
from ecolyo_worker.settings import Settings
from ecolyo_worker.store.status import Status
from ecolyo_worker.version import __version__
from ecolyo_worker.worker import Worker

__all__ = [
    "CommandRefused",
    "ConfigurationError",
    "EcolyoError",
    "IntakeFull",
    "IntakeRefused",
    "Receipt",
    "Refusal",
    "RunReport",
    "SendReport",
    "Settings",
    "StateDamaged",
    "StateRefused",
    "Status",
    "StoreBroken",
    "StoreOwned",
    "StoreUnavailable",
    "UsageEvent",
    "Worker",
    "__version__",
    "load",
]
