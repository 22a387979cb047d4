"""Pairs made from sharp photographs: by camera shake, by a part that moves, or by both."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal
from zlib import crc32

import numpy as np
from pydantic import BeforeValidator, Field

from baseline.data.blur import MAX_REACH, Blur, blurred_window, shake
from baseline.data.moving import move_object, move_object_and_shake
from baseline.data.pair_folder import SPLITS, PairFolder, SplitSettings, divide, unique_names
from baseline.data.pairs import MIN_SIDE, Crops
from baseline.data.photos import MIN_REACH
from baseline.data.pictures import Picture, read_picture
from baseline.errors import UserError
from baseline.progress import progress

BLURS: dict[str, Blur] = {"shake": shake, "object": move_object, "both": move_object_and_shake}


def _height_and_width(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value == "whole":
        return None
    sides = value.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) >= MIN_SIDE for side in sides):
        raise ValueError(
            f"must be HEIGHTxWIDTH with sides of {MIN_SIDE} or more, such as 384x512, or whole; got {value}"
        )
    return int(sides[0]), int(sides[1])


class PhotoPairSettings(SplitSettings):
    """`reach` is the largest blur, in pixels from the middle; `size` is height and width, None: the whole picture."""

    blur: Literal["shake", "object", "both"] = "shake"
    reach: float = Field(default=MAX_REACH, ge=MIN_REACH, le=40)
    per_picture: int = Field(default=2, gt=0)
    size: Annotated[tuple[int, int] | None, BeforeValidator(_height_and_width)] = (384, 512)


def make_from_photos(
    paths: Sequence[Path], out: Path, settings: PhotoPairSettings, say: Callable[[str], None]
) -> PairFolder:
    """Write pairs of every photograph, all of one in the same split; says which are left out and why."""
    folder = PairFolder(out, settings, sorted(paths))
    usable, left_out = _usable(unique_names(sorted(paths)), settings)
    for line in left_out:
        say(f"left out: {line}")
    if len(usable) < len(SPLITS):
        raise UserError(f"make-pairs must be given 3 usable pictures, one for each split; got {len(usable)}.")
    splits = divide(list(usable), settings)
    with progress("pairs", len(usable)) as tell:
        for number, (name, path) in enumerate(usable.items()):
            _pairs_of(name, path, splits[name], folder, settings)
            tell(number + 1)
    folder.finish(settings, sources={name: str(path) for name, path in usable.items()}, left_out=left_out)
    return folder


def _usable(named: dict[str, Path], settings: PhotoPairSettings) -> tuple[dict[str, Path], list[str]]:
    usable: dict[str, Path] = {}
    seen: dict[bytes, Path] = {}
    left_out = []
    for name, path in named.items():
        try:
            picture = read_picture(path)
            _check_size(path, picture, settings.size or (MIN_SIDE, MIN_SIDE))
        except UserError as error:
            left_out.append(str(error))
            continue
        first = seen.setdefault(sha256(picture.tobytes()).digest(), path)
        if first == path:
            usable[name] = path
        else:
            left_out.append(f"{path} must be another picture than {first}, lest it be in two splits; it is the same.")
    return usable, left_out


def _check_size(path: Path, picture: Picture, size: tuple[int, int]) -> None:
    if picture.shape[0] < size[0] or picture.shape[1] < size[1]:
        raise UserError(
            f"{path} must be at least {size[0]}x{size[1]} (height x width); "
            f"it is {picture.shape[0]}x{picture.shape[1]}. Set a smaller --size, or whole."
        )


def _pairs_of(name: str, path: Path, split: str, folder: PairFolder, settings: PhotoPairSettings) -> None:
    """Write a photograph's pairs; their randomness comes from the seed, its name and the pair's number alone."""
    picture = read_picture(path)
    for number in range(settings.per_picture):
        rng = np.random.default_rng([settings.seed, crc32(name.encode()), number])
        crops, facts = _pair(picture, rng, settings)
        folder.write(split, f"{name}-{number}", crops, source=name, **facts)


def _pair(picture: Picture, rng: np.random.Generator, settings: PhotoPairSettings) -> tuple[Crops, dict[str, Any]]:
    reach = float(rng.uniform(MIN_REACH, settings.reach))
    height, width = settings.size or picture.shape[:2]
    corner = (int(rng.integers(picture.shape[0] - height + 1)), int(rng.integers(picture.shape[1] - width + 1)))
    blur = BLURS[settings.blur]
    margin = int(2 * reach) + 2
    crops = blurred_window(picture, corner, (height, width), margin, lambda window: blur(window, rng, reach))
    return crops, {"blur": settings.blur, "reach": round(reach, 3), "corner": corner}
