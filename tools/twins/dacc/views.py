"""Requests as the page shows them: one line of its list, and all that is known of one."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from .lines import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .indicator import JsonObject
    from .record import Record

__all__ = ["detail", "row"]

LONGEST_VERDICT = 300
LONGEST_STACK = 100
_SECRET = ("authorization", "cookie", "proxy-authorization")


def row(record: Record) -> JsonObject:
    """Give what stands in one line of the list, each field cut where it is long."""
    columns = columns_of(record.indicator or {})
    return {
        "seq": record.seq,
        "n": record.n,
        "time": record.time,
        "measure": columns.measure,
        "date": columns.start_date,
        "value": columns.value,
        "groups": columns.groups,
        "stack": record.subject.stack[:LONGEST_STACK],
        "target": record.target,
        "verdict": record.verdict[:LONGEST_VERDICT],
        "kinds": record.kinds,
        "sameAs": record.same_as,
        "fault": record.fault or "",
        "status": record.answer.status if record.answer else 0,
    }


def detail(record: Record) -> JsonObject:
    """Give all that is known of a request; what cannot be shown as text is in ``raw_base64``."""
    answer = record.answer
    return {
        **row(record),
        "method": record.method,
        "path": record.path,
        "stack": record.subject.stack,
        "verdict": record.verdict,
        "said": record.said,
        "leaks": [leak._asdict() for leak in record.leaks],
        "headers": list(_headers(record)),
        "raw": record.raw.decode("utf-8", "backslashreplace"),
        "raw_base64": base64.b64encode(record.raw).decode(),
        "body": record.body,
        "indicator": json.loads(record.standard_json),
        "answer": answer.body.decode("utf-8", "backslashreplace") if answer else None,
    }


def _headers(record: Record) -> Iterator[tuple[str, str]]:
    """Give the headers as they came, credentials apart, of which only the length is told."""
    for line in record.head.decode("latin-1").split("\n")[1:]:
        name, colon, value = line.strip().partition(":")
        if colon:
            yield name, _masked(value.strip()) if name.lower() in _SECRET else value.strip()


def _masked(credential: str) -> str:
    scheme, blank, secret = credential.partition(" ")
    if not blank:
        scheme, secret = "", credential
    return f"{scheme} ••• (length {len(secret)})".lstrip()
