"""Names of files as text that every terminal, table and record can show: Linux allows any bytes but '/' and NUL."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path


def printable(text: object) -> str:
    r"""The text on one line: bytes that are no UTF-8 as \xe9, line breaks, tabs and other control characters as \n."""
    return "".join(map(_escaped, str(text)))


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def print_any_name() -> None:
    """Let standard output and error print what their encoding lacks as an escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """The path, to read or to write, for libraries that take UTF-8 only: a temporary link where it is none."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder, f"link{path.suffix}")
            link.symlink_to(path.absolute())
            yield link
    else:
        yield path
