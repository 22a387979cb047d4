"""The pictures of a report: which are kept, what is said of the others, and each file embedded once."""

import base64
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reports.crops import Crop, differing_crops
from reports.front import front
from reports.record import PictureRow, Report, Variant

PAGE_BYTES = 12_000_000
MOST_VARIANTS = 20
_MARKUP_BYTES = 2_000  # of a figure and its crops, without the picture's own bytes
_NO_FILE = "no picture"


@dataclass(frozen=True)
class Picture:
    """One picture of a grid: `pixels` is the id of the element that holds it, or empty, and `absent` says why.

    `source` is a data URI; it is empty where an equal picture is already on the page.
    """

    label: str
    note: str
    pixels: str = ""
    source: str = ""
    size: tuple[int, int] = (0, 0)
    absent: str = ""


@dataclass(frozen=True)
class Shot:
    """One test picture: blurred, as each network restored it, and sharp; and where the networks differ most."""

    name: str
    pictures: list[Picture]
    crops: list[Crop]


@dataclass(frozen=True)
class LeftOut:
    """Why some pictures are not on the page, whose they are, and whether there are files of them."""

    reason: str
    names: list[str]
    filed: bool = True


@dataclass(frozen=True)
class Gallery:
    """All that is kept, and what is not; `missing` says why there is no picture at all."""

    shots: list[Shot] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    missing: str = ""


@dataclass(frozen=True)
class _Column:
    """A file of each test picture, and what is known of it; one that is `named` goes last where room is short."""

    label: str
    file: str
    scores: Sequence[PictureRow]
    restored: bool
    named: bool


@dataclass(frozen=True)
class _File:
    """A picture's bytes and its pixels (H,W,3), or why there are none."""

    data: bytes = b""
    pixels: NDArray[np.uint8] | None = None
    absent: str = ""

    @property
    def cost(self) -> int:
        """What it adds to the page in bytes, or less if an equal one is there."""
        return _MARKUP_BYTES + 4 * len(self.data) // 3


def gallery(report: Report, folder: Path, room: int, pictured: Collection[str] = ()) -> Gallery:
    """The pictures `folder/PICTURE/COLUMN.webp` as far as `room` bytes allow; `pictured` variants are kept in any case.

    Beyond MOST_VARIANTS variants, only those of the front are shown besides. What does not fit is dropped from the
    last test picture to the first.
    """
    kept = _kept(report, pictured)
    columns = _columns(report, kept, pictured)
    embedded: dict[bytes, str] = {}
    shots: list[Shot] = []
    crowded: list[str] = []
    unfiled: list[str] = []
    names = report.run.sample_pictures
    for place, name in enumerate(names if room > 0 else [], 1):
        files = [_read(folder, name, column.file) for column in columns]
        if all(file.absent == _NO_FILE for file in files):
            unfiled.append(name)
            continue
        fitting = _fitting(columns, files, room)
        if not fitting or (shots and len(fitting) < len(columns)):
            break
        room -= sum(files[i].cost for i in fitting)
        shots.append(_shot(place, name, [(columns[i], files[i]) for i in fitting], embedded))
        if len(fitting) < len(columns):
            crowded = [column.label for i, column in enumerate(columns) if i not in fitting]
            break
    if names and unfiled == names:
        return Gallery(missing=_why_none(folder, len(names)))
    dropped = [name for name in names if name not in {*unfiled, *(shot.name for shot in shots)}]
    return Gallery(shots, [*_left_out(report, kept, crowded, dropped), *_without_files(unfiled, len(names))])


def _why_none(folder: Path, count: int) -> str:
    """Why the page has no pictures."""
    if not folder.is_dir():
        return "the folder “pictures”, which a run writes beside its report.json, is not there"
    return f"the folder “pictures” beside report.json holds none of the run's {count} test pictures"


def _without_files(names: list[str], count: int) -> list[LeftOut]:
    """Test pictures of which there is nothing to show."""
    reason = f"There is no file of some test pictures: {len(names)} of {count}."
    return [LeftOut(reason, names, filed=False)] if names else []


def _kept(report: Report, pictured: Collection[str]) -> list[str]:
    """The names of the variants whose pictures are shown if there is room."""
    names = [variant.name for variant in report.variants]
    if len(names) <= MOST_VARIANTS:
        return names
    shown = {*front(report), *pictured}
    return [name for name in names if name in shown]


