"""Training the blur score on the shipped training photographs: python -m baseline.blur_score_training."""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from baseline.blur_score import CELL, WEIGHTS, BlurScore, details, to_score
from baseline.data.blur import MAX_REACH, motion_kernel, shake_trajectory, to_display, to_linear
from baseline.data.loader import to_tensor
from baseline.data.mixed import free_mask
from baseline.data.moving import object_path
from baseline.data.photos import FOLDER, load_photo
from baseline.data.pictures import Picture, list_pictures
from baseline.progress import progress

_SIDE = (384, 512)
_MARGIN = 8
_PICTURES = 1200
_STEPS = 3000
_BATCH = 16
_LR = 3e-3
_SEED = 74_001
_SHARP = 0.35
"""Of the parts of pictures, so many are not blurred."""
_NOISE = (0.3, 2.0)
_BLURRED_FROM = 0.3


class Sample(NamedTuple):
    """A picture's details, 16,h,w, and the reach of the blur in each of its cells, h,w."""

    details: Tensor
    reach: Tensor


def main() -> None:
    """Make pictures, train, and write the weights that are shipped."""
    photos = [load_photo(path) for path in list_pictures(FOLDER / "train")]
    samples = []
    with progress("making pictures", _PICTURES) as tell:
        for number in range(_PICTURES):
            rng = np.random.default_rng([_SEED, number])
            samples.append(sample(photos[number % len(photos)], rng))
            tell(number + 1)
    network = train(samples)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, WEIGHTS)
    WEIGHTS.chmod(0o644)


def train(samples: list[Sample]) -> BlurScore:
    """Fit the scores; where there is little detail there is little to be told, and it counts for less."""
    torch.manual_seed(_SEED)
    detail, reach = (torch.stack(parts) for parts in zip(*samples, strict=True))
    network = BlurScore().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LR, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LR, total_steps=_STEPS)
    with progress("training the blur score", _STEPS) as tell:
        for step in range(_STEPS):
            chosen = torch.randint(len(detail), (_BATCH,))
            scores = network(detail[chosen])
            weight = (detail[chosen][:, -4:].mean(dim=1) + 9).clamp(0.1, 4)
            far = (scores[:, 0] - to_score(reach[chosen])).abs()
            blurred = (reach[chosen] > _BLURRED_FROM).float()
            at_all = F.binary_cross_entropy_with_logits(scores[:, 1], blurred, reduction="none")
            loss = (weight * (far + at_all)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            tell(step + 1, f"loss {loss.item():.3f}")
    return network


def sample(photo: Picture, rng: np.random.Generator) -> Sample:
    """A window of a photograph, two parts of it blurred in their own ways or not at all, with a sensor's noise."""
    height, width = (side + 2 * _MARGIN for side in _SIDE)
    top, left = (
        int(rng.integers(length - side + 1)) for length, side in zip(photo.shape, (height, width), strict=False)
    )
    light = to_linear(photo[top : top + height, left : left + width])
    reaches = [0.0 if rng.random() < _SHARP else float(rng.uniform(0.3, MAX_REACH)) for _ in range(2)]
    mask = free_mask(rng, (height, width), float(rng.uniform(0, 100)))
    one, other = (_blurred(light, rng, reach) for reach in reaches)
    mixed = to_display(np.where(mask[..., None], one, other))[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    mixed += rng.standard_normal(mixed.shape, dtype=np.float32) * np.float32(rng.uniform(*_NOISE))
    reach = np.where(mask, *reaches)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN].astype(np.float32)
    turns = int(rng.integers(2)) * 2
    picture = np.rot90(np.clip(np.rint(mixed), 0, 255).astype(np.uint8), turns)
    by_cell = F.avg_pool2d(torch.from_numpy(np.rot90(reach, turns).copy())[None, None], CELL)[0, 0]
    return Sample(details(to_tensor(picture)[None])[0], by_cell)


def _blurred(light: NDArray[np.float32], rng: np.random.Generator, reach: float) -> NDArray[np.float32]:
    if reach == 0:
        return light
    path = shake_trajectory(rng, reach) if rng.random() < 0.6 else object_path(rng, reach)
    return np.asarray(cv2.filter2D(light, -1, motion_kernel(path)), dtype=np.float32)


if __name__ == "__main__":
    main()
