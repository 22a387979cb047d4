"""The restore command's work: what is asked is checked, then planned, then opened, then done."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from baseline.atomic import remove_leftovers
from baseline.bounded import BoundedRestorer
from baseline.budget import free_memory
from baseline.data.picture_files import check_format, lift_limit
from baseline.data.stored import Pixels
from baseline.journal import Journal
from baseline.output import output_folder
from baseline.progress import progress
from baseline.restore import Restored, Shown, megapixels, plan_outputs, restore_files
from baseline.selective.overlay import write_drawing
from baseline.selective.restoring import SelectiveRestorer
from baseline.tiles import Seam
from compress.runtimes.table import memory_runtime
from recipes.networks import open_named
from recipes.restoring import network_key
from recipes.selective import check_share, made_selective

Planned = Sequence[tuple[Path, Path]]
"""Inputs, and where each goes."""


@dataclass(frozen=True)
class Asked:
    """How files are restored into `out`; a UserError for what is none of the choices, before a network is opened.

    `form` is the suffix of all pictures, without one as they came. `share` is that of the gain to keep by restoring
    selectively, without one everything is restored; `decisions` takes drawings of that. `memory` is in bytes.
    """

    network: str
    runtime: str
    out: Path
    form: str | None = None
    share: float | None = None
    decisions: Path | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        check_format(self.form)
        memory_runtime(self.runtime)
        if self.share is not None:
            check_share(self.share)

    def key(self) -> str:
        """Files that were made with the same key are the same."""
        chosen = {} if self.share is None else {"keep_gain": self.share}
        return network_key(self.network, memory=self.memory, form=self.form, runtime=self.runtime, **chosen)


def plan(inputs: Sequence[Path], asked: Asked, overwrite: bool) -> tuple[Planned, Journal]:
    """What is still to be restored, and the journal of what is done."""
    lift_limit()
    if asked.decisions is not None:
        output_folder(asked.decisions)
    journal = Journal(asked.out, asked.key())
    return plan_outputs(inputs, asked.out, overwrite, asked.form, journal), journal


def lost_before(inputs: Sequence[Path], asked: Asked, planned: Planned, journal: Journal) -> list[tuple[Path, str]]:
    """What was finished before of these inputs, and could not keep all: the file and what it lost."""
    left = {target for _, target in planned}
    outputs = (target for _, target in plan_outputs(inputs, asked.out, overwrite=True, form=asked.form))
    return [(target, lost) for target in outputs if target not in left and (lost := journal.lost(target))]


def opened(asked: Asked, journal: Journal) -> BoundedRestorer | SelectiveRestorer:
    """The network, bounded as a run that goes on was, and made selective if that is asked."""
    known = journal.settings() or {}
    restorer = open_named(asked.network, asked.runtime)
    output_folder(asked.out)
    bounded = BoundedRestorer(
        restorer,
        known.get("memory") or asked.memory or free_memory(),
        known.get("pixel_bytes"),
        Seam(*known["seam"]) if known.get("seam") else None,
    )
    return bounded if asked.share is None else made_selective(bounded, asked.network, asked.share)


def restored(
    planned: Planned, asked: Asked, restorer: BoundedRestorer | SelectiveRestorer, journal: Journal
) -> Iterator[Restored]:
    """Restore one file after the other, and show how far it is."""
    for folder in {target.parent for _, target in planned}:
        remove_leftovers(folder)
    total = max(1, math.ceil(megapixels(planned)))
    with progress("megapixels restored", total) as steps:
        yield from restore_files(restorer, planned, journal, _summed(steps, total - 1), _drawing(restorer, asked))
        steps(total)


def _summed(steps: Callable[[int], None], most: int) -> Callable[[float], None]:
    """Tells of parts as of steps; the last step is left to who knows that all is done."""
    done_mp = 0.0

    def told(part: float) -> None:
        nonlocal done_mp
        done_mp += part
        steps(min(int(done_mp), most))

    return told


def _drawing(restorer: BoundedRestorer | SelectiveRestorer, asked: Asked) -> Shown:
    """Draws what was decided for each picture, if that is asked."""

    def shown(target: Path, pixels: Pixels) -> None:
        if asked.decisions is not None and isinstance(restorer, SelectiveRestorer) and restorer.last is not None:
            # The suffix is kept: a.jpg and a.png are two drawings, and neither is taken for a picture of the user's.
            kept = target.relative_to(asked.out)
            write_drawing(pixels, restorer.last, asked.decisions / kept.with_name(f"{kept.name}.decision.png"))

    return shown


def largest_seam(restorer: BoundedRestorer | SelectiveRestorer) -> float:
    """How many grey levels what was restored in tiles differs from the whole at most; 0 if nothing was."""
    bounded = restorer.bounded if isinstance(restorer, SelectiveRestorer) else restorer
    return 255 * bounded.measured_seam.difference if bounded.measured_seam is not None else 0.0
