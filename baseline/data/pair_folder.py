"""Writing a data set that `--data folder` reads: OUT/{train,val,test}/{blur,sharp}/NAME.png and OUT/pairs.json."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from baseline.atomic import remove_leftovers, write_whole
from baseline.data.pictures import Picture, write_picture
from baseline.errors import UserError
from baseline.names import printable
from baseline.output import output_folder
from baseline.settings import Settings, Share

SPLITS = ("train", "val", "test")
VERSION = 1
"""Of the making: a change that moves one pixel of what a seed gives raises it."""

_MAKING = ".make-pairs.json"
"""Says, until all pairs are written, what is being made."""


class SplitSettings(Settings):
    """How what there is is divided, and by which seed."""

    seed: int = Field(default=0, ge=0)
    val: Share = 0.1
    test: Share = 0.1

    @model_validator(mode="after")
    def _train_is_left(self) -> "SplitSettings":
        if self.val + self.test >= 1:
            raise ValueError(f"val and test must leave something to train on; {self.val} + {self.test} is not below 1")
        return self


class PairFolder:
    """Pairs on their way into a folder, and what is to be known about each.

    The folder must be empty, or hold what the same making (of the same sources, with the same settings) left when it
    was stopped: then its finished pictures stay. A UserError otherwise.
    """

    def __init__(self, root: Path, settings: SplitSettings, sources: Iterable[Path]) -> None:
        stats = {str(path): [(found := path.stat()).st_size, found.st_mtime_ns] for path in sources if path.exists()}
        making = {"version": VERSION, "settings": settings.model_dump(mode="json"), "sources": stats}
        self._making = json.dumps(making, indent=1, sort_keys=True) + "\n"
        self._note = root / _MAKING
        if root.is_dir() and any(root.iterdir()) and not self._goes_on():
            raise UserError(
                f"{root} must be an empty folder or none, or hold what this command began; it holds files. "
                "Choose another --out."
            )
        self.root = output_folder(root)
        self.pairs: list[dict[str, Any]] = []

    def _goes_on(self) -> bool:
        return self._note.is_file() and self._note.read_text() == self._making

    def write(self, split: str, name: str, pictures: tuple[Picture, Picture], **facts: Any) -> None:
        """Write the blurred and the sharp picture of a pair, if they are not there."""
        if not self.pairs:
            write_whole(self._note, self._making)
        for side, picture in zip(("blur", "sharp"), pictures, strict=True):
            folder = self.root / split / side
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
            path = folder / f"{name}.png"
            if not path.exists():  # pictures appear whole or not at all
                write_picture(picture, path)
        self.pairs.append({"name": name, "split": split} | facts)

    def count(self) -> Counter[str]:
        """Pairs in each split."""
        return Counter(pair["split"] for pair in self.pairs)

    def finish(self, settings: SplitSettings, **facts: Any) -> None:
        """Write pairs.json: how the pairs were made and from what."""
        made = {"made_by": "lightsharp make-pairs", "version": VERSION, "settings": settings.model_dump(mode="json")}
        manifest = made | facts | {"pairs": self.pairs}
        write_whole(self.root / "pairs.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        self._note.unlink(missing_ok=True)


def divide(names: Sequence[str], settings: SplitSettings) -> dict[str, str]:
    """The split of each name: at least one in each, drawn from the seed; there must be three names or more.

    A UserError if the shares leave none to train on.
    """
    shuffled = [names[i] for i in np.random.default_rng(settings.seed).permutation(len(names))]
    test, val = (max(1, round(share * len(names))) for share in (settings.test, settings.val))
    if test + val >= len(names):
        raise UserError(
            f"val and test must leave at least one of {len(names)} sources to train on; shares of {settings.val} and "
            f"{settings.test} take {val} and {test}. Set smaller shares: --val, --test."
        )
    return {name: "test" if i < test else "val" if i < test + val else "train" for i, name in enumerate(shuffled)}


def unique_names(paths: Iterable[Path]) -> dict[str, Path]:
    """The paths by stem as it can be printed; of several with one stem, the second is called STEM-2, and so on."""
    named: dict[str, Path] = {}
    for path in paths:
        stem = name = printable(path.stem)
        number = 1
        while name in named:
            number += 1
            name = f"{stem}-{number}"
        named[name] = path
    return named
