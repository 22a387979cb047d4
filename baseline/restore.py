"""Restoring picture files: any size, names kept, each output whole or not there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from baseline.data.loader import to_picture, to_tensor
from baseline.data.pictures import SUFFIXES, list_pictures, read_picture, write_picture
from baseline.errors import UserError
from baseline.restorer import Restorer, restore_any_size


@dataclass(frozen=True)
class Restored:
    """One input and its output, or the reason why there is none."""

    source: Path
    target: Path
    error: str | None = None


def plan_outputs(inputs: Sequence[Path], out: Path, overwrite: bool = False) -> list[tuple[Path, Path]]:
    """Every picture of the files and folders named, with its place under `out`; folders keep their inner structure.

    A UserError if an input is missing or not a picture, if a folder holds none, if two would be written to one place,
    or if something is in that place already and is not to be overwritten.
    """
    planned: dict[Path, Path] = {}
    for given in inputs:
        for source, target in _pictures_of(given, out):
            if target in planned:
                raise UserError(
                    f"outputs must have different names; {planned[target]} and {source} would both become {target}."
                )
            if target.resolve() == source.resolve():
                raise UserError(
                    f"--out must not be the folder of the inputs; {source} would be overwritten. Choose another."
                )
            if target.exists() and not overwrite:
                raise UserError(f"{target} must not be there yet; it is. Choose another --out, or add --overwrite.")
            planned[target] = source
    return [(source, target) for target, source in planned.items()]


def restore_files(restorer: Restorer, planned: Sequence[tuple[Path, Path]]) -> Iterator[Restored]:
    """Restore one after the other; a file that cannot be read is reported and does not stop the rest."""
    for source, target in planned:
        try:
            picture = read_picture(source)
            restored = restore_any_size(restorer, to_tensor(picture)[None])[0]
            target.parent.mkdir(parents=True, exist_ok=True)
            write_picture(to_picture(restored), target)
        except (UserError, OSError) as error:
            yield Restored(source, target, str(error))
        else:
            yield Restored(source, target)


def picture_paths(names: Sequence[str], out: Path) -> dict[str, Path]:
    """OUT/NAME.png for every pair's name; a UserError if one is there already or would lie outside of `out`."""
    paths = {name: out / f"{name}.png" for name in names}
    for name, path in paths.items():
        if not _within(path, out):
            raise UserError(f"the pairs' names must lead into {out}; '{name}' does not. Rename its files.")
        if path.exists():
            raise UserError(f"{path} must not be there yet; it is. Choose another folder.")
    return paths


def _pictures_of(given: Path, out: Path) -> list[tuple[Path, Path]]:
    if given.is_file():
        if given.suffix.lower() not in SUFFIXES:
            raise UserError(f"{given} must be a picture ({', '.join(SUFFIXES)}); its name ends in '{given.suffix}'.")
        return [(given, out / given.name)]
    if not given.is_dir():
        raise UserError(f"{given} must be a picture or a folder of pictures; there is none.")
    folders = [given, *sorted(p for p in given.rglob("*") if p.is_dir() and not _within(p, out))]
    found = [(path, out / path.relative_to(given)) for folder in folders for path in list_pictures(folder)]
    if not found:
        raise UserError(f"{given} must hold pictures; it holds none.")
    return found


def other_files(inputs: Sequence[Path], out: Path) -> list[Path]:
    """The files in the named folders that are left alone because their names are not those of pictures we read."""
    files = [path for given in inputs if given.is_dir() for path in sorted(given.rglob("*")) if path.is_file()]
    return [path for path in files if path.suffix.lower() not in SUFFIXES and not _within(path, out)]


def _within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
