"""How data sets lie in folders: from a root to the files of their pairs. Every error names the layout expected."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from baseline.data.pairs import PairFiles
from baseline.data.pictures import left_out, list_pictures
from baseline.data.unread_pictures import unread_pictures
from baseline.errors import UserError

_SIDES = (("blur", "sharp"), ("input", "target"))
_FRAME = re.compile(r"(.+)[_-](\d+)")
_LIST_FOLDERS = ("", "datalist", "datalist/RSBlur")
_HIDE_TEST = ("test-close-ups", "test-long-shot")
_RSBLUR_BURST = 20
"""RSBlur's lists go by bursts of 20 numbers of one camera position, the first from 2 on."""


@dataclass(frozen=True)
class Parts:
    """The pairs of a data set's parts."""

    test: list[PairFiles]
    train: list[PairFiles] = field(default_factory=list)
    val: list[PairFiles] = field(default_factory=list)

    def all(self) -> list[PairFiles]:
        """The pairs of all three."""
        return [*self.train, *self.val, *self.test]


def paired_parts(root: Path) -> Parts:
    """ROOT/{train,val,test}/{blur,sharp}, or ROOT/{blur,sharp} as the test part; {input,target} will do as well.

    Pairs that make-pairs wrote are grouped by the photograph or video that they come from, others stand alone.
    """
    if not (root / "test").is_dir():
        return Parts(test=_sides_of(root))
    sources = _sources(root / "pairs.json")

    def pairs(part: str) -> list[PairFiles]:
        found = _sides_of(root / part) if part == "test" or (root / part).is_dir() else []
        return [replace(pair, group=sources.get(pair.name, pair.group)) for pair in found]

    return Parts(pairs("test"), pairs("train"), pairs("val"))


def gopro_parts(root: Path, blurred: str) -> Parts:
    """ROOT/{train,test}/SEQUENCE/{`blurred`,sharp}, or repacked; ROOT may hold GOPRO_Large instead of them."""
    home = root / "GOPRO_Large" if (root / "GOPRO_Large").is_dir() else root
    train = _gopro_part(home / "train", blurred) if (home / "train").is_dir() else []
    return Parts(_gopro_part(home / "test", blurred), train)


def hide_parts(root: Path) -> Parts:
    """ROOT/{train,test/test-close-ups,test/test-long-shot,GT} as published, or repacked as a paired folder."""
    home = root / "HIDE_dataset" if (root / "HIDE_dataset").is_dir() else root
    if not (home / "GT").is_dir():
        return paired_parts(home)
    train = _with_truth([home / "train"], home / "GT") if (home / "train").is_dir() else []
    return Parts(_with_truth([home / "test" / name for name in _HIDE_TEST], home / "GT"), train)


def realblur_parts(root: Path, letter: str) -> Parts:
    """ROOT/RealBlur_`letter`_{train,test}_list.txt and the folders they name; a scene is a group."""

    def pairs(part: str) -> list[PairFiles]:
        listed = _listed(root, f"RealBlur_{letter}_{part}_list.txt")
        return [PairFiles(f"{s.parts[-3]}/{b.stem}", s.parts[-3], b, s) for s, b in listed]

    return Parts(pairs("test"), pairs("train"))


def rsblur_parts(root: Path) -> Parts:
    """ROOT/RSBlur and the three lists in ROOT/datalist/RSBlur or ROOT; a group is a burst of 20 numbers in a folder."""

    def pairs(part: str) -> list[PairFiles]:
        found = []
        for sharp, blurred in _listed(root, f"RSBlur_real_{part}.txt"):
            folder, number = sharp.parts[-4:-2]
            found.append(PairFiles(f"{folder}/{number}", f"{folder}/{_burst(number)}", blurred, sharp))
        return found

    return Parts(pairs("test"), pairs("train"), pairs("val"))


def match_files(blurred_folder: Path, sharp_folder: Path, group: str | None = None) -> list[PairFiles]:
    """Pairs of equal names from two folders; a UserError names the first file without a partner."""
    blurred, sharp = _by_stem(list_pictures(blurred_folder)), _by_stem(list_pictures(sharp_folder))
    for stem in sorted(blurred.keys() ^ sharp.keys()):
        alone, missing_in = (blurred[stem], sharp_folder) if stem in blurred else (sharp[stem], blurred_folder)
        raise UserError(f"{alone} must have a partner of the same name in {missing_in}; there is none.")
    if not blurred:
        raise UserError(f"{blurred_folder} must hold pictures; it holds none.")
    return [
        PairFiles(f"{group}/{stem}" if group else stem, group or stem, blurred[stem], sharp[stem])
        for stem in sorted(blurred)
    ]


