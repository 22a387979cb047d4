"""Which sides a network's input may have, found by trying: multiples of a number, from a least one on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 3, 5, 6, 7, 9, 10, 12, 14, 15, 20, 24, 28, 40, 48, 56)
"""What is tried, in this order."""
_BASES = (32, 256)
"""Sides in pixels around which it is tried; the larger one for networks that take nothing small."""
_STEPS = (0, 1, 2, 3, 5, 9, 14, 25, 49)
"""How many multiples a side grows by: uneven, so that no period goes unseen."""
_ALWAYS, _FARTHEST = 14, 64
"""The steps that are taken of every multiple, and the pixels up to which others are: small multiples need more."""
_LEAST = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Least sides that are tried, in multiples."""


@dataclass(frozen=True)
class Sizes:
    """Sides must be multiples of `multiple`, and `least` pixels at least."""

    multiple: int
    least: int


def find_sizes(network: nn.Module, stated: int | None = None) -> Sizes | None:
    """The smallest multiple (or the stated one), and its least side; None if the network restores at no size tried.

    A network that pads inside its forward takes any side, but no file can: what it computes grows in steps. So sides
    must be multiples at which everything inside grows evenly, if there are any, else ones at which it runs.
    """
    with _only_looking(network):
        trial = _Trial(network)
        multiple = trial.multiple((stated,) if stated else MULTIPLES)
        return None if multiple is None else Sizes(multiple, trial.least(multiple))


@contextmanager
def _only_looking(network: nn.Module) -> Iterator[None]:
    """The network as it restores; its layers, and the random numbers that others draw, are left as they were."""
    modes = [(layer, layer.training) for layer in network.modules()]
    network.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for layer, training in modes:
            layer.training = training


class _Trial:
    """Runs a network at small sizes; what it computed at each is kept."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._first = next(network.parameters(), None)
        self._seen: dict[tuple[int, int], list[Any] | None] = {}

    def multiple(self, candidates: Sequence[int]) -> int | None:
        """The first at which everything grows evenly; else the first at which the network runs."""
        for test in (self._grows_evenly, self._runs):
            for base in _BASES:
                for multiple in candidates:
                    if test(multiple, -(-base // multiple) * multiple):
                        return multiple
        return None

    def least(self, multiple: int) -> int:
        """The least side from which on the network runs; of sides that are no multiples none is known to."""
        for times in _LEAST:
            sides = (times * multiple, (times + 1) * multiple)
            if all(self._shapes((side, side)) is not None for side in sides):
                return sides[0]
        return _LEAST[-1] * multiple

    def _runs(self, multiple: int, base: int) -> bool:
        sides = [base + step * multiple for step in _STEPS[:4]]
        return all(self._shapes((side, base)) is not None and self._shapes((base, side)) is not None for side in sides)

    def _grows_evenly(self, multiple: int, base: int) -> bool:
        steps = [step for step in _STEPS if step <= _ALWAYS or step * multiple <= _FARTHEST]
        return self._even([(base + step * multiple, base) for step in steps], steps) and self._even(
            [(base, base + step * multiple) for step in steps[:4]], steps[:4]
        )

    def _even(self, sizes: Sequence[tuple[int, int]], steps: Sequence[int]) -> bool:
        first, second = (self._shapes(size) for size in sizes[:2])
        if first is None or second is None or len(first) != len(second):
            return False
        growth = [b - a if isinstance(a, int) else None for a, b in zip(first, second, strict=True)]
        for size, step in zip(sizes, steps, strict=True):
            expected = [a if g is None else a + step * g for a, g in zip(first, growth, strict=True)]
            if self._shapes(size) != expected:
                return False
        return True

    def _shapes(self, size: tuple[int, int]) -> list[Any] | None:
        """Every operator that runs and the sides of what it gives, flat; None if the image does not come out whole."""
        if size not in self._seen:
            self._seen[size] = self._run(size)
        return self._seen[size]

    def _run(self, size: tuple[int, int]) -> list[Any] | None:
        image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
        image = image if self._first is None else image.to(self._first)
        shape = image.shape
        try:
            with _Shapes() as recorded:
                outputs = self._network(image)
        except Exception:  # noqa: BLE001  whatever a foreign network raises, it does not take this size
            return None
        finest = outputs if isinstance(outputs, Tensor) else outputs[-1] if outputs else None
        return recorded.found if isinstance(finest, Tensor) and finest.shape == shape else None


class _Shapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records operators and the sides of their outputs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.found.append(str(func))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self.found += tensor.shape
        return out


def state_found_sizes_(network: nn.Module, kept: Sizes | None = None) -> None:
    """Let a network that does not state its sizes itself have what was found before, or is found by trying now."""
    stated = getattr(network, "size_multiple", None)
    if stated is not None and hasattr(network, "min_size"):
        return
    found = kept or find_sizes(network, stated)
    if found is not None:
        network.found_sizes = found  # type: ignore[assignment]


def protect_input_(network: nn.Module) -> None:
    """Hand copies to a network that changes its input in place: who asks it to restore an image still needs that."""
    first = next(network.parameters(), None)
    for side in (found.least if (found := found_sizes(network)) else 2 * _BASES[0], *_BASES):
        image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
        given = image if first is None else image.to(first)
        handed = given.clone()
        try:
            with _only_looking(network):
                network(handed)
        except Exception:  # noqa: BLE001  whatever a foreign network raises, it does not take this size
            continue
        if not torch.equal(handed, given):
            network.register_forward_pre_hook(_copied)
        return


def _copied(_network: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.clone() if isinstance(value, Tensor) else value for value in given)


def found_sizes(network: nn.Module) -> Sizes | None:
    """What was found of a network's sizes; None if nothing had to be, or could be."""
    found = getattr(network, "found_sizes", None)
    return found if isinstance(found, Sizes) else None
