"""A recipe's way from settings to records: teacher, chains, deployables, scores, latencies, gates, report."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from baseline.atomic import DiskFullError, whole_file, write_whole
from baseline.data.datasets import open_data
from baseline.data.pairs import PairSet
from baseline.data.pictures import write_picture
from baseline.errors import UserError
from baseline.evaluate import PictureScore
from baseline.progress import console
from baseline.user_code import NotAllowedError
from compress.exporting_settings import ExportSettings
from compress.machine import describe_machine
from compress.runtimes.table import RUNTIMES, file_runtime, files_of
from recipes.beginnings import check_beginnings
from recipes.costing import cost_cached
from recipes.failures import keep_traceback, reason_of
from recipes.fitting import tell
from recipes.keys import library_versions
from recipes.measuring import places, time_cached
from recipes.pipeline import Pipeline
from recipes.recording import Finished, Reference, judge, record_of, run_info, unscored_record_of, unscored_run_info
from recipes.resolve import artifact_folder
from recipes.run_files import claim_, drop_variants_, forget_before_, keep_before_, link_
from recipes.run_folder import BEFORE
from recipes.run_log import RunLog
from recipes.schema import Recipe, Step, as_yaml
from recipes.scoring import how_scored, sample_names, score_cached
from recipes.store import Store
from recipes.subjects import Subject, artifact_of, scored_as, scored_runtime
from reports.card import write_cards
from reports.record import Report, Variant
from reports.write import write_report

TEACHER = "teacher"


def run_recipe(recipe: Recipe, content: dict[str, Any], name: str, out: Path, command: str) -> Report:
    """Run everything that is not finished yet and write the run's folder; returns the report.

    The store lies beside the run's folder and is shared by all runs there. A variant that fails, for whatever reason,
    is marked failed, and the others still run; a teacher that fails ends the run. What an earlier run finished there is
    kept until a variant of this one is. A UserError, after the report is written, if no variant could be made for
    reasons of the user's alone.
    """
    store = Store(out.parent / ".store")
    with store.held():
        claim_(out)
        run = _Run(recipe, name, out, store, command)
        if keep_before_(out):
            kept = f"what was finished in {out} is kept in {out / BEFORE} until this run ends"
            console.print(kept, highlight=False, markup=False, soft_wrap=True)
        write_whole(out / "recipe.yaml", as_yaml(content))
        write_whole(out / "environment.json", json.dumps(run.environment, indent=1) + "\n")
        with run.log.kept():
            report = run.go()
            write_report(report, out)
            write_cards(report, out)
        if run.none_was_made is not None:
            raise run.none_was_made
        if any(variant.status == "done" for variant in report.variants):
            forget_before_(out)
        return report


class _Run:
    """One run of one recipe. Building it opens the data and builds what chains begin with: see `check_beginnings`."""

    def __init__(self, recipe: Recipe, name: str, out: Path, store: Store, command: str) -> None:
        self.name = name
        self.out = out
        self.command = command
        self.store = store
        self.log = RunLog(out)
        data = open_data(recipe.data)
        fitted = check_beginnings(recipe, data)
        self.recipe = fitted.recipe
        tell(fitted.notes)
        self.data = replace(data, notes=(*data.notes, *fitted.notes))
        self.machine = describe_machine()
        self.environment = self.machine | library_versions()
        self.pairs = self._test_pairs()
        network = recipe.teacher.network
        self.start = None if network is None else artifact_folder(network)
        self.none_was_made: UserError | None = None
        self._only_users_errors = True

    def go(self) -> Report:
        """All of it, in order."""
        drop_variants_(self.out)  # at once: what a killed run leaves must not be taken for this one's
        finished, failed = self._make_all()
        if len(finished) == 1:
            return self._of_teacher_alone(finished[TEACHER], failed)
        self._tell({"event": "time", "variant": "all", "how": "in turn"})
        subjects = [one.subject for one in finished.values()]
        latencies = time_cached(self.store, subjects, self.recipe.measure, self.machine)
        runtime = scored_runtime(subjects, self.recipe.gates.runtime)
        for one in finished.values():
            one.subject = scored_as(one.subject, runtime)
        blurred = self._score(Subject("blurred", None, {}))
        self._keep_sharp()
        scores = self._score_all(finished, failed)
        reference = Reference(blurred, scores[TEACHER], latencies[TEACHER], self.recipe.gates)
        records = {}
        for name, one in finished.items():
            cost = cost_cached(self.store, artifact_of(one.subject), self.recipe.measure.size)
            record = record_of(one, cost, scores[name], latencies[name], reference)
            records[name] = record.model_copy(update={"note": self.recipe.notes.get(name, "")})
            self._keep(one, records[name])
        teacher = records.pop(TEACHER)
        info = run_info(self.name, self.recipe, self.data, blurred, sample_names(self.pairs))
        info = info.model_copy(update={"environment": self.environment, "command": self.command})
        return Report(run=info, teacher=teacher, variants=[records.get(n) or failed[n] for n in self.recipe.variants])

    def _of_teacher_alone(self, teacher: Finished, failed: dict[str, Variant]) -> Report:
        """The report where all variants failed: a teacher that nothing is compared with is worth no minutes."""
        first = next(iter(failed.values()))
        reason = f"all {len(failed)} variants failed, and the teacher alone is neither timed nor scored"
        if self._only_users_errors:
            self.none_was_made = UserError(
                f"at least one variant must be made; {reason}. The first, {first.name}: {first.error}"
            )
        cost = cost_cached(self.store, artifact_of(teacher.subject), self.recipe.measure.size)
        record = unscored_record_of(teacher, cost, self.recipe.gates, reason)
        self._keep(teacher, record)
        info = unscored_run_info(self.name, self.recipe, self.data, reason)
        info = info.model_copy(update={"environment": self.environment, "command": self.command})
        return Report(run=info, teacher=record, variants=[failed[name] for name in self.recipe.variants])

    def _make_all(self) -> tuple[dict[str, Finished], dict[str, Variant]]:
        pipeline = Pipeline(self.store, self.data, self._tell)
        settings = self.recipe.teacher
        steps = [] if settings.train is None else [Step(stage="train", settings=settings.train)]
        finished = {TEACHER: self._finish(pipeline, self.start, steps, TEACHER)}
        pipeline.teacher = finished[TEACHER].subject.artifact
        failed: dict[str, Variant] = {}
        for name, chain in self.recipe.variants.items():
            try:
                finished[name] = self._finish(pipeline, pipeline.teacher, chain, name)
            except NotAllowedError:
                raise
            except Exception as error:  # noqa: BLE001  whatever a stage raises is one variant's failure
                failed[name] = self._failed(name, error)
        return finished, failed

    def _failed(self, name: str, error: Exception) -> Variant:
        """The record of a variant that failed, written at once, its traceback beside it."""
        reason = reason_of(error)
        self._only_users_errors &= isinstance(error, UserError) and not isinstance(error, DiskFullError)
        self._tell({"event": "failed", "variant": name, "error": reason})
        chain = [step.label() for step in self.recipe.variants[name]]
        unjudged = judge({}, [], self.recipe.gates)
        record = Variant(name=name, chain=chain, status="failed", error=reason, gates=unjudged)
        keep_traceback(error, self._write_record(record))
        return record

    def _finish(self, pipeline: Pipeline, start: Path | None, steps: list[Step], name: str) -> Finished:
        """A chain and, for every runtime with files that is asked for, its deployable or why there is none."""
        made = pipeline.chain(start, steps, name)
        files: dict[str, Path] = {}
        refused: dict[str, str] = {}
        deployed: list[dict[str, Any]] = []
        for place in places(self.recipe.measure):
            suffix = RUNTIMES[place.runtime].suffix
            if suffix is None or place.runtime in files or place.device not in RUNTIMES[place.runtime].devices:
                continue
            reason = file_runtime(place.runtime).unavailable(place.device)
            if reason is not None:
                refused[place.runtime] = reason
                continue
            settings = ExportSettings(runtime=place.runtime, size=self.recipe.measure.size)
            try:
                exported = pipeline.step(made, Step(stage="export", settings=settings), name)
            except DiskFullError:
                raise
            except UserError as error:
                failed = {"event": "failed", "variant": name, "runtime": place.runtime}
                self._tell({**failed, "error": f"{place.runtime} file: {error}"})
                refused[place.runtime] = str(error)
                continue
            if exported.folder is not None:
                files[place.runtime] = exported.folder / f"network{suffix}"
                deployed.append({"stage": f"export: {place.runtime}", "details": exported.outcomes[-1]["details"]})
        missing = {f"{runtime} file": reason for runtime, reason in refused.items()}
        finished = Finished(Subject(name, made.folder, files, refused), made.outcomes, missing, deployed)
        cost = cost_cached(self.store, artifact_of(finished.subject), self.recipe.measure.size)
        self._write_record(unscored_record_of(finished, cost, self.recipe.gates))
        return finished

    def _score_all(self, finished: dict[str, Finished], failed: dict[str, Variant]) -> dict[str, list[PictureScore]]:
        """The scores by name; a variant that fails at it moves from the finished to the failed."""
        scores = {}
        for name, one in list(finished.items()):
            try:
                scores[name] = self._score(one.subject)
            except Exception as error:
                if name == TEACHER:
                    raise
                del finished[name]
                failed[name] = self._failed(name, error)
        return scores

    def _score(self, subject: Subject) -> list[PictureScore]:
        self._tell({"event": "score", "variant": subject.name, "how": how_scored(subject)})
        rows, pictures = score_cached(self.store, subject, self.data, self.pairs)
        for name in sample_names(self.pairs):
            kept = self.out / "pictures" / name / f"{subject.name}.webp"
            with whole_file(kept) as beside:
                shutil.copyfile(pictures / f"{name}.webp", beside)
        return rows

    def _keep_sharp(self) -> None:
        for pair in self.pairs.only(sample_names(self.pairs)):
            write_picture(pair.sharp, self.out / "pictures" / pair.name / "sharp.webp")

    def _test_pairs(self) -> PairSet:
        count = self.recipe.measure.pictures
        return self.data.test if count is None else self.data.test.only(self.data.test.names[:count])

    def _keep(self, one: Finished, record: Variant) -> None:
        """The variant's folder: its record, and links to its artifact and deployables in the store."""
        folder = self._write_record(record)
        links = {"artifact": one.subject.artifact}
        links |= {f"{record.name}{f.suffix}": f for path in one.subject.files.values() for f in files_of(path)}
        for name, target in links.items():
            if target is not None:
                link_(folder / name, target)

    def _write_record(self, record: Variant) -> Path:
        """Write a variant's record; returns its folder."""
        folder = self.out / "variants" / record.name
        write_whole(folder / "record.json", record.model_dump_json(indent=1) + "\n")
        return folder

    def _tell(self, event: dict[str, Any]) -> None:
        self.log.tell(event)
        words = {
            "start": "doing",
            "reuse": "taking finished",
            "done": "",
            "score": "scoring",
            "time": "timing",
            "failed": "FAILED",
        }
        if words[event["event"]]:
            what = event.get("stage") or event.get("how") or event.get("error")
            told = f"{event['variant']}: {words[event['event']]} {what}"
            console.print(told, highlight=False, markup=False, soft_wrap=True)
