"""What a run does with the files of its folder: claims it, keeps aside what was finished there, links to the store."""

import os
import shutil
from pathlib import Path

from baseline.errors import UserError
from baseline.output import output_folder
from recipes.live import has_ended
from recipes.run_folder import BEFORE
from recipes.run_log import LOG

_OF_A_RUN = ("recipe.yaml", "environment.json", LOG, "report.*", "pictures", "variants")


def claim_(out: Path) -> None:
    """Make the run's folder; a UserError if it holds something that is not a run, which would be mixed up with it."""
    output_folder(out)
    if any(out.iterdir()) and not (out / "recipe.yaml").is_file():
        raise UserError(f"{out} must be empty or a run's folder; it holds other things. Choose another --out.")


def keep_before_(out: Path) -> bool:
    """Copy a finished run to `before`, as a run's folder of its own, and say whether there is one.

    What an unfinished run left is not kept, and what was kept before that stays.
    """
    if (out / "report.json").is_file() and has_ended(out):
        part = out / f"{BEFORE}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for path in (path for pattern in _OF_A_RUN for path in out.glob(pattern)):
            if path.is_dir():
                shutil.copytree(path, part / path.name, symlinks=True)
            else:
                shutil.copy2(path, part)
        for link in filter(Path.is_symlink, out.glob("variants/*/*")):
            link_(part / link.relative_to(out), link.parent / link.readlink())
        forget_before_(out)
        part.rename(out / BEFORE)
    return (out / BEFORE).is_dir()


def forget_before_(out: Path) -> None:
    """Remove what was kept: what took its place is finished."""
    shutil.rmtree(out / BEFORE, ignore_errors=True)


def drop_variants_(out: Path) -> None:
    """Remove the records and links of an earlier run; what they link to stays in the store."""
    for record in out.glob("variants/*/record.json"):
        shutil.rmtree(record.parent)


def link_(link: Path, target: Path) -> None:
    """Make `link` a relative link to `target`, in place of a link that was there."""
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(target, link.parent))
