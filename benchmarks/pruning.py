"""Channel pruning of the shipped teacher, judged on its test pairs: four tables, each from one run of its command.

    python benchmarks/pruning.py criteria      which channels: PSNR at ratio 0.3 without fine-tuning, every criterion
    python benchmarks/pruning.py half-macs     where: uniform widths against widths by sensitivity, equal fine-tuning
    python benchmarks/pruning.py latency       four widths each of uniform and of latency-aware pruning, by the clock
    python benchmarks/pruning.py prediction    latency of random width plans, predicted from timed layers and measured

Trainings and compiled files are kept in --work and go on where they were killed; time on an idle machine.
"""

import copy
import itertools
import json
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from baseline.artifact import Artifact, load
from baseline.data.datasets import open_data
from baseline.data.loader import Batch, fixed_crops
from baseline.data.pairs import DataSet
from baseline.errors import UserError
from baseline.evaluate import Unchanged, mean_psnr
from baseline.restorer import NetworkRestorer
from baseline.settings import DataSettings
from baseline.trainer import fit
from compress.channels import Channels, removed
from compress.cost import cost
from compress.criteria import CRITERIA
from compress.distill import distillation
from compress.latency import Untimed, time_in_turn
from compress.layer_latency import LayerLatency
from compress.lessons import Teacher
from compress.machine import describe_machine
from compress.pricing import PricedNetwork
from compress.prune import Surveyed, apply_, plan, sensitivity_of, survey
from compress.pruning_settings import LatencyPlace, PruneSettings
from compress.runtimes.table import file_runtime
from compress.sensitivity import Sensitivity
from compress.target import Target
from compress.teaching_settings import DistillSettings
from compress.verify import check_groups
from compress.widths import ALLOCATIONS
from recipes.resolve import artifact_folder

SIZE = (256, 256)
PLACE = LatencyPlace(threads=2, size=SIZE)
RESULTS = Path("benchmarks/results/pruning")
UNIFORM_RATIOS = (0.125, 0.25, 0.375, 0.5)
LATENCY_CUTS = (0.2, 0.4, 0.55, 0.7)

Row = dict[str, Any]


