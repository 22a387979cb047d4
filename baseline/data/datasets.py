"""Data sets by name."""

from collections.abc import Callable
from pathlib import Path

from baseline.data.cache import PictureCache
from baseline.data.checks import check_parts, check_pictures, check_sizes
from baseline.data.layouts import (
    Parts,
    gopro_parts,
    hide_parts,
    left_out_note,
    paired_parts,
    realblur_parts,
    rsblur_parts,
)
from baseline.data.mixed import Mix, mixed_set, uniform_set
from baseline.data.pairs import DataSet, PairedCrops, PairFiles, PairSet, file_manifest
from baseline.data.partly import partly_blurred_photos
from baseline.data.photos import photos
from baseline.data.pictures import read_opaque
from baseline.data.text import text
from baseline.errors import UserError
from baseline.registry import Registry
from baseline.settings import DataSettings

DATASETS: Registry[Callable[[DataSettings], DataSet]] = Registry("data set")

_VAL_EVERY = 20
"""Without pairs of their own to validate on, every 20th training group is held out."""


def open_data(settings: DataSettings) -> DataSet:
    """The data set that the settings name, every file's head checked."""
    return DATASETS[settings.name](settings)


@DATASETS.register("photos")
def shipped_photos(settings: DataSettings) -> DataSet:
    """71 shipped public-domain photographs with synthetic camera shake; needs no root."""
    _no_root(settings)
    return photos(settings.cache_mb)


@DATASETS.register("photos-partly")
def partly_blurred(settings: DataSettings) -> DataSet:
    """Shipped photographs shaken all over, blurred by what moves in them, or sharp: for real scenes; needs no root."""
    _no_root(settings)
    return partly_blurred_photos(settings.cache_mb)


@DATASETS.register("text")
def rendered_text(settings: DataSettings) -> DataSet:
    """Rendered pages of invented words with synthetic camera shake; needs no root."""
    if settings.root is not None:
        raise UserError(f"data 'text' must have no root, its pages are rendered; got {settings.root}. Leave it out.")
    return text()


@DATASETS.register("photos-mixed-50-30-20")
def mixed_50_30_20(settings: DataSettings) -> DataSet:
    """Shipped test photographs, by area 50% sharp, 30% mildly and 20% severely blurred; to score only, no root."""
    return _mixed(settings, Mix(50, 30, 20))


@DATASETS.register("photos-mixed-20-30-50")
def mixed_20_30_50(settings: DataSettings) -> DataSet:
    """Shipped test photographs, by area 20% sharp, 30% mildly and 50% severely blurred; to score only, no root."""
    return _mixed(settings, Mix(20, 30, 50))


@DATASETS.register("photos-mixed-80-15-5")
def mixed_80_15_5(settings: DataSettings) -> DataSet:
    """Shipped test photographs, by area 80% sharp, 15% mildly and 5% severely blurred; to score only, no root."""
    return _mixed(settings, Mix(80, 15, 5))


@DATASETS.register("photos-uniform")
def uniform(settings: DataSettings) -> DataSet:
    """Shipped test photographs at their whole size, each blurred all over by camera shake; to score only, no root."""
    _no_root(settings)
    return uniform_set()


def _mixed(settings: DataSettings, mix: Mix) -> DataSet:
    _no_root(settings)
    return mixed_set(mix)


def _no_root(settings: DataSettings) -> None:
    if settings.root is not None:
        raise UserError(
            f"data '{settings.name}' must have no root, it is shipped; got {settings.root}. "
            "For your own pictures: data 'folder'."
        )


@DATASETS.register("folder")
def paired_folder(settings: DataSettings) -> DataSet:
    """Your pairs: ROOT/{train,val,test}/{blur,sharp}/NAME.png, or ROOT/{blur,sharp} to score only.

    input/ and target/ are understood for blur/ and sharp/.
    """
    parts = paired_parts(existing_root(settings))
    note = "Data: pairs of the user's own. Numbers on them compare only with numbers on the same pairs."
    return _data_set(settings, parts, (note, *left_out_note(parts.all())))


@DATASETS.register("gopro")
def gopro(settings: DataSettings) -> DataSet:
    """GoPro (Nah et al., CVPR 2017): ROOT/{train,test}/SEQUENCE/{blur,sharp}/NNNNNN.png, or repacked.

    Repacked: ROOT/{train,test}/{blur,sharp}/SEQUENCE_NNNNNN.png or {input,target}/. ROOT may hold GOPRO_Large/.
    """
    return _gopro(settings, "blur", "Data: GoPro, its blur/ pictures, as in most published tables.")


