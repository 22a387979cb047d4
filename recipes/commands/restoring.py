"""restore: networks at work."""

import math
import sys
from pathlib import Path

import click

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
@click.option("--memory", help="What restoring may take, such as 1.5GB.  [default: three quarters of what is free]")
def restore(
    inputs: tuple[Path, ...],
    network: str,
    runtime: str,
    out: Path,
    overwrite: bool,
    form: str | None,
    memory: str | None,
) -> None:
    """Deblur pictures and videos of any size: files, folders, patterns.

    Pictures keep their bit depth, transparency, EXIF, colour profile and orientation where their format can hold them;
    videos become H.264 of 8 bits at their mean frame rate, with their sound. The same command again goes on where it
    was stopped. Exit code 1 if some files could not be restored.
    """
    from baseline.bounded import BoundedRestorer
    from baseline.budget import free_memory, parse_memory
    from baseline.data.picture_files import check_format, lift_limit
    from baseline.journal import Journal
    from baseline.progress import progress
    from baseline.restore import megapixels, other_files, plan_outputs, restore_files
    from baseline.tiles import Seam
    from compress.runtimes.table import memory_runtime
    from recipes.networks import open_named
    from recipes.restoring import network_key

    check_format(form)
    asked = None if memory is None else parse_memory(memory)
    lift_limit()
    memory_runtime(runtime)
    key = network_key(network, memory=asked, form=form, runtime=runtime)
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
    failed, done_mp = 0, 0.0
    total = max(1, math.ceil(megapixels(planned)))
    with progress("restoring, in megapixels,", total) as steps:

        def told(part: float) -> None:
            nonlocal done_mp
            done_mp += part
            steps(min(int(done_mp), total - 1))  # the whole is said once, at the end

        for done in restore_files(bounded, planned, journal, told):
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
