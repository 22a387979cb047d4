"""What distillation is worth: students from scratch, with the teacher's outputs, the full loss, and a warm start.

Equal steps, crops, seeds and learning rate: that which is best on val for the student from scratch, with seed 0.
Trainings go on where they were killed, any number of processes may share the work, and what the committed record holds
is not done again:
    python benchmarks/distillation.py train [--work runs/distillation] [--steps 2000]
    python benchmarks/distillation.py table [--out benchmarks/results/distillation.json]    also the curves, as .svg
    python benchmarks/distillation.py step [--out benchmarks/results/distillation_step.json]     what a step costs
"""

import fcntl
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import click
import matplotlib
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from baseline.artifact import Artifact, load
from baseline.data.datasets import open_data
from baseline.data.loader import Batch, fixed_crops
from baseline.data.pairs import DataSet
from baseline.evaluate import PictureScore, Unchanged, score
from baseline.losses import Loss, supervised
from baseline.restorer import NetworkRestorer, on_device, outputs_of
from baseline.settings import DataSettings, LossSettings
from compress.cost import cost
from compress.distill import distillation
from compress.features import Adapted, matched_by_scale
from compress.lessons import LessonCache, Teacher
from compress.machine import describe_machine
from compress.quantize import open_artifact
from compress.stopwatch import cpu_stopwatch
from compress.students import Plan, student_plan
from compress.teaching_settings import DistillSettings
from recipes.resolve import artifact_folder
from recipes.schema import parse_steps
from recipes.stages.stage import StageInput
from recipes.stages.table import STAGES

matplotlib.use("svg")

OUT = Path("benchmarks/results/distillation.json")
RATES = {"mimo-unet-slim": (8e-4, 2e-3), "mimo-unet-ds": (1.5e-3, 4e-3)}
"""The students and the learning rates to choose from, which are tried from scratch."""
METHODS: dict[str, dict[str, Any]] = {
    "scratch": {},
    "outputs": {"features_weight": 0.0, "warm_start": False},
    "full": {"features_weight": 0.3, "warm_start": False},
    "warm start, full": {"features_weight": 0.3, "warm_start": True},
    "warm start, sharp": {"teacher_weight": 1e-9, "warm_start": True},
}
"""`outputs`: the sharp pictures and the teacher's outputs, both in L1 and frequency; `full`: its features, too.

`warm start, sharp` is the control of the one before: the same beginning, and then the sharp pictures as good as alone.
"""


@dataclass(frozen=True)
class Job:
    """One training."""

    student: str
    method: str
    lr: float
    seed: int
    steps: int

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Job":
        """The training whose result a row is."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})

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


def teacher_plan() -> Plan:
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
    """The result of a finished training, also from the committed record; empty if it is not finished."""
    path = job.folder(work) / "result.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    return recorded().get(job, {})


@cache
def recorded() -> dict[Job, dict[str, Any]]:
    """The trainings of the committed record, read once."""
    rows = json.loads(OUT.read_text())["trainings"] if OUT.exists() else []
    return {Job.of(row): row for row in rows}


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


@main.command()
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/distillation"))
@click.option("--steps", default=2000)
@click.option("--seeds", default=3)
@click.option("--out", type=click.Path(path_type=Path), default=OUT)
def table(work: Path, steps: int, seeds: int, out: Path) -> None:
    """Write the record of what is done, draw the curves, and print the table."""
    data = open_data(DataSettings())
    found = [result_of(job, work) for job in dict.fromkeys(jobs(work, steps, seeds))]
    record = {
        "data": "shipped photographs, synthetic shake; not comparable with GoPro",
        "conditions": f"{steps} steps of 4 crops of 48 pixels, 1 thread, last averaged weights, 24 test pairs",
        "machine": describe_machine(),
        "blurred_psnr_db": mean_of(score(Unchanged(), data.test)),
        "teacher_psnr_db": mean_of(score(NetworkRestorer(open_artifact(artifact_folder("photos"))), data.test)),
        "costs": {student: asdict(cost(Artifact.new(*plan, 0).network)) for student, plan in student_plans().items()},
        "rates": {student: best_rate(student, steps, work) for student in RATES},
        "trainings": [row for row in found if row],
        "not_done": sum(not row for row in found),
    }
    out.write_text(json.dumps(record, indent=1) + "\n")
    plot(record, out.with_suffix(".svg"))
    show(record)


def student_plans() -> dict[str, Plan]:
    """The students that are compared."""
    return {student: student_plan(student, teacher_plan(), {}) for student in RATES}


def mean_of(scores: list[PictureScore]) -> float:
    """Mean PSNR in dB."""
    return float(np.mean([row.psnr_db for row in scores]))


def of(record: dict[str, Any], student: str, method: str) -> dict[int, dict[str, Any]]:
    """The trainings of a student by a method at the rate that all methods have, by seed."""
    return {
        row["seed"]: row
        for row in record["trainings"]
        if (row["student"], row["method"], row["lr"]) == (student, method, record["rates"][student])
    }


def test_psnr(row: dict[str, Any]) -> float:
    """The mean PSNR of a training's network on the test pairs."""
    return float(np.mean([picture["psnr_db"] for picture in row["test"]]))