@DATASETS.register("gopro-gamma")
def gopro_gamma(settings: DataSettings) -> DataSet:
    """GoPro with the blurred pictures of blur_gamma/, which repacked copies lack."""
    return _gopro(
        settings, "blur_gamma", "Data: GoPro, its blur_gamma/ pictures; most published tables are on blur/ instead."
    )


@DATASETS.register("hide")
def hide(settings: DataSettings) -> DataSet:
    """HIDE (Shen et al., ICCV 2019): ROOT/{train,test/test-close-ups,test/test-long-shot,GT}/NAME.png, or repacked.

    Repacked: ROOT/test/{blur,sharp} or {input,target}, train/ likewise if it is there. ROOT may hold HIDE_dataset/.
    """
    parts = hide_parts(existing_root(settings))
    note = (
        "Data: HIDE, people in motion, blurred by averaging frames. Each picture counts as a group of its own although "
        "several come from one video: intervals are too narrow."
    )
    return _data_set(settings, parts, (note, *left_out_note(parts.all())))


@DATASETS.register("realblur-j")
def realblur_j(settings: DataSettings) -> DataSet:
    """RealBlur-J (Rim et al., ECCV 2020): ROOT/RealBlur_J_{train,test}_list.txt, lines `gt_path blur_path`."""
    return _realblur(settings, "J")


@DATASETS.register("realblur-r")
def realblur_r(settings: DataSettings) -> DataSet:
    """RealBlur-R (Rim et al., ECCV 2020): ROOT/RealBlur_R_{train,test}_list.txt, lines `gt_path blur_path`."""
    return _realblur(settings, "R")


@DATASETS.register("rsblur")
def rsblur(settings: DataSettings) -> DataSet:
    """RSBlur (Rim et al., ECCV 2022): ROOT/RSBlur and ROOT/datalist/RSBlur/RSBlur_real_{train,val,test}.txt."""
    note = "Data: RSBlur, real blur. Pairs of one burst of 20 numbers are one group."
    return _data_set(settings, rsblur_parts(existing_root(settings)), (note,))


def existing_root(settings: DataSettings) -> Path:
    """The root of a data set in a folder; a UserError if it is not given or not there."""
    name, root = settings.name, settings.root
    if root is None:
        raise UserError(f"data '{name}' must have a root folder; none was given. Add data.root, or --root DIR.")
    if not root.is_dir():
        raise UserError(f"data '{name}' must have an existing root folder; there is no {root}.")
    return root


def _gopro(settings: DataSettings, blurred: str, note: str) -> DataSet:
    parts = gopro_parts(existing_root(settings), blurred)
    return _data_set(settings, parts, (note, *left_out_note(parts.all())), groups_apart=True)


def _realblur(settings: DataSettings, letter: str) -> DataSet:
    note = (
        f"Data: RealBlur-{letter}, real blur. Its pairs are displaced: scores are taken after aligning the restored "
        "picture to the sharp one by ECC."
    )
    parts = realblur_parts(existing_root(settings), letter)
    return _data_set(settings, parts, (note,), groups_apart=True, aligned=True)


def _data_set(
    settings: DataSettings, parts: Parts, notes: tuple[str, ...], groups_apart: bool = False, aligned: bool = False
) -> DataSet:
    check_sizes([*parts.val, *parts.test])
    shortest = check_sizes(parts.train)
    check_parts(parts, groups_apart)
    notes = (*notes, *check_pictures(parts.all()))
    train, val = parts.train, parts.val
    if train and not val:
        train, val = hold_out(train)
        notes = (*notes, f"Of the {len(parts.train)} training pairs, {len(val)} are held out to validate on.")
    return DataSet(
        name=settings.name,
        test=_pair_set(parts.test, aligned),
        manifest={
            "name": settings.name,
            "train": file_manifest(train),
            "val": file_manifest(val),
            "test": file_manifest(parts.test),
        },
        train=PairedCrops(train, shortest, PictureCache(read_opaque, settings.cache_mb)) if train else None,
        val=_pair_set(val, aligned) if val else None,
        notes=notes,
    )


def _pair_set(files: list[PairFiles], aligned: bool) -> PairSet:
    return PairSet({pair.name: pair.read for pair in files}, aligned)


def hold_out(train: list[PairFiles]) -> tuple[list[PairFiles], list[PairFiles]]:
    """Split whole groups off the training pairs to validate on: every 20th, at least one, never the only one."""
    groups = sorted({pair.group for pair in train})
    held = set(groups[_VAL_EVERY - 1 :: _VAL_EVERY] or groups[-1:]) if len(groups) > 1 else set()
    return [p for p in train if p.group not in held], [p for p in train if p.group in held]
