"""Quality in two runs, paired by picture: the mean difference with its interval, bootstrapped by photograph."""

from baseline.measurement import Mean, mean_of
from reports.comparable import QUALITY
from reports.record import Report, Variant

PAIRED = (*QUALITY, "psnr_loss_db", "gain_kept")
"""The metrics that are means over pictures."""

Values = dict[str, float]
"""A value for each picture, by its name."""


def mean_difference(key: str, old: tuple[Report, Variant], new: tuple[Report, Variant]) -> Mean | str:
    """The mean of new - old over the pictures, or why there is none."""
    before, after = _values(key, *old), _values(key, *new)
    if isinstance(before, str) or isinstance(after, str):
        return before if isinstance(before, str) else str(after)
    if list(before) != list(after):
        return "not the same pictures"
    groups = [picture.group for picture in new[1].pictures]
    return mean_of([after[name] - before[name] for name in after], groups)


def _values(key: str, report: Report, variant: Variant) -> Values | str:
    """What a metric is the mean of, or why that is not known."""
    if not variant.pictures:
        return "the record has no single pictures"
    if key == "psnr_loss_db":
        return _losses(report.teacher, variant)
    if key == "gain_kept":
        return _shares(report, variant)
    values = {picture.name: getattr(picture, key) for picture in variant.pictures}
    return f"the record has no {key} of single pictures" if None in values.values() else values


def _losses(teacher: Variant, variant: Variant) -> Values | str:
    """How far each picture falls short of the teacher's."""
    reference = {picture.name: picture.psnr_db for picture in teacher.pictures}
    if not all(picture.name in reference for picture in variant.pictures):
        return "the teacher's record lacks some of its pictures"
    return {picture.name: reference[picture.name] - picture.psnr_db for picture in variant.pictures}


def _shares(report: Report, variant: Variant) -> Values | str:
    """What each picture adds to the gain kept; the mean PSNR of input and teacher are taken as certain."""
    blurred, teacher = report.run.blurred_psnr_db, report.teacher.value("psnr_db")
    if blurred is None or teacher is None or teacher == blurred:
        return "the record does not say what the teacher gains"
    return {picture.name: (picture.psnr_db - blurred) / (teacher - blurred) for picture in variant.pictures}
