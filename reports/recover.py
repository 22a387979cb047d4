"""Reports of runs that did not end, from the records that they left; and what a run's folder lacks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from baseline.errors import UserError
from reports.record import Report, RunInfo, Variant

_TEACHER = "teacher"
_RECOVERED = (
    "Recovered from the records of single variants: the run did not end, or its report.json is gone. They do not hold "
    "the numbers of the blurred input, nor the conditions of the run as a whole; those of each number stand with it."
)


@dataclass(frozen=True)
class Asked:
    """What a run was asked for: the stages of its variants by name.

    `fates` says why a variant has no record, if that is known; `unread` why the recipe could not be read, if so.
    """

    description: str = ""
    data: str = "the record does not say"
    teacher: str | None = None
    chains: Mapping[str, list[str]] = field(default_factory=dict)
    fates: Mapping[str, str] = field(default_factory=dict)
    unread: str = ""


def recovered(folder: Path, asked: Asked, environment: dict[str, str]) -> Report:
    """The report of what a run made; a row without a readable record failed, and says why: the teacher's, too.

    A UserError if there is no record at all, and no recipe that says what the run was for.
    """
    read = {path.parent.name: _record(path) for path in sorted(folder.glob("variants/*/record.json"))}
    if not (read or asked.chains):
        raise UserError(
            f"{folder} must hold report.json, records of variants, or a recipe.yaml that can be read; it holds none. "
            f"{asked.unread}"
        )
    teacher = _variant(_TEACHER, read.pop(_TEACHER, None), asked)
    if teacher.status == "failed":
        teacher.missing["effort"] = f"{_TEACHER} failed: {teacher.error}"
    variants = [_variant(name, read.get(name), asked) for name in dict.fromkeys([*asked.chains, *read])]
    conditions = [_RECOVERED]
    if asked.unread:
        conditions.append(f"Variants without a record are not named: {asked.unread}")
    pictures = sorted(path.name for path in folder.glob("pictures/*") if path.is_dir())
    info = RunInfo(
        name=folder.resolve().name,
        description=asked.description,
        data=asked.data,
        teacher=asked.teacher,
        conditions=conditions,
        environment=environment,
        sample_pictures=pictures,
    )
    return Report(run=info, teacher=teacher, variants=variants)


def is_recovered(report: Report) -> bool:
    """Whether a report was made of single records: it is made again as soon as there are more."""
    return report.run.conditions[:1] == [_RECOVERED]


def gaps(report: Report, folder: Path) -> list[str]:
    """What a run's folder should hold for its report and does not, by path."""
    made = [variant.name for variant in (report.teacher, *report.variants) if variant.status == "done"]
    teacher = [_TEACHER] if report.teacher.name in made else []
    columns = [*teacher, *(name for name in made if name != report.teacher.name)]
    folders = [f"variants/{name}" for name in columns]
    pictures = [
        f"pictures/{picture}/{column}.webp"
        for picture in report.run.sample_pictures
        for column in ("blurred", *columns, "sharp")
    ]
    return [*_absent(folder, "variants", folders), *_absent(folder, "pictures", pictures), *_dangling(folder)]


def _absent(folder: Path, parent: str, paths: list[str]) -> list[str]:
    """The paths that are not there; only their parent, if not even that is."""
    if paths and not (folder / parent).is_dir():
        return [f"{parent}/"]
    return [path for path in paths if not (folder / path).exists()]


def _dangling(folder: Path) -> Iterator[str]:
    """Links of variants to files that are gone from the store."""
    for path in sorted(folder.glob("variants/*/*")):
        if path.is_symlink() and not path.exists():
            yield str(path.relative_to(folder))


def _record(path: Path) -> Variant | str:
    """A variant's record, or why it cannot be read."""
    try:
        return Variant.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"its record cannot be read ({f'{where}: ' if where else ''}{first['msg']})"
    except OSError as error:
        return f"its record cannot be read ({error.strerror})"


def _variant(name: str, read: Variant | str | None, asked: Asked) -> Variant:
    """A variant as its record says; one without a record as failed, with the reason."""
    if isinstance(read, Variant):
        return read
    reason = read or asked.fates.get(name, "there is no record of it: the run ended before that was written")
    return Variant(name=name, chain=asked.chains.get(name, []), status="failed", error=reason)
