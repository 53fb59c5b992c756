"""Pictures of the report, as SVG: no library, so that the same results make the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import log10

__all__ = ["ratios", "shares"]

_WIDTH = 720
_LEFT = 190
_ROW = 20
_INK = "#333"
_MET, _MISSED, _WANTED = "#2a7f62", "#b5452c", "#333"
_COLOURS = (
    "#2a7f62", "#3b6ea5", "#c98a1b", "#7a5195", "#b5452c", "#5f9ea0", "#8a8d3c", "#999999",
)  # fmt: skip


def ratios(rows: Sequence[tuple[str, float, float, bool]]) -> str:
    """Draw (name, reached, wanted, met) as bars of reached by wanted, on a logarithmic scale.

    Where less is wanted, the caller turns both round, so that past the line is always met.
    """
    scale = (_WIDTH - _LEFT - 60) / 2  # a tenth to ten times
    middle = _LEFT + scale
    drawn = []
    for place, (name, reached, wanted, met) in enumerate(rows):
        y = 30 + place * _ROW
        part = reached / wanted if reached else 0.1
        end = middle + scale * max(-1.0, min(1.0, log10(part)))
        drawn += [
            _text(_LEFT - 8, y + 13, name, "end"),
            _bar(_LEFT, y + 3, max(end - _LEFT, 1), 13, _MET if met else _MISSED),
            _text(end + 4, y + 13, f"{part:.2f}"),
        ]
    bottom = 30 + len(rows) * _ROW
    drawn.append(f'<path d="M{middle:.1f} 24V{bottom}" stroke="{_WANTED}" stroke-dasharray="4 3"/>')
    for mark in (0.1, 0.3, 1, 3, 10):
        x = middle + scale * log10(mark)
        drawn.append(_text(x, 16, "as wanted" if mark == 1 else f"{mark} ×", "middle"))
    return _svg(bottom + 10, drawn)


def shares(paths: Mapping[str, Mapping[str, float]]) -> str:
    """Draw for each path where its time goes, as one bar of its parts, and what their colours are.

    What is less than 2 % is left white.
    """
    parts = sorted({part for path in paths.values() for part in path})
    colours = {part: _COLOURS[place % len(_COLOURS)] for place, part in enumerate(parts)}
    width = _WIDTH - _LEFT - 20
    drawn = []
    for place, (name, path) in enumerate(paths.items()):
        y, x = 10 + place * 30, float(_LEFT)
        drawn.append(_text(_LEFT - 8, y + 15, name, "end"))
        for part, share in path.items():
            if share < 0.02:
                continue
            drawn.append(_bar(x, y, share * width, 20, colours[part]))
            if share > 0.05:
                drawn.append(_text(x + share * width / 2, y + 14, f"{share:.0%}", "middle", "#fff"))
            x += share * width
    begin = 20 + len(paths) * 30
    drawn += _legend(colours, begin)
    return _svg(begin + (len(parts) + 2) // 3 * _ROW + 6, drawn)


def _legend(colours: Mapping[str, str], top: int) -> Iterator[str]:
    for place, (part, colour) in enumerate(colours.items()):
        x, y = 20 + place % 3 * 230, top + place // 3 * _ROW
        yield _bar(x, y, 12, 12, colour)
        yield _text(x + 18, y + 11, part)


def _bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _text(x: float, y: float, words: str, anchor: str = "start", colour: str = _INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
    )


def _svg(height: int, drawn: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        ' font-family="sans-serif" font-size="11">'
    )
    ground = f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
    return "\n".join([head, ground, *drawn, "</svg>"]) + "\n"
