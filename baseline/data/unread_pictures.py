"""Pictures of kinds that are not read: they are told by kind, with what to do, wherever a folder holds some."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

UNREAD_SUFFIXES = (
    *(".avif", ".heic", ".heif", ".jxl", ".jp2", ".gif", ".psd", ".exr", ".hdr"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
)


def unread_pictures(paths: Iterable[Path]) -> str:
    """What to do about the pictures among some files that are of kinds that are not read; nothing without any."""
    kinds = Counter(path.suffix.lower() for path in paths if path.suffix.lower() in UNREAD_SUFFIXES)
    if not kinds:
        return ""
    told = ", ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items()))
    return f"pictures of kinds that are not read ({told}): convert them to PNG, TIFF or JPEG first"
