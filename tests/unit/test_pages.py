"""The pages of docs/ are found by their index, and what they link to is there."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md"]
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """Give a page without its blocks of code, in which nothing is a heading or a link."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> Iterator[str]:
    """Give the anchors of a page's headings, as the usual viewers of Markdown name them."""
    seen: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w -]", "", shown).replace(" ", "-")
        count = seen[name] = seen.get(name, -1) + 1
        yield f"{name}-{count}" if count else name


def broken(page: Path) -> Iterator[str]:
    """Give the links of a page, and its pictures, that lead nowhere; the web is not asked."""
    code = re.compile(r"`[^`\n]*`")
    for target in re.findall(r"\]\(<?([^)>\s]+)", code.sub("code", prose(page))):
        if (address := urlsplit(target)).scheme:
            continue
        aim = page.parent / unquote(address.path) if address.path else page
        is_there = aim.exists() and (not address.fragment or address.fragment in anchors(aim))
        if not is_there:
            yield target


def groups() -> dict[str, list[tuple[str, str]]]:
    """Give the groups of the index: of each page its title there, and its path."""
    _, *sections = re.split(r"^## ", prose(INDEX), flags=re.MULTILINE)
    line = re.compile(r"^- \[([^]]+)\]\(([^)]+)\): .+\.$", re.MULTILINE)
    return {section.partition("\n")[0]: line.findall(section) for section in sections}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """The files, and the sections in them, that a page links to are there."""
    assert list(broken(page)) == []


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    """A file or a section that is not there is found; code, and the web, are left alone."""
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`: three\n## Twice\n## Twice\n"
        "```sh\n# comment\n[x](none.md)\n```\n`[x](none.md)`\n"
        "[a](page.md#twice-1) [b](#one-two-three) [c](https://none.example/#x) ![d](page.md)\n"
        "[e](none.md) [f](#comment) [g](page.md#twice-2) ![h](none.svg)\n"
    )
    assert list(broken(page)) == ["none.md", "#comment", "page.md#twice-2", "none.svg"]


def test_the_index_has_every_page() -> None:
    """Each page stands in it once, under its own title; those of how-to/ in their group."""
    found = groups()
    assert list(found) == ["Tutorial", "How-to", "Reference", "Explanation"]
    named = sorted(path for pages in found.values() for _, path in pages)
    assert named == sorted(
        str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page != INDEX
    )
    for group, pages in found.items():
        for title, path in pages:
            assert prose(DOCS / path).startswith(f"# {title}\n"), path
            assert (group == "How-to") == path.startswith("how-to/"), path
