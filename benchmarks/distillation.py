"""What distillation is worth: students from scratch, with the teacher's outputs, the full loss, and a warm start.

Equal steps, crops, seeds and learning rate: that which is best on val for the student from scratch, with seed 0.
Trainings go on where they were killed, and any number of processes may share the work:
    python benchmarks/distillation.py train [--work runs/distillation] [--steps 2000]
    python benchmarks/distillation.py table [--out benchmarks/results/distillation.json]    also the curves, as .svg
    python benchmarks/distillation.py step [--out benchmarks/results/distillation_step.json]     what a step costs
"""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch

from baseline.data.datasets import open_data
from baseline.data.pairs import DataSet
from baseline.evaluate import score
from baseline.restorer import NetworkRestorer
from baseline.settings import DataSettings
from compress.quantize import open_artifact
from compress.students import student_plan
from recipes.resolve import artifact_folder
from recipes.schema import parse_steps
from recipes.stages.stage import STAGES, StageInput

RATES = {"mimo-unet-slim": (8e-4, 2e-3), "mimo-unet-ds": (1.5e-3, 4e-3)}
"""The students and the learning rates to choose from, which are tried from scratch."""
METHODS: dict[str, dict[str, Any]] = {
    "scratch": {},
    "outputs": {"features_weight": 0.0},
    "full": {"features_weight": 0.3},
    "warm start, full": {"features_weight": 0.3, "warm_start": True},
}
"""`outputs`: the sharp pictures and the teacher's outputs, both in L1 and frequency; `full`: its features, too."""


@dataclass(frozen=True)
class Job:
    """One training."""

    student: str
    method: str
    lr: float
    seed: int
    steps: int

    def folder(self, work: Path) -> Path:
        """Where it is kept."""
        name = f"{self.student}-{self.method.replace(', ', '-').replace(' ', '-')}-{self.lr:g}-{self.seed}-{self.steps}"
        return work / name

    def stage(self) -> dict[str, Any]:
        """The stage that does it, as a recipe has it."""
        common = {"steps": self.steps, "lr": self.lr, "seed": self.seed, "batch": 4, "crop": 48}
        common |= {"workers": 0, "validate_every": self.steps // 5, "keep": "last"}
        if self.method == "scratch":
            architecture, arguments = student_plan(self.student, teacher_plan(), {})
            return {"train": common | {"network": architecture, "arguments": arguments}}
        return {"distill": common | {"student": self.student} | METHODS[self.method]}


def teacher_plan() -> tuple[str, dict[str, Any]]:
    """The shipped teacher's architecture and arguments."""
    manifest = json.loads((artifact_folder("photos") / "model.json").read_text())
    return manifest["architecture"], manifest["arguments"]


@click.group()
def main() -> None:
    """What distillation is worth, and what it costs."""


@main.command()
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/distillation"))
@click.option("--steps", default=2000)
@click.option("--seeds", default=3)
@click.option("--only", default="", help="Trainings whose folder's name holds this text.")
def train(work: Path, steps: int, seeds: int, only: str) -> None:
    """Do all trainings that nobody else is at."""
    torch.set_num_threads(1)
    data = open_data(DataSettings())
    while True:
        left = [job for job in jobs(work, steps, seeds) if only in job.folder(work).name and not result_of(job, work)]
        if not left:
            return
        if sum(done(job, data, work) for job in left) == 0:
            time.sleep(20)


def jobs(work: Path, steps: int, seeds: int) -> Iterator[Job]:
    """All that can be done now: from scratch with seed 0 at every rate, the others at the one that was best."""
    for student, rates in RATES.items():
        yield from (Job(student, "scratch", rate, 0, steps) for rate in rates)
    for seed in range(seeds):
        for student in RATES:
            lr = best_rate(student, steps, work)
            if lr is not None:
                yield from (Job(student, method, lr, seed, steps) for method in METHODS)


def best_rate(student: str, steps: int, work: Path) -> float | None:
    """The rate whose last validation is best from scratch with seed 0, once all are done."""
    found = {rate: result_of(Job(student, "scratch", rate, 0, steps), work) for rate in RATES[student]}
    if not all(found.values()):
        return None
    return max(found, key=lambda rate: found[rate]["val"][-1]["val_psnr_db"])


def result_of(job: Job, work: Path) -> dict[str, Any]:
    """The result of a finished training; empty if it is not."""
    path = job.folder(work) / "result.json"
    return json.loads(path.read_text()) if path.exists() else {}


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether nobody else is at it meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def done(job: Job, data: DataSet, work: Path) -> bool:
    """Do one training and score it; False if someone else is at it."""
    folder = job.folder(work)
    with alone(folder) as mine:
        if not mine or result_of(job, work):
            return False
        (step,) = parse_steps(job.stage(), "job")
        print(folder.name, flush=True)
        given = StageInput(None, artifact_folder("photos"), data, folder / "artifact", folder / "scratch")
        outcome = STAGES[step.stage].run(given, step.settings)
        scores = score(NetworkRestorer(open_artifact(folder / "artifact")), data.test)
        curve = outcome.details["curve"]
        found = asdict(job) | {
            "minutes": outcome.minutes,
            "val": [point for point in curve if "val_psnr_db" in point],
            "losses": [point for point in curve if "val_psnr_db" not in point],
            "test": [{"name": row.name, "psnr_db": row.psnr_db, "ssim": row.ssim} for row in scores],
        }
        (folder / "result.json").write_text(json.dumps(found, indent=1))
        return True


if __name__ == "__main__":
    main()
