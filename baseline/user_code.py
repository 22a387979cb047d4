"""Which code a file may name: what the user types, allows, or has run on this machine. Looking here imports nothing."""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from baseline.atomic import write_whole
from baseline.errors import UserError
from baseline.progress import console

VARIABLE = "LIGHTSHARP_ALLOW_CODE"
"""What the user allows, with commas between. Processes that this one starts inherit it."""


_NOWHERE = "nowhere"


class NotAllowedError(UserError):
    """A file names code that the user has not allowed; it ends the whole command, before anything is imported."""


@contextmanager
def allowing(names: Iterable[str]) -> Iterator[None]:
    """Within it these are allowed, too, here and in processes that are started: see `covers`."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = ",".join([*_allowed(), *_checked(names, "--allow-code")])
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def require(architecture: str, arguments: dict[str, Any], source: Path | None = None) -> None:
    """A NotAllowedError unless this `package.module:factory`, which `source` names, may be called with these."""
    check_name(architecture)
    if not is_allowed(architecture, arguments):
        module = module_of(architecture)
        raise NotAllowedError(
            f"network '{architecture}'{f' of {source}' if source else ''} must be code that you allow; module {module} "
            f"is not, and was not imported. If you trust it, add --allow-code {module}, or set {VARIABLE}={module}."
        )


def require_origin(architecture: str, factory: object, arguments: dict[str, Any]) -> None:
    """A NotAllowedError for a factory that an allowed module has from elsewhere, such as `my_networks:check_output`."""
    module = _origin_of(factory)
    if not (architecture in _allowed() or covers(module) or _has_run(architecture, arguments)):
        raise NotAllowedError(
            f"network '{architecture}' must be code that you allow; its factory comes from module {module}, which is "
            f"not. If you trust it, add --allow-code {architecture}."
        )


def check_name(architecture: str) -> None:
    """A UserError unless a name is a `package.module:factory`."""
    module, _, factory = architecture.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), factory)):
        raise UserError(f"network {architecture!r} must be package.module:factory, such as my_networks.small:make.")


def module_of(architecture: str) -> str:
    """The module of a `package.module:factory`."""
    return architecture.partition(":")[0]


def is_allowed(architecture: str, arguments: dict[str, Any]) -> bool:
    """Whether a `package.module:factory` may be imported and called with these arguments."""
    module = module_of(architecture)
    return architecture in _allowed() or covers(module) or _has_run(architecture, arguments)


def covers(module: str) -> bool:
    """Whether a module or a package that it is in is allowed."""
    return any(f"{module}.".startswith(f"{name}.") for name in _allowed())


def remember(architecture: str, arguments: dict[str, Any]) -> None:
    """Keep, in the user's state folder, that a run of the user's wrote an artifact of this code and these arguments."""
    try:
        write_whole(_mark(architecture, arguments), _place(architecture))
    except (OSError, RuntimeError) as error:
        told = f"not kept that {architecture} is yours ({error}): the next command needs --allow-code"
        console.print(told, highlight=False, markup=False)


@contextmanager
def working_folder() -> Iterator[None]:
    """Within it what lies in the working folder can be imported, after all that is installed."""
    added = "" not in sys.path
    if added:
        sys.path.append("")
    try:
        yield
    finally:
        if added and "" in sys.path:
            sys.path.remove("")


def _has_run(architecture: str, arguments: dict[str, Any]) -> bool:
    """Whether a run of the user's used this code, with these arguments, and what would be imported is the same file."""
    try:
        kept = _mark(architecture, arguments).read_text()
    except (OSError, RuntimeError):
        return False
    return _place(architecture) in (kept, _NOWHERE)


def _mark(architecture: str, arguments: dict[str, Any]) -> Path:
    """The file that holds from where code was run. A RuntimeError if the user has no home."""
    digest = hashlib.sha256(json.dumps([architecture, arguments], sort_keys=True).encode()).hexdigest()
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "lightsharp" / "own-code" / digest


def _place(architecture: str) -> str:
    """Where the package or module at the top is found, without importing it."""
    spec = _found(module_of(architecture).partition(".")[0])
    if spec is None:
        return _NOWHERE
    return spec.origin or " ".join(sorted(spec.submodule_search_locations or ()))


def _found(name: str) -> ModuleSpec | None:
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    with working_folder():
        specs = (finder.find_spec(name, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        return next((spec for spec in specs if spec is not None), None)


def _origin_of(factory: object) -> str:
    """The module that defines a function, a class, or the class of an object that is called."""
    return str(getattr(factory, "__module__", None) or type(factory).__module__)


def _allowed() -> list[str]:
    return _checked(filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))), VARIABLE)


def _checked(names: Iterable[str], where: str) -> list[str]:
    checked = list(names)
    for name in checked:
        module, colon, factory = name.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), factory if colon else "factory")):
            raise UserError(f"{where} must name packages, modules or package.module:factory; got {name!r}.")
    return checked
