"""What a Python source names of the rest: modules it imports, strings that may name modules, files beside it."""

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

_DOTTED = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)+)(?::\w+)?")
"""package.module or package.module:name."""


@dataclass
class SourceNames:
    """`imported` modules and names, relative ones with their dots; `dotted` strings; `places` of files, as ../weights.

    `sha256` is the checksum of the code: what docstrings, comments and layout say does not change it.
    """

    imported: set[str] = field(default_factory=set)
    dotted: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    sha256: str = ""


@cache
def names_in(source: bytes) -> SourceNames:
    """What a source names; of what Python cannot parse, an extension module say, no more than its checksum."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return SourceNames(sha256=hashlib.sha256(source).hexdigest())
    reader = _Reader()
    code = repr(reader.code_of(tree))
    return replace(reader.found, sha256=hashlib.sha256(code.encode(errors="surrogatepass")).hexdigest())


class _Reader:
    """Goes once through a tree: collects what it names, and leaves out what does not change what it does."""

    def __init__(self) -> None:
        self.found = SourceNames()
        self._only_typing = 0
        self._inner: set[ast.AST] = set()

    def code_of(self, node: Any) -> Any:
        """A node, nodes or a value in plain tuples and lists, without strings that stand alone, and without places."""
        if isinstance(node, list):
            return [self.code_of(one) for one in node if not _is_text(one)]
        if not isinstance(node, ast.AST):
            return node
        if isinstance(node, ast.If) and _asks_for_typing(node.test):
            self._only_typing += 1
            body = self.code_of(node.body)
            self._only_typing -= 1
            return "If", self.code_of(node.test), body, self.code_of(node.orelse)
        self._note(node)
        return type(node).__name__, *[self.code_of(getattr(node, name)) for name in _fields(type(node))]

    def _note(self, node: ast.AST) -> None:
        match node:
            case ast.Import() | ast.ImportFrom() if not self._only_typing:
                self.found.imported.update(_imported(node))
            case ast.Constant(value=str(text)) if match := _DOTTED.fullmatch(text):
                self.found.dotted.add(match[1])
            case ast.BinOp(left=inner) if (place := _place(node)) is not None:
                self._inner.add(inner)
                if node not in self._inner:
                    self.found.places.add(place)


def _fields(kind: type[ast.AST]) -> list[str]:
    """The fields that matter: whether a name is read or written shows by where it stands."""
    return [name for name in kind._fields if name not in ("ctx", "kind", "type_comment")]


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _asks_for_typing(test: ast.expr) -> bool:
    return getattr(test, "id", None) == "TYPE_CHECKING" or getattr(test, "attr", None) == "TYPE_CHECKING"


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The modules of an import, and the names of a from-import, which may be modules, too."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    package = "." * node.level + (f"{node.module}." if node.module else "")
    if node.module:
        yield package[:-1]
    yield from (package + alias.name for alias in node.names)


def _place(node: ast.expr) -> str | None:
    """Where `Path(__file__).parent / "name"` leads from the source's own path; None for any other expression."""
    match node:
        case ast.Call(func=ast.Name(id="Path"), args=[ast.Name(id="__file__")]):
            return "."
        case ast.Attribute(value=inner, attr="parent"):
            step = ".."
        case ast.BinOp(left=inner, op=ast.Div(), right=ast.Constant(value=str(step))):
            pass
        case _:
            return None
    place = _place(inner)
    return None if place is None else f"{place}/{step}"
