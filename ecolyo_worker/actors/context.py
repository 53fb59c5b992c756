"""What all actors of one worker share."""

import random
import re

from msgspec import Struct

from ecolyo_worker.clock import Clock, civil_from_instant, utc_ms
from ecolyo_worker.log import Logger
from ecolyo_worker.measures import Rules
from ecolyo_worker.settings import INSTANCE, Settings
from ecolyo_worker.store.accounts import Moment
from ecolyo_worker.store.database import Database

__all__ = ["Context"]


class Context(Struct, frozen=True, kw_only=True):
    """The state they work on, the rules they go by, and what they ask for time and chance."""

    database: Database
    settings: Settings
    rules: Rules
    clock: Clock
    random: random.Random
    hmac_key: bytes
    logger: Logger

    def logger_about(self, instance: str | None) -> Logger:
        """Give the logger for lines about one person, whom they name if `log.instances` is set."""
        if instance is None or not self.settings.log.instances:
            return self.logger
        return self.logger.bind(instance=instance)

    def for_log(self, text: str, instance: str | None) -> str:
        """Give what was said about a person as it may be logged: without her name, or with it."""
        if instance is None or self.settings.log.instances:
            return text
        return re.sub(re.escape(instance), INSTANCE, text, flags=re.IGNORECASE)

    def moment(self) -> Moment:
        """Give this moment, as an instant and in civil time."""
        now = self.clock.now()
        return Moment(utc_ms(now), civil_from_instant(now, self.settings.civil_zone))
