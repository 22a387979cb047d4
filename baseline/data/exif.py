"""EXIF, or none of it where it is damaged."""

from collections.abc import Callable

from PIL import ExifTags, Image

DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


def read_exif(read: Callable[[], Image.Exif]) -> tuple[Image.Exif, str | None]:
    """What `read` gives, while the file is open, and a note if that is damaged: then there is none of it."""
    try:
        exif = read()
        for directory in DIRECTORIES:
            exif.get_ifd(directory)
        exif.tobytes()
    except Exception:  # noqa: BLE001  Pillow raises whatever it stumbles over
        return Image.Exif(), "its EXIF is damaged and was left out"
    return exif, None
