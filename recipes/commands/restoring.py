"""restore: networks at work."""

import math
import sys
from pathlib import Path

import click

from baseline.errors import UserError
from baseline.output import output_folder


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
    help="With --selective: a folder for drawings of it: red is restored in full, orange and yellow at smaller scales.",
)
@click.option("--memory", help="What restoring may take, such as 1.5GB.  [default: three quarters of what is free]")
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

    Pictures keep their bit depth, transparency, EXIF, colour profile and orientation where their format can hold them;
    videos become H.264 of 8 bits at their mean frame rate, with their sound. The same command again goes on where it
    was stopped. Exit code 1 if some files could not be restored.
    """
    if not selective and (keep_gain is not None or decisions is not None):
        given = "--keep-gain" if keep_gain is not None else "--decisions"
        raise UserError(f"{given} must come with --selective; it came alone. Add --selective.")
    from baseline.bounded import BoundedRestorer
    from baseline.budget import free_memory, parse_memory
    from baseline.data.picture_files import Pixels, check_format, lift_limit
    from baseline.journal import Journal
    from baseline.progress import progress
    from baseline.restore import megapixels, other_files, plan_outputs, restore_files
    from baseline.selective.overlay import write_drawing
    from baseline.tiles import Seam
    from compress.runtimes.table import memory_runtime
    from recipes.networks import open_named
    from recipes.restoring import network_key
    from recipes.selective import KEEP_GAIN, check_share, made_selective

    check_format(form)
    asked = None if memory is None else parse_memory(memory)
    lift_limit()
    memory_runtime(runtime)
    share = (KEEP_GAIN if keep_gain is None else keep_gain) if selective else None
    if share is not None:
        check_share(share)
    chosen = {} if share is None else {"keep_gain": share}
    key = network_key(network, memory=asked, form=form, runtime=runtime, **chosen)
    journal = Journal(out, key)
    planned = plan_outputs(inputs, out, overwrite, form, journal)
    for path in other_files(inputs, out):
        click.echo(f"left alone, neither a picture nor a video that can be read: {path}", err=True)
    if not planned:
        click.echo(f"all are finished already, in {out}")
        return
    known = journal.settings() or {}
    restorer = open_named(network, runtime)
    output_folder(out)
    bounded = BoundedRestorer(
        restorer,
        known.get("memory") or asked or free_memory(),
        known.get("pixel_bytes"),
        Seam(*known["seam"]) if known.get("seam") else None,
    )
    choosing = None if share is None else made_selective(bounded, network, share)
    failed, done_mp = 0, 0.0
    total = max(1, math.ceil(megapixels(planned)))
    with progress("megapixels restored", total) as steps:

        def told(part: float) -> None:
            nonlocal done_mp
            done_mp += part
            steps(min(int(done_mp), total - 1))  # the whole is said once, at the end

        def shown(target: Path, pixels: Pixels) -> None:
            if decisions is not None and choosing is not None and choosing.last is not None:
                write_drawing(pixels, choosing.last, decisions / target.relative_to(out).with_suffix(".png"))

        for done in restore_files(choosing or bounded, planned, journal, told, shown):
            failed += done.error is not None
            note = f" ({done.note})" if done.note else ""
            line = f"failed: {done.error}" if done.error else f"{done.source} -> {done.target}{note}"
            click.echo(line, err=done.error is not None)
        steps(total)
    apart = 255 * bounded.measured_seam.difference if bounded.measured_seam is not None else 0.0
    if apart > 1:
        click.echo(
            f"in tiles, this network gives up to {apart:.1f} grey levels more or less than in one piece", err=True
        )
    if failed:
        click.echo(f"{failed} of {len(planned)} files could not be restored", err=True)
        sys.exit(1)
