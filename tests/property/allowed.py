"""What may leave, told once more: the definitions file read by itself, and a judge of bodies.

Nothing here uses the package's own check: it is what that check is compared with.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import ecolyo_worker
from ecolyo_worker.tools.twins.dacc.indicator import weigh

__all__ = ["SHIPPED", "Judge", "may_leave", "sent_as"]

SHIPPED = (Path(ecolyo_worker.__file__).parent / "measures" / "measures.toml").read_text()

_HEAD = ["createdBy", "measureName", "startDate", "value"]
_NUMBER = re.compile(rb'"value":(?!-0[,}])-?(?:0|[1-9][0-9]{0,9})(?:\.[0-9]?[1-9])?[,}]')


class Judge:
    """Says what is wrong with a body, by a definitions file alone."""

    def __init__(self, text: str = SHIPPED) -> None:
        """`text` is the file's, as TOML."""
        self.text = text
        self.measures = {item["name"]: item for item in tomllib.loads(text)["measure"]}

    def rules(self, measure: str) -> list[dict[str, Any]]:
        """Give the rules of a measure's groups, in their order."""
        item = self.measures[measure]
        return [item[name] for name in ("group1", "group2", "group3") if name in item]

    def refuse(self, body: bytes) -> None:
        """Raise `AssertionError`, in words, unless the body may leave as it is."""
        wrong = list(self.wrong(body))
        assert not wrong, (body, wrong)

    def wrong(self, body: bytes) -> Iterator[str]:
        """Say what is wrong with a body; the DACC's own check is asked too."""
        pairs: list[tuple[str, Any]] = json.loads(body, object_pairs_hook=list)
        found = dict(pairs)
        measure = found["measureName"]
        if measure not in self.measures:
            yield f"no measure is called {measure!r}"
            return
        names = [f"group{n}" for n in range(1, len(self.rules(measure)) + 1)]
        if [key for key, _ in pairs] != [*_HEAD, *names] or found["createdBy"] != "ecolyo":
            yield "its keys are others, or in another order, or somebody else made it"
            return
        yield from _badly_written(body)
        yield from self._wrong_date(measure, found["startDate"])
        for rule, name in zip(self.rules(measure), names, strict=True):
            yield from _wrong_group(rule, found[name])
        yield from (flaw.sentence for flaw in weigh(json.loads(body)))

    def _wrong_date(self, measure: str, day: str) -> Iterator[str]:
        if day != date.fromisoformat(day).isoformat():
            yield "its startDate is not YYYY-MM-DD"
        if self.measures[measure]["period"] == "month" and not day.endswith("-01"):
            yield "its startDate is not the first day of a month"


def _badly_written(body: bytes) -> Iterator[str]:
    if json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False) != body.decode():
        yield "it is not compact JSON"
    if not _NUMBER.search(body):
        yield "its value is no number of two decimals below 1e10"


def _wrong_group(rule: dict[str, Any], pairs: list[tuple[str, str]]) -> Iterator[str]:
    ((key, text),) = pairs
    if key != rule["key"]:
        yield f"its key is {key}, not {rule['key']}"
    elif not may_leave(rule, text):
        yield f"{key} is {text!r}"


def may_leave(rule: dict[str, Any], text: str) -> bool:
    """Tell whether a rule allows a group value as it is."""
    if text in {"other", rule.get("above")}:
        return True
    return text == text.strip() and 0 < len(text) <= 100 and _fits(rule, text)


def sent_as(rule: dict[str, Any], value: str | None) -> str:
    """Give what a group value must be sent as."""
    text = (value or "").strip()
    if not text:
        return "none" if "none" in rule.get("values", ()) else "other"
    if len(text) <= 100 and _fits(rule, text):
        return text
    digits = "up_to" in rule and re.match(r"[1-9][0-9]{0,9}\Z", text)
    return str(rule["above"]) if digits else "other"


def _fits(rule: dict[str, Any], text: str) -> bool:
    if text in rule.get("values", ()):
        return True
    if "pattern" in rule and re.match(rf"(?:{rule['pattern']})\Z", text):
        return True
    if "up_to" in rule and re.match(r"[0-9]+\Z", text):
        return any(text == str(number) for number in range(rule["up_to"] + 1))
    words = rule.get("subset", ())
    joined = (
        ":".join(some) for size in range(1, len(words) + 1) for some in combinations(words, size)
    )
    return text in joined
