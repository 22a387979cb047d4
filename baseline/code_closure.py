"""The code that a module runs, found from its source: what its results depend on. Nothing is imported to find it."""

import hashlib
import importlib.machinery
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from baseline.checksum import file_sha256
from baseline.source_names import SourceNames, names_in

OURS = ("baseline", "compress", "recipes", "reports")
"""The packages of this program. However it is installed, they lie in one folder."""

ROOT = Path(__file__).parent.parent
_SUFFIXES = (*importlib.machinery.EXTENSION_SUFFIXES, ".py", ".pyc")


class CodeClosure:
    """Modules and, in turn, all that they import of our packages in `root` and of the user's modules in `beside`.

    An import counts wherever it stands, unless only type checkers read it; so does a string that names a module, as
    tables hold. `files` are the sources by module, `data` what these read from a place relative to their own.
    """

    def __init__(self, modules: Iterable[str], root: Path = ROOT, beside: Path | None = None) -> None:
        self._root, self._beside = root, beside
        self.files: dict[str, Path] = {}
        self._names: dict[str, SourceNames] = {}
        waiting, seen = list(modules), set[str]()
        while waiting:
            for name in {*_with_packages(waiting.pop())} - seen:
                seen.add(name)
                if (file := self._file(name)) is not None:
                    self.files[name] = file
                    self._names[name] = names_in(file.read_bytes())
                    waiting += self._imported(name)
        self.data = {name: path for module in self.files for name, path in self._data(module)}

    def sha256(self) -> str:
        """The checksum of the code, docstrings, comments and layout aside, and of the data."""
        digest = hashlib.sha256()
        for name, names in sorted(self._names.items()):
            digest.update(f"{name} {names.sha256}\n".encode())
        for name, path in sorted(self.data.items()):
            digest.update(f"{name} {file_sha256(path)}\n".encode())
        return digest.hexdigest()

    def _file(self, name: str) -> Path | None:
        folder = self._root if name.partition(".")[0] in OURS else self._beside
        return None if folder is None else _source_in(folder, name)

    def _imported(self, module: str) -> Iterator[str]:
        """What a module imports, and what its strings name, by absolute names."""
        package = module if self.files[module].stem == "__init__" else module.rpartition(".")[0]
        yield from self._names[module].dotted
        for name in self._names[module].imported:
            if not name.startswith("."):
                yield name
            elif len(name) - len(name.lstrip(".")) <= len(package.split(".")) and package:
                yield importlib.util.resolve_name(name, package)

    def _data(self, module: str) -> Iterator[tuple[str, Path]]:
        """The files at the places that a module names from its own, and of ours those in folders there, with names."""
        ours = module.partition(".")[0] in OURS
        for place in self._names[module].places:
            path = Path(self.files[module], place).resolve()
            found = [path] if path.is_file() else sorted(path.rglob("*")) if ours else []
            yield from ((f"{module} {place} {one.relative_to(path)}", one) for one in found if one.is_file())


@cache
def code_sha256(*modules: str) -> str:
    """The checksum of the code that these modules of ours run, as it is when first asked for."""
    return CodeClosure(modules).sha256()


def users_code_sha256(module: str) -> str | None:
    """The checksum of the code of a user's module and of all that it imports from beside it; None without a source.

    Of an installed package, all of it counts.
    """
    top = module.partition(".")[0]
    folder = _folder_of(top)
    if folder is None:
        return None
    if any(folder.glob("*.dist-info")):
        package = folder / top
        files = sorted(package.rglob("*.py")) if package.is_dir() else [_source_in(folder, top)]
        return hashlib.sha256("".join(file_sha256(file) for file in files if file).encode()).hexdigest()
    closure = CodeClosure([module], beside=folder)
    return closure.sha256() if closure.files else None


def _folder_of(top: str) -> Path | None:
    """The folder that holds a user's module or package, which may lie in the working folder."""
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # made in memory
        spec = None
    spec = spec or importlib.machinery.PathFinder.find_spec(top, [str(Path.cwd())])
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or [])
    place = Path(places[0]) if places else Path(spec.origin or "")
    return place.parent if place.exists() and place.name else None


def _source_in(folder: Path, name: str) -> Path | None:
    """The file of a module or the `__init__` of a package, if it has one."""
    place = folder.joinpath(*name.split("."))
    if not place.parent.is_dir():
        return None
    files = (place / "__init__.py", *(place.with_name(f"{place.name}{suffix}") for suffix in _SUFFIXES))
    return next((file for file in files if file.is_file()), None)


def _with_packages(name: str) -> Iterator[str]:
    """`a.b.c` and its packages, which are imported before it: a, a.b, a.b.c."""
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))
