"""The eval command: a network by name, outside of a recipe."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from baseline.data.datasets import open_data
from baseline.data.loader import to_picture
from baseline.data.pairs import Pair
from baseline.data.pictures import SUFFIXES, write_picture
from baseline.ensemble import SelfEnsemble
from baseline.errors import UserError
from baseline.evaluate import PictureScore, Unchanged, differences, means, score
from baseline.metrics import QUALITY
from baseline.output import output_folder
from baseline.restore import picture_paths
from baseline.settings import DataSettings
from baseline.worst import worst_sheet
from recipes.networks import open_named

_ENSEMBLE = (
    "Self-ensemble: each restored picture is the mean over four turns of the blurred one and their mirror images."
)


@dataclass(frozen=True)
class Extras:
    """What `eval` does besides scoring: compare with another network, average over turns, save pictures or a sheet."""

    against: str | None = None
    ensemble: bool = False
    save: Path | None = None
    worst: Path | None = None


def evaluate_named(name: str, chosen: DataSettings, extras: Extras) -> dict[str, Any]:
    """The scores of `eval --json`. Whatever cannot be opened or written is refused before anything is restored."""
    other = None if extras.against is None else open_named(extras.against)
    restorer = SelfEnsemble(open_named(name)) if extras.ensemble else open_named(name)
    data = open_data(chosen)
    paths = {} if extras.save is None else picture_paths(data.test.names, output_folder(extras.save))
    if extras.worst is not None:
        _check_sheet(extras.worst)

    def keep(pair: Pair, restored: Tensor) -> None:
        if pair.name in paths:
            paths[pair.name].parent.mkdir(parents=True, exist_ok=True)
            write_picture(to_picture(restored), paths[pair.name])

    rows, blurred = score(restorer, data.test, keep), score(Unchanged(), data.test)
    if extras.worst is not None:
        write_picture(worst_sheet(restorer, data.test, rows, blurred), extras.worst)
    result = _result(rows, blurred) | {"notes": [*data.notes, *([_ENSEMBLE] if extras.ensemble else [])]}
    if other is not None:
        apart = differences(rows, score(other, data.test))
        found = {key: asdict(mean) | {"beyond_zero": mean.beyond_zero} for key, mean in apart.items()}
        result["against"] = {"network": extras.against} | found
    return result


def _result(rows: Sequence[PictureScore], blurred: Sequence[PictureScore]) -> dict[str, Any]:
    pictures = [
        {"name": row.name, "note": row.note}
        | {key: getattr(row, key) for key in QUALITY}
        | {f"blurred_{key}": getattr(before, key) for key in QUALITY}
        for row, before in zip(rows, blurred, strict=True)
    ]
    return {
        **{key: asdict(mean) for key, mean in means(rows).items()},
        "blurred": {key: mean.mean for key, mean in means(blurred).items()},
        "pictures": pictures,
    }


def _check_sheet(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"--worst must name a picture ({', '.join(SUFFIXES)}); got {path}. Type: --worst worst.png")
    if path.exists():
        raise UserError(f"{path} must not be there yet; it is. Choose another name for --worst.")
    output_folder(path.parent)
