"""Restoring files: pictures and videos of any size, names kept, each output whole or not there."""

import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from baseline.bounded import ArrayRestorer
from baseline.data.picture_files import head_of, read_stored, write_stored
from baseline.data.pictures import SUFFIXES, list_pictures
from baseline.data.stored import Head, Pixels, Stored
from baseline.data.unread_pictures import unread_pictures
from baseline.data.video import VIDEO_SUFFIXES
from baseline.errors import UserError, named_line
from baseline.journal import Journal
from baseline.restore_video import restore_video, video_target
from baseline.transparency import visible

_ALONE = 16
"""A picture that takes more than this part of the memory is read, restored and written with no other beside it."""

Told = Callable[[float], None]
"""Told of each part that is done, in megapixels."""

Shown = Callable[[Path, Pixels], None]
"""Shown where a picture will be written, and the picture."""


@dataclass(frozen=True)
class Restored:
    """One input and its output, or the reason why there is none; `note` says what could not be kept.

    `trace` is the traceback of an error that is no fault of the file's or the user's.
    """

    source: Path
    target: Path
    error: str | None = None
    note: str | None = None
    trace: str | None = None


def plan_outputs(
    inputs: Sequence[Path], out: Path, overwrite: bool = False, form: str | None = None, journal: Journal | None = None
) -> list[tuple[Path, Path]]:
    """Every picture and video of the files, folders and patterns named, with its place under `out`.

    Folders keep their inner structure; `form` is the suffix that all pictures get, without its dot. What the journal
    says is finished is left out; what it says was made of a source that has changed since is made again. A UserError if
    an input is missing or neither, if a folder holds none, if two would be written to one place, if an input would be
    overwritten, or if something else is in that place already and is not to be overwritten.
    """
    planned: dict[Path, Path] = {}
    for given in _expanded(inputs):
        for source, kept in _files_of(given, out):
            target = _target(kept, form)
            if target in planned:
                raise UserError(
                    f"outputs must have different names; {planned[target]} and {source} would both become {target}."
                )
            planned[target] = source
    sources = {source.resolve() for source in planned.values()}
    for target in planned:
        if target.resolve() in sources:
            raise UserError(f"--out must not be a folder of the inputs; {target} would be overwritten. Choose another.")
    left = {t: s for t, s in planned.items() if journal is None or not journal.finished(s, t)}
    for target in left:
        if target.exists() and not overwrite and (journal is None or not journal.made(target)):
            raise UserError(f"{target} must not be there yet; it is. Choose another --out, or add --overwrite.")
    return [(source, target) for target, source in left.items()]


def megapixels(planned: Sequence[tuple[Path, Path]]) -> float:
    """Of all pictures that can be read; videos and others count as one."""
    return sum(head.megapixels if (head := _head(source)) else 1.0 for source, _ in planned)


def restore_files(
    bounded: ArrayRestorer,
    planned: Sequence[tuple[Path, Path]],
    journal: Journal | None = None,
    told: Told = lambda _: None,
    shown: Shown = lambda *_: None,
) -> Iterator[Restored]:
    """Restore one after the other, the next being read and the last written meanwhile.

    `shown` gets each picture when it is restored, and where it will be written. A file that cannot be read, restored
    or written is reported and does not stop the rest.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        reading: dict[int, Future[Stored]] = {}
        writing: deque[Future[Restored]] = deque()
        heads = [_head(source) for source, _ in planned]
        for number, (source, target) in enumerate(planned):
            if source.suffix.lower() in VIDEO_SUFFIXES:
                yield from (done.result() for done in _drained(writing))
                yield _video(bounded, source, target, journal, told)
                continue
            small = [head is None or head.bytes * _ALONE < bounded.memory for head in heads[number : number + 2]]
            if not small[0]:
                yield from (done.result() for done in _drained(writing))
                bounded.release()
            if number not in reading:
                reading[number] = reader.submit(read_stored, source)
            if small == [True, True] and heads[number + 1] is not None:
                reading[number + 1] = reader.submit(read_stored, planned[number + 1][0])
            failed = None
            try:
                # Nothing else holds the picture as it came: it is gone when the restored one is written.
                stored = reading.pop(number).result()
                stored = _restored(bounded, stored, told)
                shown(target, stored.pixels)
                if journal is not None:
                    journal.note_settings(bounded.known())
            except Exception as error:  # noqa: BLE001  whatever a network or a runtime raises is this file's alone
                failed = _failed(source, target, error)
            if failed is not None:
                if failed.trace is not None:
                    bounded.release()
                yield from (done.result() for done in _drained(writing))
                yield failed
                continue
            writing.append(writer.submit(_written, stored, source, target, journal))
            yield from (done.result() for done in _drained(writing, left=1 if small[0] else 0))
        yield from (done.result() for done in _drained(writing))


def _restored(bounded: ArrayRestorer, stored: Stored, told: Told) -> Stored:
    """The image restored as it is seen: colours under transparent pixels stay as they are, and change no others."""
    seen = None if stored.alpha is None else visible(stored.pixels, stored.alpha)
    pixels = bounded(stored.pixels if seen is None else seen.pixels, lambda count: told(count / 1e6))
    if seen is not None:
        seen.settle_(pixels)
    return replace(stored, pixels=pixels)


def _drained(writing: deque[Future[Restored]], left: int = 0) -> Iterator[Future[Restored]]:
    while len(writing) > left:
        yield writing.popleft()


def _head(source: Path) -> Head | None:
    """A picture's head; None for what is no picture that we read: why, its turn will say."""
    if source.suffix.lower() in VIDEO_SUFFIXES:
        return None
    try:
        return head_of(source)
    except Exception:  # noqa: BLE001  reading it raises the same, and is reported then
        return None


