"""The page about the architecture, and its picture, name what there is."""

import inspect
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from ecolyo_worker import actors, service
from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.actors.supervisor import Supervisor
from ecolyo_worker.store.database import Database

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ecolyo_worker"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURE = (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8")


def kinds(base: type[Any]) -> Iterator[type[Any]]:
    """Give all classes of a kind that can be made."""
    for kind in base.__subclasses__():
        yield from kinds(kind)
        if not inspect.isabstract(kind):
            yield kind


def existing() -> set[tuple[str, str]]:
    """Give all actors, and the two that hold them together, each with its module."""
    for package in (actors, service):
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    ours = {one for one in kinds(Actor) if one.__module__.startswith("ecolyo_worker.")}
    return {
        (one.__name__, str(Path(inspect.getfile(one)).relative_to(PACKAGE)))
        for one in (*ours, Supervisor, Database)
    }


def test_the_picture_shows_every_actor_and_no_other() -> None:
    """An actor that is new, renamed or moved must be drawn."""
    pair = r'<text class="name"[^>]*>([^<]+)</text><text class="module"[^>]*>([^<]+)<'
    assert set(re.findall(pair, PICTURE)) == existing()


def test_the_page_names_the_layers_in_their_order() -> None:
    """The table has the layers that the import linter enforces, from above."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    enforced = [layer.replace("ecolyo_worker.", "").split(" : ") for layer in layers]
    (table,) = re.findall(r"^\| layer \|.*?\n\n", PAGE, re.DOTALL | re.MULTILINE)
    rows = [line.split("|")[1] for line in table.splitlines()[2:] if line]
    assert [re.findall(r"`(\w+)`", row) for row in rows] == enforced


def test_every_module_it_names_is_there() -> None:
    """A path on the page is one of the package, or of the tests."""
    named = re.findall(r"`([\w/]+\.py)`", PAGE)
    assert len(named) > 20
    for name in named:
        assert (PACKAGE / name).exists() or (ROOT / name).exists(), name


def test_the_picture_is_legible_on_either_ground() -> None:
    """It brings its own ground, and has every colour twice, for a light and for a dark one."""
    assert '<rect class="paper" width="960" height="540"/>' in PICTURE
    light, dark = (
        set(re.findall(r"(--[\w-]+):", rules))
        for rules in PICTURE.split("</style>")[0].split("@media (prefers-color-scheme: dark)")
    )
    assert light == dark == set(re.findall(r"var\((--[\w-]+)\)", PICTURE))
