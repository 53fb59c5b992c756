"""A terminal: runs a command as a person sees it, and draws its screen as a picture."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from html import unescape
from pathlib import Path
from select import select

from rich.console import Console
from rich.text import Text

__all__ = ["drawn", "run_in_terminal", "words"]

LIMIT_S = 100
# A character is so much as high as it is wide in DejaVu Sans Mono, and nearly so in others.
_ASPECT = 0.602
_CHARACTER = 20 * _ASPECT
_FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{ font: {char_height}px "DejaVu Sans Mono", ui-monospace, monospace; }}
.{unique_id}-title {{ font: bold 16px sans-serif; }}
{styles}
</style>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def run_in_terminal(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, *, columns: int, rows: int
) -> str:
    """Run a command in a terminal of this size until it ends; give all that it wrote there."""
    ours, theirs = pty.openpty()
    with closing(io.FileIO(ours)) as screen:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        own = {**env, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        with subprocess.Popen(
            command, env=own, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs
        ) as process:
            os.close(theirs)
            text = b"".join(_written(screen))
    assert process.returncode == 0, text.decode()
    return text.decode().replace("\r\n", "\n")


def _written(screen: io.FileIO) -> Iterator[bytes]:
    """Give what is written until nobody writes there any more, which Linux tells as an error."""
    with suppress(OSError):
        while select([screen], [], [], LIMIT_S)[0] and (found := screen.read(65536)):
            yield found


def drawn(title: str, text: str, columns: int) -> str:
    """Draw what a command wrote as an SVG picture, which needs nothing from any host."""
    console = Console(
        record=True,
        width=columns,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(Text.from_ansi(text.rstrip("\n")), overflow="fold")
    picture = console.export_svg(
        title=title, code_format=_FRAME, font_aspect_ratio=_ASPECT, unique_id="screen"
    )
    picture = re.sub(r' clip-path="[^"]*"', "", picture).replace("</text><", "</text>\n<")
    # Bars stay whole, whatever the font.
    picture = picture.replace(" textLength=", ' lengthAdjust="spacingAndGlyphs" textLength=')
    return "\n".join(line.rstrip() for line in picture.splitlines()) + "\n"


def words(picture: str) -> list[str]:
    """Give the lines of text of a picture that was drawn here."""
    lines: dict[float, str] = {}
    found = re.findall(r'<text class="screen-r\d+" x="([^"]*)" y="([^"]*)"[^>]*>(.*)<', picture)
    for x, y, text in found:
        before = lines.get(float(y), "").ljust(round(float(x) / _CHARACTER))
        lines[float(y)] = before + unescape(text).replace("\N{NO-BREAK SPACE}", " ")
    return [line.rstrip() for _, line in sorted(lines.items())]
