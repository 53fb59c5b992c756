"""What Enedis says of a consent of 2026: the services that come of it, and for which meters."""

from ecolyo_worker.energy.decoding import described, read_json
from ecolyo_worker.energy.meters import check_meter
from ecolyo_worker.errors import AnswerUnreadable, InputRefused

__all__ = ["read_services", "wanted"]

_ALIVE = ("ACTIF", "DEMANDE")


def wanted(consent: int) -> dict[str, object]:
    """Give what is asked about a consent, by its number."""
    return {"autorisationId": consent, "comptage": False}


def read_services(body: bytes) -> tuple[str, ...]:
    """Read which meters a consent is for, each once; none right after somebody consented.

    Raises `AnswerUnreadable`.
    """
    found = read_json(body)
    services = found.get("serviceSouscrit") if isinstance(found, dict) else None
    if not isinstance(services, list):
        what = described(found if not isinstance(found, dict) else services)
        raise AnswerUnreadable(f"serviceSouscrit: found {what}; allowed: a list")
    try:
        meters = [
            check_meter(service.get("pointId"), "enedis", "pointId")
            for service in services
            if isinstance(service, dict) and service.get("etatCode", "ACTIF") in _ALIVE
        ]
    except InputRefused as error:
        raise AnswerUnreadable(str(error)) from None
    return tuple(dict.fromkeys(meters))
