"""Bytes that parsers were found to be bad at, or might be: kept, and tried before others are made.

They lie in `tests/data/corpus`, a folder for each parser. Whatever fails is added there by itself,
in its smallest form; what it was is told by the commit that mends it.
"""

import hashlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

__all__ = ["damaged", "keeping", "kept"]

CORPUS = Path(__file__).parents[1] / "data" / "corpus"


def kept(parser: str) -> list[Path]:
    """Give the files that are kept for a parser."""
    found = sorted((CORPUS / parser).iterdir())
    assert found, parser
    return found


@contextmanager
def keeping(parser: str, content: bytes, folder: Path = CORPUS) -> Iterator[None]:
    """Keep what makes the block fail, one file for each kind of failure: hypothesis shrinks it."""
    try:
        yield
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} {Path(place.filename).name} {place.name}"
        name = hashlib.sha256(kind.encode()).hexdigest()[:12]
        (folder / parser).mkdir(parents=True, exist_ok=True)
        (folder / parser / f"failed-{name}").write_bytes(content)
        raise


@st.composite
def damaged(draw: st.DrawFn, parser: str) -> bytes:
    """Give a kept file of which pieces are cut, doubled, repeated or replaced."""
    found = bytearray(draw(st.sampled_from(kept(parser))).read_bytes()[:20_000])
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(found)))
        end = draw(st.integers(begin, min(len(found), begin + 99)))
        piece = bytes(found[begin:end])
        others = st.sampled_from(
            [b"", piece * 2, piece * 50, b'"', b"\\", b"\0", b"{", b"]", b"\n"]
        )
        found[begin:end] = draw(others | st.binary(max_size=4))
    return bytes(found)
