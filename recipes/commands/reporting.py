"""report, diff: what came of one run or several. Neither imports torch."""

import os
import sys
from pathlib import Path

import click

from baseline.errors import UserError
from baseline.output import output_folder
from recipes.options import json_option
from recipes.printing import output
from recipes.recovery import read_run
from recipes.run_folder import making
from reports.card import write_cards
from reports.diff import difference
from reports.diff_view import diff_view
from reports.merge import copy_pictures, is_merged, merge
from reports.record import Report
from reports.recover import gaps, is_recovered
from reports.terminal import terminal_table
from reports.write import read_report, write_report, write_views

_MOST_GAPS = 8
_MOST_VARIANTS = 3


@click.command()
@click.argument("folders", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Where to write it: not into the run; needed for several.")
def report(folders: tuple[Path, ...], out: Path | None) -> None:
    """Print a run's table and write its report.{html,md,csv,tex} again. Its record, report.json, stays as it is.

    Several runs, of several machines too, become one report: each variant once, with a column of latencies for each
    run. They must share the teacher, the test pairs and the way of scoring.
    """
    if len(folders) > 1 and out is None:
        raise UserError(
            f"a report of several runs must have a folder of its own; there is no --out. Type: lightsharp report "
            f"{' '.join(map(str, folders))} --out runs/merged"
        )
    runs = list(zip(_run_names(folders), map(read_run, folders), folders, strict=True))
    for name, read, folder in runs:
        _tell_gaps(name, read, folder)
        if len(runs) > 1 and is_recovered(read) and not read.teacher.pictures:
            raise UserError(
                f"{folder} must have scored its teacher to be set beside other runs; it was stopped before. "
                f"Type: {making(folder)}"
            )
    merged = merge([(name, read) for name, read, _ in runs])
    target = output_folder(folders[0]) if out is None else _report_folder(out, merged.run.name)
    if out is not None:
        copy_pictures(runs, out)
    if out is None and not is_recovered(merged):
        write_views(merged, target)
    else:
        write_report(merged, target)
    if out is None:
        write_cards(merged, target)
    show_report(merged, target)


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@json_option
@click.option("--fail-on-change", is_flag=True, help="Exit code 1 if a number is worse by more than noise.")
def diff(old: Path, new: Path, form: str, as_json: bool, fail_on_change: bool) -> None:
    """Show what changed from run OLD to run NEW, and whether it exceeds noise.

    Quality is paired by picture: it differs if the 95% interval of the difference leaves out 0. Latencies differ if
    their ranges from p10 to p90 do not meet, on the same machine only. Counts are exact.
    """
    names = _run_names((old, new))
    one, other = read_run(old), read_run(new)
    mine, others = ({variant.name for variant in read.variants} for read in (one, other))
    if (mine or others) and not mine & others:
        raise UserError(
            f"the runs must have a variant in common; {names[0]} has {_some_variants(one)}, {names[1]} has "
            f"{_some_variants(other)}. To see them side by side, type: lightsharp report {old} {new} --out runs/merged"
        )
    found = difference((names[0], one), (names[1], other))
    if as_json or form == "json":
        click.echo(found.model_dump_json(indent=1))
    else:
        output().print(diff_view(found))
    if fail_on_change and found.with_verdict("worse"):
        sys.exit(1)


def _some_variants(read: Report) -> str:
    """The names of a run's first variants, and how many more there are."""
    names = [variant.name for variant in read.variants]
    more = f" and {len(names) - _MOST_VARIANTS} more" if len(names) > _MOST_VARIANTS else ""
    return (", ".join(names[:_MOST_VARIANTS]) or "none") + more


def _tell_gaps(name: str, read: Report, folder: Path) -> None:
    """Say what is not in a run's folder, and so not in the report."""
    if not read.variants:
        click.echo(
            f"{name} has no variants: its report.json names none, and the table is the teacher's alone", err=True
        )
    if is_recovered(read):
        without = [variant.name for variant in (read.teacher, *read.variants) if variant.status == "failed"]
        told = f"; failed or without a record: {', '.join(without)}" if without else ""
        click.echo(f"{name} has no report.json of its own: this one is made of what it left{told}", err=True)
        if making(folder):
            click.echo(f"to go on where it stopped, type: {making(folder)}", err=True)
    missing = [] if is_merged(read) else gaps(read, folder)
    if missing:
        rest = f" and {len(missing) - _MOST_GAPS} more" if len(missing) > _MOST_GAPS else ""
        click.echo(f"not in {folder}: {', '.join(missing[:_MOST_GAPS])}{rest}", err=True)


def show_report(shown: Report, folder: Path) -> None:
    """Print a report's table, and where its page is."""
    output().print(terminal_table(shown))
    click.echo(f"report: {folder / 'report.html'}")


def _run_names(folders: tuple[Path, ...]) -> list[str]:
    """A name for each run: its folder's, with as many folders above it as it takes to tell them apart."""
    resolved = [folder.resolve() for folder in folders]
    twice = next((folder for folder in resolved if resolved.count(folder) > 1), None)
    if twice is not None:
        raise UserError(f"the runs must be different; {twice} is named twice. Name it once.")
    depth = 1
    while len({folder.parts[-depth:] for folder in resolved}) < len(resolved):
        depth += 1
    return ["-".join(part for part in folder.parts[-depth:] if part != os.sep) for folder in resolved]


def _report_folder(out: Path, name: str) -> Path:
    """The folder for the report of that name, made; a UserError if it holds what must not be mixed up with it or lost.

    A report of several runs may be overwritten: it is made again from theirs.
    """
    if (out / "recipe.yaml").exists() or (out / "variants").exists():
        raise UserError(f"{out} must not be a run's folder; it is, and stays as it was. Choose another --out.")
    if any(output_folder(out).iterdir()):
        earlier = read_report(out) if (out / "report.json").is_file() else None
        if earlier is None:
            raise UserError(f"{out} must be empty or a report's folder; it holds other things. Choose another --out.")
        if earlier.run.name != name and not is_merged(earlier):
            raise UserError(
                f"{out} must not hold another report; it has that of {earlier.run.name}. Choose another --out."
            )
    return out