def left_out_note(files: Iterable[PairFiles]) -> tuple[str, ...]:
    """A note on the files that lie beside the pairs' pictures and are none that we read; empty if there are none."""
    folders = {folder for pair in files for folder in (pair.blurred.parent, pair.sharp.parent)}
    others = [path for folder in sorted(folders) for path in left_out(folder)]
    if not others:
        return ()
    unread = unread_pictures(others)
    return (
        f"Left out: {len(others)} files beside the pictures whose kind is not read, the first {others[0].name}.",
        *((f"Among them {unread}.",) if unread else ()),
    )


def _sides_of(folder: Path) -> list[PairFiles]:
    there = [side for sides in _SIDES for side in sides if (folder / side).is_dir()]
    for blurred, sharp in _SIDES:
        if {blurred, sharp} <= set(there):
            return match_files(folder / blurred, folder / sharp)
    raise UserError(
        f"{folder} must hold blur/ and sharp/, or input/ and target/; it holds {there[0] if there else 'neither'}"
        f"{'/ only' if there else ''}. Pictures without sharp ones cannot be scored, only restored: lightsharp restore."
    )


def _sources(manifest: Path) -> dict[str, str]:
    """What make-pairs made each pair from, by the pair's name; empty without its pairs.json."""
    try:
        return {str(p["name"]): str(p["source"]) for p in json.loads(manifest.read_text(encoding="utf-8"))["pairs"]}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{manifest} must be as make-pairs wrote it; it is not. Restore it, or remove it.") from None


def _gopro_part(part: Path, blurred: str) -> list[PairFiles]:
    if any((part / side).is_dir() for sides in _SIDES for side in sides):
        if blurred != "blur":
            raise UserError(f"{part} must hold sequences with {blurred}/; it is repacked without. Take data 'gopro'.")
        return [_frame_of_sequence(pair) for pair in _sides_of(part)]
    sequences = sorted(p for p in part.iterdir() if p.is_dir()) if part.is_dir() else []
    if not sequences:
        raise UserError(
            f"{part} must hold GoPro sequences, folders with {blurred}/ and sharp/, or be repacked as blur/ and sharp/ "
            "or input/ and target/; it holds none."
        )
    return [pair for s in sequences for pair in match_files(s / blurred, s / "sharp", group=s.name)]


def _frame_of_sequence(pair: PairFiles) -> PairFiles:
    """The pair named as in the published layout: GOPR0384_11_00_000001 (or -000001) is frame 000001 of a sequence."""
    found = _FRAME.fullmatch(pair.name)
    if found is None:
        raise UserError(f"{pair.blurred} must be named SEQUENCE_NNNNNN, as in repacked GoPro; its name has no number.")
    return PairFiles("/".join(found.groups()), found[1], pair.blurred, pair.sharp)


def _with_truth(blurred_folders: list[Path], truth: Path) -> list[PairFiles]:
    """Pairs of blurred pictures with those of equal name in one folder, which holds the truth of other parts too."""
    blurred = _by_stem([path for folder in blurred_folders for path in list_pictures(folder)])
    sharp = _by_stem(list_pictures(truth))
    for stem in sorted(blurred.keys() - sharp.keys()):
        raise UserError(f"{blurred[stem]} must have a partner of the same name in {truth}; there is none.")
    if not blurred:
        raise UserError(f"{blurred_folders[0]} must hold pictures; it holds none.")
    return [PairFiles(stem, stem, blurred[stem], sharp[stem]) for stem in sorted(blurred)]


def _listed(root: Path, name: str) -> list[tuple[Path, Path]]:
    """The sharp and the blurred file of every line of a list file."""
    places = [root / folder / name for folder in _LIST_FOLDERS]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UserError(f"{root} must hold the list file {name}, in it or in its datalist/; it does not.")
    pairs = []
    for number, line in enumerate(_lines(found), 1):
        paths = [root / entry for entry in line.split()]
        if not paths:
            continue
        if len(paths) != 2 or paths[0].parent.name != "gt" or len(Path(line.split()[0]).parts) < 4:
            raise UserError(
                f"line {number} of {found} must name a sharp file in a folder gt/, then its blurred file, both under "
                f"{root}; it reads '{line.strip()}'."
            )
        pairs.append((paths[0], paths[1]))
    if not pairs:
        raise UserError(f"{found} must name pairs, a line each; it is empty.")
    return pairs


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} must be text in UTF-8; byte {error.start} is not. Restore or convert it.") from None


def _burst(number: str) -> int:
    if not number.isdigit():
        raise UserError(f"RSBlur's pictures must lie in numbered folders, such as 0003/000382; got '{number}'.")
    return (int(number) - 2) // _RSBLUR_BURST


def _by_stem(paths: list[Path]) -> dict[str, Path]:
    """Pictures by name without suffix; a UserError if two have the same."""
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise UserError(f"{path} must have a name of its own; {found[path.stem]} has it too. Rename one.")
        found[path.stem] = path
    return found