class Bench:
    """The teacher, its data, and a folder of finished work."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.teacher = load(artifact_folder("photos"))
        self.data: DataSet = open_data(DataSettings())
        self.blurred_db = mean_psnr(Unchanged(), self.data.test)
        self.teacher_db = self.psnr_db(self.teacher.network)
        self._surveyed: dict[tuple[str, int], tuple[Surveyed, list[Batch]]] = {}
        self._curves: dict[tuple[str, int], Sensitivity] = {}

    def psnr_db(self, network: nn.Module) -> float:
        """Mean PSNR over the test pairs."""
        return mean_psnr(NetworkRestorer(network.eval()), self.data.test)

    def pruned(self, settings: PruneSettings) -> tuple[Artifact, Row]:
        """The teacher pruned; with it what was achieved."""
        artifact = copy.deepcopy(self.teacher)
        key = (settings.criterion, settings.seed)
        if key not in self._surveyed:
            source = self.data.training_crops(settings.crop)
            batches = [fixed_crops(source, settings.crops, settings.crop, settings.seed)]
            self._surveyed[key] = survey(self.teacher.network, settings, batches), batches
        surveyed, batches = self._surveyed[key]
        if ALLOCATIONS[settings.widths].needs_curves and key not in self._curves:
            self._curves[key] = self._measured_once(key, surveyed, settings, batches)
        report = apply_(artifact.network, plan(surveyed, settings, self._curves.get(key)), settings)
        return artifact, report.achieved

    def _measured_once(
        self, key: tuple[str, int], surveyed: Surveyed, settings: PruneSettings, batches: list[Batch]
    ) -> Sensitivity:
        path = self.work / f"curves-{key[0]}-{key[1]}.json"
        if not path.is_file():
            curves = sensitivity_of(self.teacher.network, surveyed, settings, batches)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(curves.as_json()))
        return Sensitivity.from_json(json.loads(path.read_text()))

    def pruned_once(self, name: str, settings: PruneSettings) -> Artifact:
        """The teacher pruned, kept: widths for a latency are chosen once, on an idle machine."""
        folder = self.work / f"{name}-pruned"
        if not (folder / "model.json").is_file():
            self.pruned(settings)[0].save(folder)
        return load(folder)

    def fine_tuned(self, name: str, settings: PruneSettings, training: DistillSettings) -> Artifact:
        """The teacher pruned and trained on against it, once."""
        folder = self.work / name
        if not (folder / "model.json").is_file():
            artifact = self.pruned_once(name, settings)
            loss = distillation(Teacher(copy.deepcopy(self.teacher.network)), training)
            fit(artifact.network, self.data.training_crops(training.crop), loss, training, folder / "training")
            artifact.save(folder)
        return load(folder)

    def scored(self, name: str, network: nn.Module) -> float:
        """Mean PSNR over the test pairs, kept beside the artifact: timing then needs no scoring before it."""
        path = self.work / name / "psnr_db.json"
        if not path.is_file():
            path.write_text(json.dumps(self.psnr_db(network)))
        return float(json.loads(path.read_text()))

    def cuts(self, network: nn.Module) -> Row:
        """The shares of parameters and MACs that are gone."""
        before, after = cost(self.teacher.network), cost(network)
        return {"params_cut": 1 - after.params / before.params, "macs_cut": 1 - after.macs / before.macs}

    def compiled(self, name: str, network: nn.Module) -> Path:
        """A network as a file for the CPU, once."""
        path = self.work / f"{name}.pt2"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            file_runtime("aoti").export(network, path, SIZE)
        return path

    def timed(self, files: dict[str, Path], rounds: int) -> dict[str, float]:
        """Median milliseconds of the files, in turn; a UserError if one cannot be timed."""
        targets = {name: Target(str(path), "aoti", size=SIZE, threads=PLACE.threads) for name, path in files.items()}
        medians = {}
        for name, timed in time_in_turn(targets, rounds).items():
            if isinstance(timed, Untimed):
                raise UserError(f"{name} must be timed; {timed.reason}.")
            medians[name] = timed.median_ms
            if timed.noise.noisy:
                click.echo(f"{name} is noisy: {timed.noise.reasons}", err=True)
        return medians


@click.group()
def main() -> None:
    """Channel pruning of the shipped teacher on its test pairs."""


work_option = click.option("--work", type=click.Path(path_type=Path), default=Path("runs/pruning_benchmark"))
seeds_option = click.option("--seeds", default=3)


@main.command()
@work_option
@seeds_option
def criteria(work: Path, seeds: int) -> None:
    """Ratio 0 and ratio 0.3 without fine-tuning."""
    bench = Bench(work)
    rows: list[Row] = [unpruned_row(bench)]
    for criterion in CRITERIA:
        for widths in ("uniform", "global", "sensitivity"):
            # Curves take minutes: one set of crops, and the criterion that the others are to beat.
            if widths == "sensitivity" and criterion != "fisher":
                continue
            drawn = CRITERIA[criterion].needs_data or criterion == "random"
            found = [
                bench.pruned(PruneSettings(ratio=0.3, criterion=criterion, widths=widths, seed=seed, multiple=1))
                for seed in range(seeds if drawn and widths == "uniform" else 1)
            ]
            losses = [bench.teacher_db - bench.psnr_db(artifact.network) for artifact, _ in found]
            rows.append(
                {
                    "criterion": criterion,
                    "widths": widths,
                    "psnr_loss_db": mean(losses),
                    "losses": losses,
                    **{key: mean(achieved[key] for _, achieved in found) for key in found[0][1]},
                }
            )
            click.echo(f"{criterion} {widths}: {mean(losses):.3f} dB", err=True)
    finish("criteria", bench, rows, {"ratio": 0.3, "fine-tuning steps": 0, "seeds": seeds})


def unpruned_row(bench: Bench) -> Row:
    """Removing nothing changes nothing: the outputs of a network from which no channel is removed, bit for bit."""
    channels = Channels(copy.deepcopy(bench.teacher.network))
    nothing = removed(bench.teacher.network, channels, {name: [] for name in channels.groups}).eval()
    picture = fixed_crops(bench.data.training_crops(96), 1, 96, 0).blurred
    with torch.inference_mode():
        same = all(torch.equal(a, b) for a, b in zip(nothing(picture), bench.teacher.network(picture), strict=True))
    checks = check_groups(bench.teacher.network)
    return {
        "criterion": "ratio 0",
        "widths": f"outputs equal bit for bit: {same}",
        "psnr_loss_db": bench.teacher_db - bench.psnr_db(nothing),
        "ratio": 0.0,
        "params_cut": 0.0,
        "macs_cut": 0.0,
        "exact_groups": sum(check.protected_because is None for check in checks),
        "protected": {c.name: c.protected_because for c in checks if c.protected_because},
    }


def training_settings(steps: int, seed: int) -> DistillSettings:
    """Short fine-tuning on small crops, the same for every row."""
    return DistillSettings(steps=steps, crop=64, lr=4e-4, ema=0.98, workers=0, seed=seed, validate_every=10 * steps)


@main.command("half-macs")
@work_option
@seeds_option
@click.option("--steps", default=200)
@click.option("--only-seed", type=int, help="Do this one's trainings, and no table.")
def half_macs(work: Path, seeds: int, steps: int, only_seed: int | None) -> None:
    """Half of the MACs, equal fine-tuning: uniform widths against widths by sensitivity."""
    bench = Bench(work)
    rows: list[Row] = []
    for seed in range(seeds) if only_seed is None else [only_seed]:
        for widths in ("uniform", "sensitivity"):
            settings = PruneSettings(macs_cut=0.5, criterion="fisher", widths=widths, seed=seed, multiple=1)
            name = f"half-macs/{widths}-{seed}"
            before = bench.pruned_once(name, settings)
            tuned = bench.fine_tuned(name, settings, training_settings(steps, seed))
            rows.append(
                {
                    "widths": widths,
                    "seed": seed,
                    "untuned_loss_db": bench.teacher_db - bench.psnr_db(before.network),
                    "psnr_loss_db": bench.teacher_db - bench.psnr_db(tuned.network),
                    **bench.cuts(tuned.network),
                }
            )
    if only_seed is None:
        finish("half_macs", bench, rows, {"criterion": "fisher", "fine-tuning": f"{steps} steps of 8 crops of 64"})


@main.command()
@work_option
@seeds_option
@click.option("--steps", default=60)
@click.option("--rounds", default=15)
@click.option("--first-seed", default=0, help="With --only: begin with this seed.")
@click.option("--only", type=click.Choice(["plans", "uniform", "latency-aware"]), help="Do this work, and no table.")
def latency(work: Path, seeds: int, steps: int, rounds: int, first_seed: int, only: str | None) -> None:
    """PSNR against measured latency: four uniform ratios and four latency targets, a curve each for every seed.

    Choosing the widths for a latency times layers: do it with --only plans on an idle machine before the trainings.
    """
    load_before = os.getloadavg()[0]
    bench = Bench(work)
    asked = [("uniform", {"ratio": r}) for r in UNIFORM_RATIOS]
    asked += [("latency-aware", {"latency_cut": c}) for c in LATENCY_CUTS]
    rows: list[Row] = []
    files = {"teacher": bench.compiled("latency/teacher", bench.teacher.network)}
    for seed, (kind, target) in itertools.product(range(first_seed, seeds), asked):
        if only in ("uniform", "latency-aware") and only != kind:
            continue
        by = "uniform" if kind == "uniform" else "sensitivity"
        settings = PruneSettings(**target, criterion="fisher", widths=by, seed=seed, latency=PLACE)
        name = f"latency/{kind}-{next(iter(target.values()))}-{seed}"
        bench.pruned_once(name, settings)
        if only != "plans":
            tuned = bench.fine_tuned(name, settings, training_settings(steps, seed)).network
            # Uniform widths are the same for every seed, and time does not depend on the weights: one file for all.
            file = name.replace(f"-{seed}", "-0") if kind == "uniform" else name
            files[file] = bench.compiled(file, tuned)
            row = {"kind": kind, "seed": seed, **target, "file": file, "psnr_db": bench.scored(name, tuned)}
            rows.append(row | bench.cuts(tuned))
    if only is not None:
        return
    taken = bench.timed(files, rounds)
    for row in rows:
        row["latency_ms"] = taken[row["file"]]
        row["of_teacher"] = taken[row["file"]] / taken["teacher"]
    compared = [row for seed in range(seeds) for row in at_equal_quality(rows, seed)]
    conditions = {
        "criterion": "fisher",
        "fine-tuning": f"{steps} steps of 8 crops of 64",
        "load_before": load_before,
        "teacher_ms": taken["teacher"],
        "at_equal_psnr": compared,
        "mean_ratio": mean(row["ratio_of_latencies"] for row in compared),
        "compared": f"{len(compared)} of {len(rows) // 2} uniform rows; the others' PSNR is outside of the aware ones'",
    }
    finish("latency", bench, rows, conditions)


def at_equal_quality(rows: Sequence[Row], seed: int) -> list[Row]:
    """At the PSNR of every uniform row that the latency-aware rows span: their interpolated latency, over its own."""
    aware = sorted((r["psnr_db"], r["latency_ms"]) for r in rows if r["kind"] == "latency-aware" and r["seed"] == seed)
    qualities, times = zip(*aware, strict=True)
    found = []
    for row in rows:
        if row["kind"] == "uniform" and row["seed"] == seed and qualities[0] <= row["psnr_db"] <= qualities[-1]:
            at = float(np.interp(row["psnr_db"], qualities, times))
            found.append(
                {
                    "seed": seed,
                    "uniform_ratio": row["ratio"],
                    "psnr_db": row["psnr_db"],
                    "uniform_ms": row["latency_ms"],
                    "latency_aware_ms": at,
                    "ratio_of_latencies": at / row["latency_ms"],
                }
            )
    return found


@main.command()
@work_option
@click.option("--plans", default=10)
@click.option("--passes", default=5, help="How often the layers are timed, and then the files.")
@click.option("--rounds", default=5, help="Over the files, in every pass.")
def prediction(work: Path, plans: int, passes: int, rounds: int) -> None:
    """Random widths: half of the plans in multiples that the device likes, half in multiples of two.

    As the prune stage states it, a prediction is the share that the table of timed layers gives, of what the unpruned
    network was measured to take. What the table says by itself is a column, too. The layers and
    the files are timed in turn, several times, so that a drift of the machine meets both alike; medians are compared.
    """
    load_before = os.getloadavg()[0]
    bench = Bench(work)
    network = bench.teacher.network
    channels = Channels(network)
    names = [check.name for check in check_groups(network, channels) if check.protected_because is None]
    priced = PricedNetwork(network, channels, SIZE)
    rng, chosen = random.Random(0), []
    for number in range(plans):
        multiple = 16 if number % 2 == 0 else 2
        widths = {}
        for name in names:
            before = channels.groups[name].channels
            widths[name] = min(before, max(multiple, round(before * rng.uniform(0.25, 1) / multiple) * multiple))
        chosen.append((multiple, widths))
    files = {"teacher": bench.compiled("prediction/teacher", network)}
    for number, (_, widths) in enumerate(chosen):
        removal = {name: list(range(channels.groups[name].channels - width)) for name, width in widths.items()}
        files[str(number)] = bench.compiled(f"prediction/{number}", removed(network, channels, removal).eval())
    tables, times = [], []
    for _ in range(passes):
        with tempfile.TemporaryDirectory() as nothing_kept:
            clock = LayerLatency(PLACE, Path(nothing_kept))
            tables.append([priced.total(widths, clock) for widths in ({}, *(widths for _, widths in chosen))])
        times.append(bench.timed(files, rounds))
    whole, *by_table = (median(ms) for ms in zip(*tables, strict=True))
    taken = {name: median(one[name] for one in times) for name in files}
    predicted = [taken["teacher"] * ms / whole for ms in by_table]
    rows: list[Row] = [
        {
            "plan": number,
            "multiple": multiple,
            "by_table_ms": by_table[number],
            "predicted_ms": predicted[number],
            "measured_ms": taken[str(number)],
            "off": predicted[number] / taken[str(number)] - 1,
        }
        for number, (multiple, _) in enumerate(chosen)
    ]
    within = sum(abs(row["off"]) <= 0.15 for row in rows)
    conditions = {
        "load_before": load_before,
        "teacher_ms": taken["teacher"],
        "teacher_by_table_ms": whole,
        "teacher_ms_by_pass": [one["teacher"] for one in times],
        "within_15_percent": f"{within} of {plans}",
    }
    finish("prediction", bench, rows, conditions)


def finish(name: str, bench: Bench, rows: list[Row], conditions: Row) -> None:
    """Write the record and print it as a table with its conditions."""
    record = {
        "teacher_psnr_db": bench.teacher_db,
        "blurred_psnr_db": bench.blurred_db,
        **conditions,
        "machine": describe_machine(),
        "rows": rows,
    }
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    keys = [key for key in rows[-1] if key not in ("losses", "file")]
    table = Table(*keys)
    for row in rows:
        table.add_row(*(f"{row[k]:.3f}" if isinstance(row.get(k), float) else str(row.get(k, "")) for k in keys))
    Console().print(table)
    for key, value in record.items():
        if key != "rows":
            click.echo(f"{key}: {value}")


if __name__ == "__main__":
    main()
