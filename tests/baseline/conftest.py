"""Pairs of pictures on disk that look like one another, as real pairs do."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from baseline.data.pictures import Picture

WritePair = Callable[..., tuple[Picture, Picture]]


@pytest.fixture
def write_pair() -> WritePair:
    """Write a blurred and a sharp picture of one scene: where to, the scene's seed, the size. Returns both."""

    def write(blurred: Path, sharp: Path, seed: int = 0, height: int = 48, width: int = 64) -> tuple[Picture, Picture]:
        rng = np.random.default_rng(seed)
        scene = cv2.resize(rng.uniform(40, 215, (6, 8, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        truth = np.clip(scene + rng.normal(0, 12, scene.shape), 0, 255).astype(np.uint8)
        pictures = (np.asarray(cv2.blur(truth, (3, 3)), dtype=np.uint8), truth)
        for picture, path in zip(pictures, (blurred, sharp), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
        return pictures

    return write
