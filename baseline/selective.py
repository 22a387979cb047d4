"""Effort only where there is blur: each cell of a picture is left, restored at half scale, or restored in full."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from baseline.blur_score import CELL, cells, look
from baseline.cover import Rectangle, cover, work_of
from baseline.errors import UserError
from baseline.gain_model import TREATMENTS, GainModel
from baseline.restorer import Restorer, restore_any_size

LEFT, HALF, FULL = 0, 1, 2
"""What becomes of a cell."""

COSTS = {"full": 1.0, "half": 0.25}
SELECTIVE_BYTES = 100
"""Bytes a pixel that deciding and fading take beside the network."""

LEAST_GAIN = (0.5 / 255) ** 2
"""Mean square that no one sees: a cell that gains less is left as it is."""

_MARGIN = 16
"""Pixels around a rectangle that the network sees and that are not used: its rim lies where little is gained."""
_RAMP = 8
"""Pixels over which a treatment fades out beyond its cells."""
_EACH_CALL = 2.0
"""Cells that one more call of the network costs."""


@dataclass(frozen=True)
class Decision:
    """What becomes of each cell, and the rectangles that do it; `whole` if restoring everything is no more work."""

    treatment: NDArray[np.int8]
    full: list[Rectangle]
    half: list[Rectangle]
    whole: bool


class SelectiveRestorer:
    """A restorer that spends its effort where a gain is expected. `last` is what it decided last."""

    fixed_size: tuple[int, int] | None = None
    max_batch: int | None = 1

    def __init__(self, restorer: Restorer, model: GainModel, aim: float) -> None:
        if restorer.fixed_size is not None:
            height, width = restorer.fixed_size
            raise UserError(
                f"--selective must have a network that takes pictures of any size; this file takes {width}x{height}. "
                "Export it for another runtime."
            )
        if CELL % (2 * restorer.size_multiple):
            raise UserError(
                f"--selective must have a network whose size_multiple divides {CELL // 2}; "
                f"this one's is {restorer.size_multiple}. Restore without it."
            )
        self.restorer = restorer
        self.size_multiple = restorer.size_multiple
        self.model = model
        self.aim = aim
        self.last: Decision | None = None

    def __call__(self, blurred: Tensor) -> Tensor:
        return torch.cat([self._restored(picture[None]) for picture in blurred])

    def decide(self, picture: Tensor) -> Decision:
        """What becomes of the cells of 1,3,H,W in 0..1."""
        treatment = choose(self.model.gains(look(picture.cpu())), self.aim)
        margin = _MARGIN / CELL
        full, half = (cover(treatment == kind, margin * scale, _EACH_CALL) for kind, scale in ((FULL, 1), (HALF, 2)))
        work = work_of(full, margin, _EACH_CALL) + COSTS["half"] * work_of(half, 2 * margin, _EACH_CALL)
        whole = work >= picture.shape[-2] * picture.shape[-1] / CELL**2
        return Decision(np.full_like(treatment, FULL) if whole else treatment, full, half, whole)

    def _restored(self, picture: Tensor) -> Tensor:
        """1,3,H,W -> the same."""
        self.last = decision = self.decide(picture)
        if decision.whole:
            return restore_any_size(self.restorer, picture)
        restored = picture.clone()
        if decision.half:
            change = self._half_changes(picture, decision.half)
            restored += change.mul_(_weights(decision.treatment >= HALF, picture))
        if decision.full:
            sharp = self._full(picture, decision.full, restored)
            restored = torch.lerp(restored, sharp, _weights(decision.treatment == FULL, picture))
        return restored

    def _full(self, picture: Tensor, rectangles: list[Rectangle], otherwise: Tensor) -> Tensor:
        """The rectangles and what is around them restored; the rest as it is otherwise."""
        sharp = otherwise.clone()
        for rectangle in rectangles:
            seen = _window(rectangle, _MARGIN, CELL, picture.shape[-2:])
            used = _window(rectangle, _RAMP, CELL, picture.shape[-2:])
            piece = restore_any_size(self.restorer, picture[..., *seen]).to(picture)
            sharp[..., *used] = piece[..., *_inside(used, seen)]
        return sharp

    def _half_changes(self, picture: Tensor, rectangles: list[Rectangle]) -> Tensor:
        """What restoring at half scale changes in the rectangles and around them; 0 elsewhere."""
        change = torch.zeros_like(picture)
        height, width = picture.shape[-2:]
        even = F.pad(picture, (0, width % 2, 0, height % 2), mode="replicate")
        smaller = F.avg_pool2d(even, 2)
        for rectangle in rectangles:
            seen = _window(rectangle, _MARGIN, CELL // 2, smaller.shape[-2:])
            used = _window(rectangle, _RAMP, CELL // 2, smaller.shape[-2:])
            part = smaller[..., *seen]
            residual = restore_any_size(self.restorer, part).to(picture) - part
            larger = F.interpolate(residual[..., *_inside(used, seen)], scale_factor=2, mode="bilinear")
            rows, columns = (
                slice(2 * side.start, min(2 * side.stop, whole))
                for side, whole in zip(used, (height, width), strict=True)
            )
            change[..., rows, columns] = larger[..., : rows.stop - rows.start, : columns.stop - columns.start]
        return change


def choose(gains: NDArray[np.float64], aim: float) -> NDArray[np.int8]:
    """Rows, columns, treatments -> the cheapest choice that is expected to keep the share `aim` of what can be gained.

    What can be gained is the sum over cells of what restoring them in full gains, where that is a gain. A cell takes
    the treatment whose gain most exceeds its cost at one price; the price is the highest that keeps the share.
    """
    seen = np.where(gains > LEAST_GAIN, gains, 0.0)
    possible = seen[..., TREATMENTS.index("full")].sum()
    if possible == 0:
        return np.zeros(gains.shape[:2], np.int8)
    cost = np.array([COSTS[name] for name in TREATMENTS])
    low, high = 0.0, float((seen / cost).max())
    for _ in range(_HALVINGS):
        price = (low + high) / 2
        kept = _at_price(seen, cost, price)
        if _gain_of(seen, kept) >= aim * possible:
            low = price
        else:
            high = price
    return _at_price(seen, cost, low)


_HALVINGS = 30
_CODES = np.array([FULL, HALF], np.int8)
"""Of the treatments, in their order."""


def _at_price(gains: NDArray[np.float64], cost: NDArray[np.float64], price: float) -> NDArray[np.int8]:
    worth = gains - price * cost
    best = worth.argmax(axis=-1)
    paid = np.where(np.take_along_axis(gains, best[..., None], -1)[..., 0] > 0, worth.max(axis=-1) >= 0, False)
    return np.where(paid, _CODES[best], np.int8(LEFT)).astype(np.int8)


def _gain_of(gains: NDArray[np.float64], treatment: NDArray[np.int8]) -> float:
    return float(sum(gains[..., n][treatment == code].sum() for n, code in enumerate(_CODES)))


def _window(rectangle: Rectangle, around: int, cell: int, size: tuple[int, ...]) -> tuple[slice, slice]:
    """The pixels of a rectangle and so many around it, within the picture."""
    rows = slice(max(0, rectangle.top * cell - around), min(size[0], rectangle.bottom * cell + around))
    columns = slice(max(0, rectangle.left * cell - around), min(size[1], rectangle.right * cell + around))
    return rows, columns


def _inside(used: tuple[slice, slice], seen: tuple[slice, slice]) -> tuple[slice, slice]:
    rows, columns = (slice(u.start - s.start, u.stop - s.start) for u, s in zip(used, seen, strict=True))
    return rows, columns


def _weights(chosen: NDArray[np.bool_], picture: Tensor) -> Tensor:
    """1,1,H,W: 1 in the chosen cells and, outside of them, fading to 0 over the ramp."""
    height, width = picture.shape[-2:]
    rows, columns = cells((height, width))
    mask = np.repeat(np.repeat(chosen.astype(np.float32), CELL, axis=0), CELL, axis=1)
    grown = cv2.dilate(mask, np.ones((_RAMP + 1, _RAMP + 1), np.uint8))
    soft = cv2.blur(grown, (_RAMP + 1, _RAMP + 1), borderType=cv2.BORDER_REPLICATE)
    if soft.shape != (rows * CELL, columns * CELL):
        raise ValueError("one weight a pixel of the cells")
    return torch.from_numpy(soft[:height, :width].copy())[None, None].to(picture)