def _left_out(report: Report, kept: Collection[str], crowded: list[str], dropped: list[str]) -> list[LeftOut]:
    """What is not on the page: variants beyond the front, columns and test pictures for which there was no room."""
    if not report.run.sample_pictures:
        return []
    others = [variant.name for variant in report.variants if variant.name not in kept]
    size = f"To keep this page under {PAGE_BYTES / 1e6:.0f} MB,"
    beyond = (
        f"With more than {MOST_VARIANTS} variants, pictures are shown only of the front and of those that were asked"
    )
    names, count = report.run.sample_pictures, len(kept) + 3
    found = [
        LeftOut(f"{beyond} for: {len(kept)} of {len(report.variants)} variants.", others),
        LeftOut(f"{size} columns of the only test picture shown are left out: {len(crowded)} of {count}.", crowded),
        LeftOut(f"{size} the last test pictures are left out: {len(dropped)} of {len(names)}.", dropped),
    ]
    return [one for one in found if one.names]


def _columns(report: Report, kept: Collection[str], pictured: Collection[str]) -> list[_Column]:
    """What is shown of each test picture, from left to right."""
    variants = [variant for variant in report.variants if variant.name in kept]
    return [
        _Column("blurred", "blurred", report.run.blurred_pictures, restored=False, named=True),
        _column(report.teacher, "teacher", named=True),
        *(_column(variant, variant.name, named=variant.name in pictured) for variant in variants),
        _Column("sharp", "sharp", [], restored=False, named=True),
    ]


def _column(variant: Variant, file: str, named: bool) -> _Column:
    return _Column(variant.name, file, variant.pictures, restored=True, named=named)


def _fitting(columns: list[_Column], files: list[_File], room: int) -> list[int]:
    """The places of the columns that fit, in their order: the named ones are the first to be taken."""
    taken = []
    for place in sorted(range(len(columns)), key=lambda i: not columns[i].named):
        room -= files[place].cost
        if room < 0:
            break
        taken.append(place)
    return sorted(taken)


def _shot(number: int, name: str, shown: list[tuple[_Column, _File]], embedded: dict[bytes, str]) -> Shot:
    """One test picture; what is embedded here for the first time is added to `embedded`, by its bytes."""
    pictures = []
    for place, (column, file) in enumerate(shown, 1):
        note = _scores(column.scores, name)
        if file.pixels is None:
            pictures.append(Picture(column.label, note, absent=file.absent))
            continue
        pixels = f"picture-{number}-{place}"
        source = "" if file.data in embedded else f"data:image/webp;base64,{base64.b64encode(file.data).decode()}"
        size = (file.pixels.shape[1], file.pixels.shape[0])
        pictures.append(Picture(column.label, note, embedded.setdefault(file.data, pixels), source, size))
    return Shot(name, pictures, differing_crops(_compared(shown)))


def _compared(shown: list[tuple[_Column, _File]]) -> list[NDArray[np.uint8]]:
    """What the networks made, or everything where only one made something; only what is as large as the first."""
    there = [(column.restored, file.pixels) for column, file in shown if file.pixels is not None]
    restored = [pixels for is_restored, pixels in there if is_restored]
    chosen = restored if len(restored) > 1 else [pixels for _, pixels in there]
    return [pixels for pixels in chosen if pixels.shape == chosen[0].shape]


def _scores(scores: Sequence[PictureRow], name: str) -> str:
    """A picture's own scores, as they stand below it."""
    row = next((row for row in scores if row.name == name), None)
    if row is None:
        return ""
    lpips = "" if row.lpips is None else f" · LPIPS {row.lpips:.4f}"
    return f"{row.psnr_db:.2f} dB · SSIM {row.ssim:.4f}{lpips}"


def _read(folder: Path, name: str, column: str) -> _File:
    """A picture's file, decoded to see that it is whole; never one from outside of `folder`, whatever the names are."""
    path = folder / name / f"{column}.webp"
    try:
        inside = path.resolve().is_relative_to(folder.resolve()) and path.name == f"{column}.webp"
        if not inside or not path.is_file():
            return _File(absent=_NO_FILE)
        data = path.read_bytes()
    except (OSError, ValueError):  # too long a name, a null byte, no permission
        return _File(absent=f"{_NO_FILE}: the file cannot be read")
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            return _File(data, np.asarray(image.convert("RGB")))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return _File(absent=f"{_NO_FILE}: the file is damaged")
