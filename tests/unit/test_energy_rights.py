"""The rights that GRDF keeps: which may be used, and by what name one is revoked."""

import json
from typing import Any

import pytest

from ecolyo_worker.energy.rights import Right, RightState, read_rights
from ecolyo_worker.energy.stream import read_objects
from ecolyo_worker.errors import AnswerUnreadable
from tests.unit.energy_samples import sample

METER = "23000000000000"
BODY = sample("grdf-rights-with-trailer.ndjson")
RECORD: dict[str, Any] = json.loads(BODY.splitlines()[0])
IDENT = "6f0b6c1e-0000-4000-8000-000000000001"


def read(*records: dict[str, Any]) -> tuple[Right, ...]:
    return read_rights(read_objects(json.dumps(records).encode()), METER).rights


def test_a_right_is_read_without_the_person() -> None:
    """Its name, its state and what it allows are kept; the trailer is no right."""
    found = read_rights(read_objects(BODY), METER)
    assert found.rights == (Right(IDENT, "active", informative=True, published=True),)
    assert (found.refused, found.codes, found.broken) == ((), (), None)
    assert found.rights[0].can_collect
    assert "DURAND" not in repr(found)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Active", "active"),
        ("A valider", "pending"),
        ("À valider", "pending"),
        ("A revérifier", "to_verify"),
        ("Révoquée", "revoked"),
        ("REVOQUEE", "revoked"),
        ("Refusée", "refused"),
        ("Obsolète", "obsolete"),
        ("Neuve", "unknown"),
        (None, "unknown"),
    ],
)
def test_only_an_active_right_may_be_used(text: Any, state: RightState) -> None:
    """States are known with and without accents."""
    [right] = read({**RECORD, "etat_droit_acces": text})
    assert right.state == state
    assert right.can_collect is (state == "active")


@pytest.mark.parametrize(
    ("informative", "published", "can_collect"),
    [("Vrai", "Faux", True), ("Faux", "Vrai", True), ("Faux", "Faux", False), (None, True, True)],
)
def test_a_right_must_allow_something(informative: Any, published: Any, can_collect: bool) -> None:
    """GRDF writes it as text."""
    fields = {"perim_donnees_informatives": informative, "perim_donnees_publiees": published}
    [right] = read({**RECORD, **fields})
    assert right.can_collect is can_collect


def test_rights_to_other_meters_are_passed_over() -> None:
    """The list may be that of all meters; several rights to one are all given."""
    old = {**RECORD, "id_droit_acces": 17, "etat_droit_acces": "Révoquée"}
    found = read({**RECORD, "id_pce": "GI999055"}, old, {"liste_acces": []}, RECORD)
    assert [(right.id, right.state) for right in found] == [("17", "revoked"), (IDENT, "active")]


@pytest.mark.parametrize("ident", [None, "", "../droits", "a" * 65, True, ["x"], 1.5])
def test_a_name_that_no_address_can_hold_is_refused(ident: Any) -> None:
    """It would become a part of the address by which the right is revoked."""
    body = json.dumps({**RECORD, "id_droit_acces": ident}).encode()
    found = read_rights(read_objects(body), METER)
    assert not found.rights
    assert found.refused[0].reason.startswith("id_droit_acces: found ")


def test_a_stream_of_rights_that_breaks_off_is_told() -> None:
    """Otherwise a right that is missing would be taken for one that does not exist."""
    assert read_rights(read_objects(BODY[:-20]), METER).broken
    with pytest.raises(AnswerUnreadable):
        read_rights(read_objects(BODY[:200]), METER)
    told = read_rights(read_objects(b'{"code_statut_traitement":"2000000007"}'), METER)
    assert told.codes == ("2000000007",)
