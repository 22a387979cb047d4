"""Sets of augmentations by name: what may be done to a pair of crops without making it unlike its domain."""

from collections.abc import Callable

import numpy as np

from baseline.data.pictures import Picture
from baseline.registry import Registry

Augmentation = Callable[[np.random.Generator, Picture, Picture], tuple[Picture, Picture]]
"""(generator, blurred crop, sharp crop) -> both, changed alike."""

AUGMENTATIONS: Registry[Augmentation] = Registry("set of augmentations")

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@AUGMENTATIONS.register("none")
def none(_rng: np.random.Generator, blurred: Picture, sharp: Picture) -> tuple[Picture, Picture]:
    """Crops as they were cut."""
    return blurred, sharp


@AUGMENTATIONS.register("flip")
def flip(rng: np.random.Generator, blurred: Picture, sharp: Picture) -> tuple[Picture, Picture]:
    """Mirrored left to right half of the time, as in the paper of MIMO-UNet."""
    return (blurred[:, ::-1], sharp[:, ::-1]) if rng.integers(2) else (blurred, sharp)


@AUGMENTATIONS.register("dihedral")
def dihedral(rng: np.random.Generator, blurred: Picture, sharp: Picture) -> tuple[Picture, Picture]:
    """Turned by quarters and mirrored: all eight ways."""
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))

    def turn(picture: Picture) -> Picture:
        turned = np.rot90(picture, turns)
        return turned[:, ::-1] if mirrored else turned

    return turn(blurred), turn(sharp)


@AUGMENTATIONS.register("dihedral-colour")
def dihedral_colour(rng: np.random.Generator, blurred: Picture, sharp: Picture) -> tuple[Picture, Picture]:
    """All eight ways, then brightness, contrast and saturation changed by up to a fifth."""
    return colour_jitter(rng, *dihedral(rng, blurred, sharp), strength=0.2)


@AUGMENTATIONS.register("faces")
def faces(rng: np.random.Generator, blurred: Picture, sharp: Picture) -> tuple[Picture, Picture]:
    """Mirrored left to right, never turned upside down; colours changed by up to a tenth, for skin and lighting."""
    return colour_jitter(rng, *flip(rng, blurred, sharp), strength=0.1)


@AUGMENTATIONS.register("text")
def text(rng: np.random.Generator, blurred: Picture, sharp: Picture) -> tuple[Picture, Picture]:
    """Never mirrored or turned, as letters are not; a fifth of the crops inverted (light on dark), contrast changed."""
    if rng.random() < 0.2:
        blurred, sharp = 255 - blurred, 255 - sharp
    return colour_jitter(rng, blurred, sharp, strength=0.1)


def colour_jitter(
    rng: np.random.Generator, blurred: Picture, sharp: Picture, strength: float
) -> tuple[Picture, Picture]:
    """Brightness, contrast and saturation of both times factors within 1 - strength to 1 + strength.

    Contrast is taken about the mean luma of the sharp crop, for both: the pair stays a pair.
    """
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3).astype(np.float32)
    middle = np.float32((sharp @ _LUMA).mean() * brightness)

    def change(picture: Picture) -> Picture:
        bright = picture.astype(np.float32) * brightness
        contrasted = (bright - middle) * contrast + middle
        grey = (contrasted @ _LUMA)[..., None]
        changed = (contrasted - grey) * saturation + grey
        levels: Picture = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
        return levels

    return change(blurred), change(sharp)
