"""A network's files: which runtime's each is, and which of the teacher's it may be compared with."""

import re

from reports.record import FileSize, Report, Variant

_EXPORT = "export: "


def files_of(variant: Variant) -> list[FileSize]:
    """Every file whose size is known, the one that was scored first; an old record may not name its runtime."""
    if variant.files:
        return variant.files
    sizes: dict[str, float] = {}
    measured = variant.metrics.get("file_mb")
    if measured is not None and measured.value is not None:
        named = re.search(r"(\w+) file\b", measured.conditions)
        sizes[named[1] if named else ""] = measured.value
    for detail in variant.details:
        stage = str(detail.get("stage", ""))
        if stage.startswith(_EXPORT) and "megabytes" in detail:
            sizes.setdefault(stage.removeprefix(_EXPORT), float(detail["megabytes"]))
    return [FileSize(runtime=runtime, size_mb=size) for runtime, size in sizes.items()]


def scored_file(variant: Variant) -> FileSize | None:
    """The file that quality was scored with and that `file_mb` is the size of; None if it has none."""
    measured = variant.metrics.get("file_mb")
    return None if measured is None or measured.value is None else files_of(variant)[0]


def smallest_file(variant: Variant) -> FileSize | None:
    """The smallest file of any runtime."""
    return min(files_of(variant), key=lambda file: file.size_mb, default=None)


def teachers_size(file: FileSize, report: Report) -> float | None:
    """The size of the teacher's file for the same runtime, as the same run wrote it: the only one to compare with."""
    same = (one for one in files_of(report.teacher) if (one.run, one.runtime) == (file.run, file.runtime))
    return next((one.size_mb for one in same), None)


def scored_runtimes(report: Report) -> set[str]:
    """The runtimes whose files were scored, the teacher's and the variants'."""
    files = (scored_file(variant) for variant in (report.teacher, *report.variants))
    return {file.runtime for file in files if file is not None}


def scoring_notes(report: Report) -> list[str]:
    """A line for those that were not scored as the same runtime's file as their run's teacher, for each such pair."""
    pairs: dict[tuple[str, str], list[str]] = {}
    for variant in report.variants:
        file = scored_file(variant)
        run = None if file is None else file.run
        own, teachers = _scored(variant, run), _scored(report.teacher, run)
        if own and teachers and own != teachers:
            pairs.setdefault((own, teachers), []).append(variant.name)
    return [
        f"Scored {own}, but the teacher {teachers}, so that the loss is not of the network alone: {', '.join(names)}."
        for (own, teachers), names in pairs.items()
    ]


def _scored(variant: Variant, run: str | None) -> str:
    """What a run scored a network as, in words; nothing if that is not known."""
    runtime = next((file.runtime for file in files_of(variant) if file.run == run), "")
    if scored_file(variant) is not None:
        return f"as the {runtime} file" if runtime else ""
    measured = variant.metrics.get("psnr_db")
    return "in memory" if measured is not None and "in memory" in measured.conditions else ""
