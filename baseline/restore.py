"""Restoring picture files: any size, names kept, each output whole or not there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from baseline.data.loader import to_picture, to_tensor
from baseline.data.pictures import list_pictures, read_picture, write_picture
from baseline.errors import UserError
from baseline.restorer import Restorer, restore_any_size


@dataclass(frozen=True)
class Restored:
    """One input and its output, or the reason why there is none."""

    source: Path
    target: Path
    error: str | None = None


def plan_outputs(inputs: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Every picture of the files and folders named, with its place under `out`; folders keep their inner structure.

    A UserError if an input is missing, if a folder holds no picture, or if two would be written to one place.
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
            planned[target] = source
    return [(source, target) for target, source in planned.items()]


def restore_files(restorer: Restorer, planned: Sequence[tuple[Path, Path]]) -> Iterator[Restored]:
    """Restore one after the other; a file that cannot be read is reported and does not stop the rest."""
    for source, target in planned:
        try:
            picture = read_picture(source)
        except UserError as error:
            yield Restored(source, target, str(error))
            continue
        restored = restore_any_size(restorer, to_tensor(picture)[None])[0]
        target.parent.mkdir(parents=True, exist_ok=True)
        write_picture(to_picture(restored), target)
        yield Restored(source, target)


def _pictures_of(given: Path, out: Path) -> list[tuple[Path, Path]]:
    if given.is_file():
        return [(given, out / given.name)]
    if not given.is_dir():
        raise UserError(f"{given} must be a picture or a folder of pictures; there is none.")
    folders = [given, *sorted(p for p in given.rglob("*") if p.is_dir())]
    found = [(path, out / path.relative_to(given)) for folder in folders for path in list_pictures(folder)]
    if not found:
        raise UserError(f"{given} must hold pictures; it holds none.")
    return found
