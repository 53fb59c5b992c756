"""How the readings of a series are asked for: the address and the parameters of each generation."""

from ecolyo_worker.clock import day_text
from ecolyo_worker.energy.windows import PolledSeries
from ecolyo_worker.remote.energy import Ask
from ecolyo_worker.secret import Secret
from ecolyo_worker.settings import Settings

__all__ = ["ask_for", "depth_of"]

_OLD = ("usage_point_id", "start", "end")
_NEW = ("pointId", "dateDebut", "dateFin")


def ask_for(
    settings: Settings, series: PolledSeries, meter: str, days: range, bearer: Secret
) -> Ask:
    """Make the request for some civil days of a meter, the last of which is asked for too."""
    first, stop = day_text(days.start), day_text(days.stop)
    if series in {"gas_days", "gas_periods"}:
        grdf = settings.grdf
        url = grdf.daily_url(meter) if series == "gas_days" else grdf.published_url(meter)
        return Ask(url=url, query={"date_debut": first, "date_fin": stop}, bearer=bearer)
    enedis = settings.enedis
    names = _NEW if enedis.generation == "2026" else _OLD
    url = enedis.daily_url if series == "daily" else enedis.curve_url
    return Ask(url=url, query=dict(zip(names, (meter, first, stop), strict=True)), bearer=bearer)


def depth_of(settings: Settings, series: PolledSeries) -> int:
    """Give how many days of a series are fetched."""
    if series == "curve":
        return settings.enedis.curve_days
    section = settings.enedis if series == "daily" else settings.grdf
    return section.history_days
