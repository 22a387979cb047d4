"""A part of the picture that moves while the rest stands still, or while the camera shakes too."""

import cv2
import numpy as np
from numpy.typing import NDArray

from baseline.data.blur import photographed, shake_trajectory, to_linear
from baseline.data.pictures import Picture

_POINTS = 48
_FEATHER = 2.0
"""Width in pixels of the part's rim, over which it fades into the rest as through a lens."""


def object_path(rng: np.random.Generator, reach: float) -> NDArray[np.float64]:
    """A straight or slightly curved way of 48 offsets (x, y), near 0 at mid-exposure; the farthest is `reach` away."""
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    time = np.linspace(-1, 1, _POINTS)[:, None]
    path = time * along + rng.uniform(-0.3, 0.3) * time**2 * across
    scaled: NDArray[np.float64] = path * (reach / np.linalg.norm(path, axis=1).max())
    return scaled


def free_form(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """A smooth random blob as a mask H,W in 0..1, its middle in the middle half of the picture."""
    x, y = (rng.uniform(0.25, 0.75) * side for side in (width, height))
    down, right = np.mgrid[:height, :width].astype(np.float32)
    down, right = down - y, right - x
    angle = np.arctan2(down, right)
    rim = np.ones_like(angle)
    for waves in range(1, 6):
        rim += rng.uniform(0, 0.4) / waves * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    rim *= rng.uniform(0.15, 0.35) * min(height, width)
    mask: NDArray[np.float32] = np.clip((rim - np.hypot(down, right)) / _FEATHER + 0.5, 0, 1).astype(np.float32)
    return mask


def expose(
    scene: NDArray[np.float32], mask: NDArray[np.float32], motion: NDArray[np.float64], camera: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The mean light of an exposure: H,W,3 seen by a moving camera, its masked part moving in front of the rest.

    Each moment shows object * mask + scene * (1 - mask), so the rim of the mask is blurred like the object itself.
    """
    part = np.dstack([scene * mask[..., None], mask])
    total = np.zeros_like(scene)
    for own, shared in zip(motion, camera, strict=True):
        moved = _shifted(part, own + shared)
        total += moved[..., :3] + _shifted(scene, shared) * (1 - moved[..., 3:])
    return total / np.float32(len(motion))


def move_object(picture: Picture, rng: np.random.Generator, reach: float) -> Picture:
    """The picture with a free-form part of it moving by up to `reach` pixels; as it is, it shows mid-exposure."""
    return _photograph(picture, rng, reach, np.zeros((_POINTS, 2)))


def still_object(picture: Picture, rng: np.random.Generator, reach: float) -> Picture:
    """The picture moving by up to `reach` pixels past a free-form part of it that stands still, as when panning."""
    mask = free_form(rng, *picture.shape[:2])
    path = object_path(rng, reach)
    return photographed(expose(to_linear(picture), mask, -path, path), rng)


def move_object_and_shake(picture: Picture, rng: np.random.Generator, reach: float) -> Picture:
    """A part moves by up to `reach` pixels while the camera shakes by up to `reach` pixels."""
    return _photograph(picture, rng, reach, shake_trajectory(rng, reach)[:: 96 // _POINTS])


def _photograph(picture: Picture, rng: np.random.Generator, reach: float, camera: NDArray[np.float64]) -> Picture:
    mask = free_form(rng, *picture.shape[:2])
    return photographed(expose(to_linear(picture), mask, object_path(rng, reach), camera), rng)


def _shifted(light: NDArray[np.float32], offset: NDArray[np.float64]) -> NDArray[np.float32]:
    """Moved by (x, y) pixels, the edges mirrored."""
    if not offset.any():
        return light
    matrix = np.array([[1, 0, offset[0]], [0, 1, offset[1]]])
    moved: NDArray[np.float32] = cv2.warpAffine(
        light, matrix, light.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    ).astype(np.float32, copy=False)
    return moved
