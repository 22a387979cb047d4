"""make-pairs: a paired data set from sharp photographs or from video."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from baseline.errors import UserError
from recipes.parse import parse

if TYPE_CHECKING:
    from baseline.data.pair_folder import PairFolder


@click.command("make-pairs")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="An empty folder, or one to be made.")
@click.option(
    "--blur",
    metavar="KIND",
    help="Photographs: shake (the camera), object (a part moves over the still rest) or both.  [default: shake]",
)
@click.option("--reach", metavar="PIXELS", help="Photographs: the largest blur, from its middle.  [default: 6]")
@click.option("--per-picture", metavar="N", help="Photographs: pairs of each.  [default: 2]")
@click.option("--size", metavar="SIZE", help="Photographs: HEIGHTxWIDTH of the pairs, or whole.  [default: 384x512]")
@click.option("--window", metavar="N,N,..", help="Video: odd numbers of frames to average.  [default: 7,9,11]")
@click.option("--stride", metavar="FRAMES", help="Video: from window to window.  [default: end to end]")
@click.option("--val", metavar="SHARE", help="Photographs or video to validate on.  [default: 0.1]")
@click.option("--test", metavar="SHARE", help="Photographs or video to test on.  [default: 0.1]")
@click.option("--seed", metavar="N", help="The same seed gives the same files.  [default: 0]")
def make_pairs(inputs: tuple[Path, ...], out: Path, **options: str | None) -> None:
    """Make a paired data set from sharp photographs (synthetic blur) or videos (averaged frames).

    INPUTS are pictures, videos or folders of them. All of one photograph, and of one video where there are three or
    more, goes into the same split. The same command again goes on where it was stopped. Train on it with: lightsharp
    train --data folder --root OUT
    """
    given = {key: value for key, value in options.items() if value is not None}
    pictures, videos = _sorted_out(inputs)
    folder = _from_photos(pictures, out, given) if pictures else _from_videos(videos, out, given)
    counts = folder.count()
    told = ", ".join(f"{counts[split]} {split}" for split in ("train", "val", "test"))
    click.echo(f"wrote {told} pairs; train on them with: lightsharp train --data folder --root {folder.root}")


def _from_photos(pictures: list[Path], out: Path, given: dict[str, Any]) -> "PairFolder":
    from baseline.data.pairs_from_photos import PhotoPairSettings, make_from_photos

    return make_from_photos(pictures, out, parse(PhotoPairSettings, given, "make-pairs of photographs"), _say)


def _from_videos(videos: list[Path], out: Path, given: dict[str, Any]) -> "PairFolder":
    from baseline.data.pairs_from_video import VideoPairSettings, make_from_videos

    return make_from_videos(videos, out, parse(VideoPairSettings, given, "make-pairs of video"), _say)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _sorted_out(inputs: tuple[Path, ...]) -> tuple[list[Path], list[Path]]:
    """The pictures and the videos that are meant, folders listed; a UserError if there are both or none."""
    from baseline.data.pictures import SUFFIXES
    from baseline.data.unread_pictures import unread_pictures
    from baseline.data.video import VIDEO_SUFFIXES

    pictures, videos, others = [], [], list[Path]()
    for path in inputs:
        inside = sorted(p for p in path.iterdir() if not p.name.startswith(".")) if path.is_dir() else [path]
        for file in inside:
            if file.suffix.lower() in SUFFIXES:
                pictures.append(file)
            elif file == path or file.suffix.lower() in VIDEO_SUFFIXES:
                videos.append(file)
            else:
                _say(f"left out: {file} is neither a picture nor a video that can be read")
                others.append(file)
    if unread := unread_pictures(others):
        _say(f"among them {unread}")
    if pictures and videos:
        raise UserError(
            f"make-pairs must be given pictures or videos; got {pictures[0]} and {videos[0]}. Run it for each."
        )
    if not pictures and not videos:
        raise UserError(f"make-pairs must be given pictures or videos; {', '.join(map(str, inputs))} holds none.")
    return list(dict.fromkeys(pictures)), list(dict.fromkeys(videos))