def _written(stored: Stored, source: Path, target: Path, journal: Journal | None) -> Restored:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lost = write_stored(stored, target, lambda made: journal.note(source, target, made) if journal else None)
    except Exception as error:  # noqa: BLE001  the other files go on
        return _failed(source, target, error)
    return _noted(Restored(source, target, note=lost), journal)


def _failed(source: Path, target: Path, error: Exception) -> Restored:
    """The input with its reason; what is no fault of the user's keeps its traceback."""
    if isinstance(error, UserError | OSError):
        return Restored(source, target, str(error))
    trace = "".join(traceback.format_exception(error))
    return Restored(source, target, f"{source} could not be restored; {named_line(error)}", trace=trace)


def _video(bounded: ArrayRestorer, source: Path, target: Path, journal: Journal | None, told: Told) -> Restored:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        note = restore_video(
            bounded, source, target, lambda made: journal.note(source, target, made) if journal else None
        )
    except Exception as error:  # noqa: BLE001  the other files go on
        bounded.release()
        return _failed(source, target, error)
    told(1.0)
    return _noted(Restored(source, target, note=note), journal)


def _noted(done: Restored, journal: Journal | None) -> Restored:
    """The same, what it says of losses written to the journal; a reason if that cannot be written."""
    try:
        if journal is not None and done.note is not None:
            journal.note_lost(done.target, done.note)
    except Exception as error:  # noqa: BLE001  the other files go on
        return _failed(done.source, done.target, error)
    return done


def picture_paths(names: Sequence[str], out: Path) -> dict[str, Path]:
    """OUT/NAME.png for every pair's name; a UserError if one is there already or would lie outside of `out`."""
    paths = {name: out / f"{name}.png" for name in names}
    for name, path in paths.items():
        if not _within(path, out):
            raise UserError(f"the pairs' names must lead into {out}; '{name}' does not. Rename its files.")
        if path.exists():
            raise UserError(f"{path} must not be there yet; it is. Choose another folder.")
    return paths


def _expanded(inputs: Sequence[Path]) -> Iterator[Path]:
    """The inputs; a pattern that no shell has replaced stands for the files that fit it."""
    for given in inputs:
        if given.exists() or not any(sign in str(given) for sign in "*?["):
            yield given
            continue
        root = Path(given.anchor) if given.is_absolute() else Path()
        try:
            found = sorted(root.glob(str(given.relative_to(given.anchor) if given.is_absolute() else given)))
        except ValueError as error:
            raise UserError(f"{given} must be a pattern of files; {error}. Write ** as a folder of its own.") from None
        if not found:
            raise UserError(f"{given} must be a pattern of files that are there; none fits it.")
        yield from found


def _target(kept: Path, form: str | None) -> Path:
    if kept.suffix.lower() in VIDEO_SUFFIXES:
        return video_target(kept)
    return kept if form is None else kept.with_suffix(f".{form}")


def _files_of(given: Path, out: Path) -> list[tuple[Path, Path]]:
    if given.is_file():
        if given.suffix.lower() not in (*SUFFIXES, *VIDEO_SUFFIXES):
            raise UserError(
                f"{given} must be a picture ({', '.join(SUFFIXES)}) or a video ({', '.join(VIDEO_SUFFIXES)}); its name "
                f"ends in '{given.suffix}'."
            )
        return [(given, out / given.name)]
    if not given.is_dir():
        raise UserError(f"{given} must be a picture, a video or a folder of them; there is none.")
    folders = [given, *sorted(p for p in given.rglob("*") if p.is_dir() and not _within(p, out))]
    found = [(path, out / path.relative_to(given)) for folder in folders for path in _listed(folder)]
    if not found:
        unread = unread_pictures(path for folder in folders for path in folder.iterdir())
        raise UserError(f"{given} must hold pictures or videos; it holds {unread or 'none'}.")
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        videos = [p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith(".")]
        return sorted(p for p in [*list_pictures(folder), *videos] if not p.is_dir())
    except PermissionError:
        raise UserError(f"{folder} must be a folder that can be read; it is not. Leave it out, or open it.") from None


def other_files(inputs: Sequence[Path], out: Path) -> list[Path]:
    """The files in the named folders that are left alone because their names are not those of what we read."""
    files = [path for given in inputs if given.is_dir() for path in sorted(given.rglob("*")) if path.is_file()]
    read = (*SUFFIXES, *VIDEO_SUFFIXES)
    return [path for path in files if path.suffix.lower() not in read and not _within(path, out)]


def _within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
