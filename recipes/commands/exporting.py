"""export: networks become files."""

import json
import sys
from pathlib import Path

import click

from baseline.errors import UserError
from recipes.options import code_option, json_option, parse_size


@click.command()
@click.argument("network")
@click.option(
    "--to",
    "kinds",
    default="pt2",
    show_default=True,
    help="The kinds of files: pt2, onnx, openvino, pte, tensorrt, several with commas between; or original (.pkl, for "
    "the authors' MIMO-UNet code).",
)
@click.option(
    "--size",
    callback=lambda _c, _p, value: None if value is None else parse_size(value),
    help="HEIGHTxWIDTH that the network is traced at.  [default: 256x256, or the nearest that it takes]",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The file to write, or a folder for several."
)
@click.option("--overwrite", is_flag=True, help="Write over files that are in --out already.")
@code_option
@json_option
def export(network: str, kinds: str, size: tuple[int, int] | None, out: Path, overwrite: bool, as_json: bool) -> None:
    """Write deployable files of a shipped network or an artifact, at the precision it has.

    Every file is opened in a fresh process, run on real pictures of several sizes and compared with the network. A file
    that does not agree is not left behind.
    """
    if kinds == "original":
        _original(network, out)
        return
    from baseline.artifact import check_code
    from recipes.exporting import export_named, targets, told_of
    from recipes.fitting import told_size, unloaded
    from recipes.resolve import artifact_folder

    folder = artifact_folder(network)
    check_code(folder)
    failed, records, size = 0, {}, size or told_size([unloaded(folder)])
    for path, runtime in targets(network, kinds, out).items():
        try:
            deployed = export_named(network, path, runtime, size, overwrite)
        except UserError as error:
            if "," not in kinds:
                raise
            failed += 1
            click.echo(f"failed: {path.name}: {error}", err=True)
            continue
        records[str(path)] = deployed.as_json()
        if not as_json:
            click.echo("\n".join(told_of(path, deployed, folder)))
    if as_json:
        click.echo(json.dumps(records, indent=1))
    if failed:
        sys.exit(1)


def _original(network: str, out: Path) -> None:
    from recipes.weights import export_to

    written = export_to(out, network)
    click.echo(f"wrote {out}: {out.stat().st_size / 1e6:.2f} MB, {', '.join(f'{k} {v}' for k, v in written.items())}")
