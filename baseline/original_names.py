"""The names that the authors of MIMO-UNet gave to its layers, and ours: one table, read both ways."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

LAYERS = (
    ("feat_extract.0.main.0", "head"),
    ("feat_extract.1.main.0", "down.0"),
    ("feat_extract.2.main.0", "down.1"),
    ("feat_extract.3.main.0", "up.0"),
    ("feat_extract.4.main.0", "up.1"),
    ("feat_extract.5.main.0", "out.2"),
    ("Encoder.{}.layers.{}.main.0.main.0", "encoder.{}.{}.conv1"),
    ("Encoder.{}.layers.{}.main.1.main.0", "encoder.{}.{}.conv2"),
    ("Decoder.{}.layers.{}.main.0.main.0", "decoder.{}.{}.conv1"),
    ("Decoder.{}.layers.{}.main.1.main.0", "decoder.{}.{}.conv2"),
    ("Convs.{}.main.0", "merge.{}"),
    ("ConvsOut.{}.main.0", "out.{}"),
    ("AFFs.{}.conv.0.main.0", "fusion.{}.fuse.0"),
    ("AFFs.{}.conv.1.main.0", "fusion.{}.fuse.2"),
    ("FAM1.merge.main.0", "attention.1.merge"),
    ("FAM2.merge.main.0", "attention.0.merge"),
    ("SCM1.main.0.main.0", "image_features.1.features.0"),
    ("SCM1.main.1.main.0", "image_features.1.features.2"),
    ("SCM1.main.2.main.0", "image_features.1.features.4"),
    ("SCM1.main.3.main.0", "image_features.1.features.6"),
    ("SCM1.conv.main.0", "image_features.1.join"),
    ("SCM2.main.0.main.0", "image_features.0.features.0"),
    ("SCM2.main.1.main.0", "image_features.0.features.2"),
    ("SCM2.main.2.main.0", "image_features.0.features.4"),
    ("SCM2.main.3.main.0", "image_features.0.features.6"),
    ("SCM2.conv.main.0", "image_features.0.join"),
)
"""The authors' name of every layer and ours; {} is any number. `join` is two layers of ours, see `_joined`."""


def to_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of our MIMO-UNet under the authors' names."""
    return {_renamed(name, ours=1): tensor for name, tensor in _joined(state).items()}


def from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state with the authors' names under ours."""
    return _split({_renamed(name, ours=0): tensor for name, tensor in state.items()})


def _renamed(name: str, ours: int) -> str:
    """The other name of a tensor: ours is column 1 of the table, the authors' column 0. Unknown names stay."""
    layer, _, parameter = name.rpartition(".")
    for row in LAYERS:
        found = re.fullmatch(re.escape(row[ours]).replace(r"\{\}", r"(\d+)"), layer)
        if found:
            return f"{row[1 - ours].format(*found.groups())}.{parameter}"
    return name


def _joined(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state, in which each pair of convolutions that joins an image and its features is one, over both."""
    joined = {}
    for name, tensor in state.items():
        if name.endswith("join_image.weight"):
            features = state[name.replace("join_image", "join_features")]
            joined[name.replace("join_image", "join")] = torch.cat([tensor, features], dim=1)
        elif not name.endswith("join_features.weight"):
            joined[name.replace("join_features.bias", "join.bias")] = tensor
    return joined


def _split(joined: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `_joined`: the image has the first three input channels."""
    state = {}
    for name, tensor in joined.items():
        if name.endswith("join.weight"):
            state[name.replace("join", "join_image")] = tensor[:, :3]
            state[name.replace("join", "join_features")] = tensor[:, 3:]
        else:
            state[name.replace("join.bias", "join_features.bias")] = tensor
    return state