def show(record: dict[str, Any]) -> None:
    """A row a student and method: the mean over seeds and their spread, and the gain over scratch, paired by seed."""
    columns = ("method", "seeds", "test PSNR dB", "over scratch dB", "gain kept")
    shown = Table("student, its rate", *columns, title=record["conditions"])
    blurred, teacher = record["blurred_psnr_db"], record["teacher_psnr_db"]
    for student in RATES:
        scratch = {seed: test_psnr(row) for seed, row in of(record, student, "scratch").items()}
        for method in METHODS:
            rows = of(record, student, method)
            values = {seed: test_psnr(row) for seed, row in rows.items()}
            if not values:
                continue
            won = [value - scratch[seed] for seed, value in values.items() if seed in scratch]
            mean = float(np.mean(list(values.values())))
            shown.add_row(
                f"{student.removeprefix('mimo-unet-')}, {record['rates'][student]:g}",
                method,
                str(len(values)),
                f"{mean:.2f} ({min(values.values()):.2f} to {max(values.values()):.2f})",
                f"{np.mean(won):+.2f} ({min(won):+.2f} to {max(won):+.2f})",
                f"{(mean - blurred) / (teacher - blurred):.2f}",
            )
        shown.add_section()
    Console().print(shown)
    click.echo(f"blurred {blurred:.2f} dB, teacher {teacher:.2f} dB; {record['not_done']} trainings are not done yet")
    click.echo(f"machine: {record['machine'].get('cpu', '')}")


def plot(record: dict[str, Any], path: Path) -> None:
    """PSNR on val and training loss against the sharp crops, over the steps: a line a training, a panel a student."""
    from matplotlib import pyplot

    pyplot.rcParams["svg.hashsalt"] = "lightsharp"
    figure, panels = pyplot.subplots(2, len(RATES), figsize=(11, 7), squeeze=False)
    for column, student in enumerate(RATES):
        for number, method in enumerate(METHODS):
            for seed, row in of(record, student, method).items():
                style = {"color": f"C{number}", "linewidth": 1.2, "label": method if seed == 0 else None}
                points = [(point["step"], point["val_psnr_db"]) for point in row["val"]]
                panels[0][column].plot(*zip(*points, strict=True), marker=".", **style)
                losses = [(point["step"], point["l1"]) for point in row["losses"]]
                panels[1][column].plot(*zip(*losses, strict=True), **style)
        panels[0][column].set(title=student, xlabel="steps", ylabel="PSNR on the val pairs, dB")
        panels[1][column].set(xlabel="steps", ylabel="L1 to the sharp crops, sum of scales", yscale="log")
        for panel in panels[:, column]:
            panel.grid(alpha=0.3)
            panel.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


