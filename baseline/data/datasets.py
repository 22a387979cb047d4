"""Data sets by name."""

from collections.abc import Callable
from pathlib import Path

from baseline.data.pairs import DataSet, PairedCrops, PairFiles, PairSet, check_pairs, file_manifest, match_files
from baseline.data.photos import photos
from baseline.errors import UserError
from baseline.registry import Registry
from baseline.settings import DataSettings

DATASETS: Registry[Callable[[Path | None], DataSet]] = Registry("data set")

_VAL_EVERY = 20
"""Without pairs of their own to validate on, every 20th training group is held out."""


def open_data(settings: DataSettings) -> DataSet:
    """The data set that the settings name, every file's head checked."""
    return DATASETS[settings.name](settings.root)


@DATASETS.register("photos")
def shipped_photos(root: Path | None) -> DataSet:
    """71 shipped public-domain photographs with synthetic camera shake; needs no root."""
    if root is not None:
        raise UserError(
            f"data 'photos' must have no root, it is shipped; got {root}. For your own pictures: data 'folder'."
        )
    return photos()


@DATASETS.register("folder")
def paired_folder(root: Path | None) -> DataSet:
    """Your pairs: ROOT/{train,val,test}/{blur,sharp}/NAME.png, or ROOT/{blur,sharp} to score only."""
    found = existing_root("folder", root)
    if not (found / "test").is_dir():
        return _data_set("folder", [], [], match_files(found / "blur", found / "sharp"))
    train = _split(found / "train")
    val = _split(found / "val")
    return _data_set("folder", train, val, _split(found / "test"))


@DATASETS.register("gopro")
def gopro(root: Path | None) -> DataSet:
    """GoPro (Nah et al., CVPR 2017): ROOT/{train,test}/SEQUENCE/{blur,sharp}/NNNNNN.png."""
    found = existing_root("gopro", root)
    return _data_set("gopro", _sequences(found / "train"), [], _sequences(found / "test"))


def existing_root(name: str, root: Path | None) -> Path:
    """The root of a data set in a folder; a UserError if it is not given or not there."""
    if root is None:
        raise UserError(f"data '{name}' must have a root folder; none was given. Add data.root, or --root DIR.")
    if not root.is_dir():
        raise UserError(f"data '{name}' must have an existing root folder; there is no {root}.")
    return root


def _split(folder: Path) -> list[PairFiles]:
    return match_files(folder / "blur", folder / "sharp") if folder.is_dir() else []


def _sequences(split: Path) -> list[PairFiles]:
    sequences = sorted(p for p in split.iterdir() if p.is_dir()) if split.is_dir() else []
    if not sequences:
        raise UserError(f"{split} must hold GoPro sequences, folders with blur/ and sharp/; it holds none.")
    return [pair for s in sequences for pair in match_files(s / "blur", s / "sharp", group=s.name)]


def _data_set(name: str, train: list[PairFiles], val: list[PairFiles], test: list[PairFiles]) -> DataSet:
    check_pairs([*val, *test])
    shortest = check_pairs(train)
    if train and not val:
        train, val = hold_out(train)
    return DataSet(
        name=name,
        test=PairSet({pair.name: pair.read for pair in test}),
        manifest={"name": name, "files": file_manifest([*train, *val, *test])},
        train=PairedCrops(train, shortest) if train else None,
        val=PairSet({pair.name: pair.read for pair in val}) if val else None,
    )


def hold_out(train: list[PairFiles]) -> tuple[list[PairFiles], list[PairFiles]]:
    """Split whole groups off the training pairs to validate on: every 20th, at least one, never the only one."""
    groups = sorted({pair.group for pair in train})
    held = set(groups[_VAL_EVERY - 1 :: _VAL_EVERY] or groups[-1:]) if len(groups) > 1 else set()
    return [p for p in train if p.group not in held], [p for p in train if p.group in held]
