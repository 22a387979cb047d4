"""Synthetic camera shake: sub-pixel motion kernels, applied in linear light, with sensor noise."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from baseline.data.pictures import Picture

GAMMA = 2.2
NOISE_GREY_LEVELS = 1.0
MAX_REACH = 6.0
"""Largest distance of a trajectory from its centre, in pixels."""

Blur = Callable[[Picture, np.random.Generator, float], Picture]
"""A picture, a source of randomness and a reach in pixels -> the picture as it would have been taken in motion."""

_POINTS = 96


def shake_trajectory(rng: np.random.Generator, reach: float) -> NDArray[np.float64]:
    """A hand-shake path of 96 points (x, y) around its centre of mass; the farthest lies `reach` pixels away.

    A velocity with inertia, a steady pull and rare jerks, after Boracchi and Foi (IEEE TIP 2012).
    """
    angle = rng.uniform(0, 2 * np.pi)
    velocity = np.array([np.cos(angle), np.sin(angle)])
    jitter = rng.uniform(0.02, 0.25)
    turn = rng.normal(0, 0.03)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    path = np.empty((_POINTS, 2))
    position = np.zeros(2)
    for i in range(_POINTS):
        path[i] = position
        if rng.random() < 0.01:
            velocity = -velocity * rng.uniform(0.5, 1.5)
        velocity = rotation @ velocity + rng.normal(0, jitter, 2)
        position = position + velocity
    path -= path.mean(axis=0)
    farthest = np.linalg.norm(path, axis=1).max()
    scaled: NDArray[np.float64] = path * (reach / max(float(farthest), 1e-9))
    return scaled


def motion_kernel(path: NDArray[np.float64]) -> NDArray[np.float32]:
    """The path's exposure as an odd square kernel that sums to 1; each point is spread over its four nearest pixels."""
    radius = int(np.ceil(np.abs(path).max())) + 1
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1))
    corner = np.floor(path).astype(int)
    part = path - corner
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            np.add.at(kernel, (corner[:, 1] + dy + radius, corner[:, 0] + dx + radius), weight)
    normalised: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return normalised


def to_linear(picture: Picture) -> NDArray[np.float32]:
    """Display values to linear light in 0..1."""
    linear: NDArray[np.float32] = _LINEAR[picture]
    return linear


def to_display(linear: NDArray[Any]) -> NDArray[np.float32]:
    """Linear light in 0..1 to display grey levels in 0..255, not rounded."""
    display: NDArray[np.float32] = (255.0 * np.power(np.clip(linear, 0.0, 1.0), 1 / GAMMA)).astype(np.float32)
    return display


def photographed(linear: NDArray[Any], rng: np.random.Generator) -> Picture:
    """Linear light as an 8-bit picture with a sensor's noise of one grey level."""
    display = to_display(linear)
    display += rng.standard_normal(display.shape, dtype=np.float32) * np.float32(NOISE_GREY_LEVELS)
    return np.clip(np.rint(display), 0, 255).astype(np.uint8)


def shake(picture: Picture, rng: np.random.Generator, reach: float) -> Picture:
    """The picture as a camera that moved by up to `reach` pixels from its mean position would have taken it."""
    kernel = motion_kernel(shake_trajectory(rng, reach))
    return photographed(cv2.filter2D(to_linear(picture), -1, kernel, borderType=cv2.BORDER_REFLECT_101), rng)


def blurred_window(
    picture: Picture, corner: tuple[int, int], size: tuple[int, int], margin: int, blur: Callable[[Picture], Picture]
) -> tuple[Picture, Picture]:
    """A window of the picture, blurred and sharp; what lies up to `margin` pixels outside is blurred into it."""
    (top, left), (height, width) = corner, size
    above, before = min(top, margin), min(left, margin)
    wide = picture[top - above : top + height + margin, left - before : left + width + margin]
    inner = np.s_[above : above + height, before : before + width]
    return blur(wide)[inner], wide[inner]


_LINEAR = np.power(np.arange(256, dtype=np.float32) / 255.0, np.float32(GAMMA))
