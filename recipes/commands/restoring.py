"""restore: networks at work."""

import sys
from pathlib import Path

import click

from baseline.errors import UserError
from baseline.names import printable
from recipes.options import code_option


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--network", default="photos-partly", show_default=True, help="A shipped name, an artifact or a deployable's file."
)
@click.option("--runtime", default="eager", show_default=True, help="What runs an artifact: eager or inductor.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where the restored files go, names kept.")
@click.option("--overwrite", is_flag=True, help="Write over what else is in --out already.")
@click.option("--format", "form", help="Write all pictures as png, jpg, webp, tif or bmp.  [default: as they came]")
@click.option(
    "--selective",
    is_flag=True,
    help="Restore only where that is worth it, by a calibration that is made once for each network.",
)
@click.option(
    "--keep-gain",
    type=float,
    help="With --selective: the share of the PSNR gain to keep, by the network's calibration.  [default: 0.95]",
)
@click.option(
    "--decisions",
    type=click.Path(path_type=Path),
    help="With --selective: a folder for a drawing of each picture, red restored in full, orange and yellow at less.",
)
@click.option("--memory", help="What restoring may take, such as 1.5GB.  [default: three quarters of what is free]")
@code_option
def restore(
    inputs: tuple[Path, ...],
    network: str,
    runtime: str,
    out: Path,
    overwrite: bool,
    form: str | None,
    selective: bool,
    keep_gain: float | None,
    decisions: Path | None,
    memory: str | None,
) -> None:
    """Deblur pictures and videos of any size: files, folders, patterns.

    Pictures keep bit depth, transparency, EXIF, colour profile, orientation and text where their format can hold them;
    videos become H.264 of 8 bits at their mean frame rate, with the shape of their pixels, their sound and subtitles.
    What is lost is said of each. The same command again goes on where it was stopped. Exit code 1 if some files could
    not be restored.
    """
    share = _share(selective, keep_gain, decisions)
    from baseline.budget import parse_memory
    from baseline.data.unread_pictures import unread_pictures
    from baseline.restore import other_files
    from recipes.restoring_files import Asked, largest_seam, lost_before, opened, plan, restored

    bytes_ = None if memory is None else parse_memory(memory)
    asked = Asked(network, runtime, out, form, share, decisions, bytes_)
    planned, journal = plan(inputs, asked, overwrite)
    others = other_files(inputs, out)
    for path in others:
        click.echo(f"left alone, neither a picture nor a video that can be read: {printable(path)}", err=True)
    if unread := unread_pictures(others):
        click.echo(f"among them {unread}", err=True)
    for target, lost in lost_before(inputs, asked, planned, journal):
        click.echo(printable(f"finished before: {target} ({lost})"))
    if not planned:
        click.echo(f"all are finished already, in {out}{', and nothing is drawn anew' if decisions else ''}")
        return
    restorer, failed, traces = opened(asked, journal), 0, set[str]()
    for done in restored(planned, asked, restorer, journal):
        failed += done.error is not None
        note = f" ({done.note})" if done.note else ""
        line = f"failed: {done.error}" if done.error else f"{done.source} -> {done.target}{note}"
        click.echo(printable(line), err=done.error is not None)
        if done.trace is not None and done.trace not in traces:
            traces.add(done.trace)
            click.echo(done.trace, err=True)
    apart = largest_seam(restorer)
    if apart > 1:
        told = f"in tiles, this network gives up to {apart:.1f} grey levels more or less than in one piece"
        click.echo(told, err=True)
    if failed:
        click.echo(f"{failed} of {len(planned)} files could not be restored", err=True)
        sys.exit(1)


def _share(selective: bool, keep_gain: float | None, decisions: Path | None) -> float | None:
    """The share of the gain to keep, None to restore everything; a UserError for what goes with --selective alone."""
    if not selective and (keep_gain is not None or decisions is not None):
        given = "--keep-gain" if keep_gain is not None else "--decisions"
        raise UserError(f"{given} must come with --selective; it came alone. Add --selective.")
    from recipes.selective import KEEP_GAIN

    return (KEEP_GAIN if keep_gain is None else keep_gain) if selective else None