@main.command()
@click.option("--rounds", default=15)
@click.option("--threads", default=1)
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmarks/results/distillation_step.json"))
def step(rounds: int, threads: int, out: Path) -> None:
    """Time a training step without and with distillation, and the teacher's forward pass alone, in turn."""
    torch.set_num_threads(threads)
    batch = fixed_crops(open_data(DataSettings()).training_crops(64), 8, 64, seed=0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for student, plan in student_plans().items():
            calls = steps_to_time(plan, batch, Path(folder) / student)
            times: dict[str, list[float]] = {name: [] for name in calls}
            for turn in range(rounds + 2):
                for name, call in calls.items():
                    taken = cpu_stopwatch(call)
                    if turn >= 2:
                        times[name].append(taken)
            medians = {name: float(np.median(taken)) for name, taken in times.items()}
            rows.append({"student": student, "median_ms": medians})
    record = {
        "conditions": f"batch 8 of 64 pixels, {threads} thread(s), median of {rounds} rounds in turn; a step is "
        "forward, loss, backward, AdamW, without the loader",
        "machine": describe_machine(),
        "rows": rows,
    }
    out.write_text(json.dumps(record, indent=1) + "\n")
    show_steps(record)


def steps_to_time(plan: Plan, batch: Batch, folder: Path) -> dict[str, Callable[[], object]]:
    """What is timed of a student: steps, and the teacher's forward pass."""
    calls: dict[str, Callable[[], object]] = {}
    for name, weight, cached in (("outputs", 0.0, False), ("full", 0.3, False), ("full, cached", 0.3, True)):
        calls[name] = distilling_step(plan, batch, weight, LessonCache(folder) if cached else None)
    teacher = Teacher(load(artifact_folder("photos")).network)
    network = Artifact.new(*plan, 0).network
    plain = a_step(network, supervised(LossSettings()), batch)
    return {"scratch": plain, "teacher": lambda: teacher(batch.blurred), **calls}


def distilling_step(plan: Plan, batch: Batch, weight: float, cache: LessonCache | None) -> Callable[[], object]:
    """A step with a teacher."""
    student, teacher = Artifact.new(*plan, 0).network, load(artifact_folder("photos")).network
    pairs = matched_by_scale(student, teacher) if weight else {}
    adapted = Adapted(student, teacher, pairs) if pairs else None
    asked = Teacher(teacher, list(pairs.values()), cache)
    loss = distillation(asked, DistillSettings(steps=1, features_weight=weight), adapted, weight)
    return a_step(adapted or student, loss, batch)


def a_step(network: nn.Module, loss: Loss, batch: Batch) -> Callable[[], object]:
    """A training step as the loop does it."""
    on_device(network.train(), "cpu")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)
    blurred = batch.blurred.contiguous(memory_format=torch.channels_last)

    def run() -> None:
        optimizer.zero_grad()
        torch.stack(list(loss(outputs_of(network, blurred), batch).values())).sum().backward()
        optimizer.step()

    return run


def show_steps(record: dict[str, Any]) -> None:
    """Milliseconds of a plain step and of the teacher, and what distillation adds, also as a share of the teacher."""
    added = ("outputs", "full", "full, cached")
    shown = Table("student", "step ms", "teacher ms", *(f"+ {name}" for name in added), title=record["conditions"])
    for row in record["rows"]:
        ms = row["median_ms"]
        extra = (ms[name] - ms["scratch"] for name in added)
        times = (f"{more:.0f} ms ({more / ms['teacher']:.2f} x)" for more in extra)
        shown.add_row(row["student"], f"{ms['scratch']:.0f}", f"{ms['teacher']:.0f}", *times)
    Console().print(shown)
    click.echo(f"machine: {record['machine'].get('cpu', '')}")


if __name__ == "__main__":
    main()
