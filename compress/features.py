"""Features inside networks: kept while they run, and matched between a student and its teacher."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from baseline.errors import UserError, unknown_name
from baseline.restorer import outputs_of, state_sizes_
from compress.trial import small_example

_IMAGE_CHANNELS = 3
_WIDE = 3
"""How many times as wide as high an example is."""


@contextmanager
def tapped(network: nn.Module, layers: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """While it is open, what the named layers gave last; a UserError with the nearest name if there is none."""
    kept: dict[str, Tensor] = {}
    named = dict(network.named_modules())
    handles = []
    try:
        for name in layers:
            if name not in named:
                raise unknown_name("layer", name, [other for other in named if other])
            # The default binds the name of this layer, and not that of the last.
            handles.append(named[name].register_forward_hook(lambda _m, _i, out, name=name: kept.update({name: out})))
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def shapes_of(network: nn.Module, layers: Iterable[str] | None = None) -> dict[str, tuple[int, int]]:
    """The channels, and the scale as input height over height, of what layers give; in the order in which they finish.

    Of all layers that give N,C,h,w, or of the named ones: a UserError if one of these gives something else.
    """
    # So wide that pixels of N,H,W,C are not taken for channels: no scale of the width is one of the height.
    example = small_example(network).repeat(1, 1, 1, _WIDE)
    names = [name for name, _ in network.named_modules() if name] if layers is None else list(layers)
    training = network.training
    with torch.no_grad(), tapped(network.eval(), names) as kept:
        network(example)
    network.train(training)
    shapes = {
        name: (given.shape[1], example.shape[-2] // given.shape[-2])
        for name, given in kept.items()
        if isinstance(given, Tensor) and given.dim() == 4 and _is_a_map(given, example)
    }
    for name in layers or ():
        if name not in shapes:
            raise UserError(f"features must be N,C,height,width; layer '{name}' gives none. Choose another layer.")
    return shapes


def _is_a_map(given: Tensor, example: Tensor) -> bool:
    """Whether something has one whole scale in height and width, and is not the mean of a whole picture."""
    height, width = given.shape[-2:]
    return example.shape[-2] % height == 0 and height > 1 and width == _WIDE * height


def matched_by_scale(student: nn.Module, teacher: nn.Module) -> dict[str, str]:
    """The last layer of each scale that both have, the student's name -> the teacher's; pictures are no features."""
    own, taught = (_last_of_scales(network) for network in (student, teacher))
    found = {own[scale]: taught[scale] for scale in own if scale in taught}
    if not found:
        raise UserError(
            "student and teacher must have features of one scale in common; they have none. "
            "Name the layers: features: {STUDENT_LAYER: TEACHER_LAYER}."
        )
    return found


def _last_of_scales(network: nn.Module) -> dict[int, str]:
    """Scale -> the layer that finishes last at it, not counting parts of a layer that leaves the scale or is an output.

    So a convolution whose channels are then laid out as pixels is no feature of the scale at which it works.
    """
    shapes = shapes_of(network)
    last: dict[int, str] = {}
    for name, (_, scale) in shapes.items():
        places = [shapes[whole] for whole in (name, *_ancestors(name)) if whole in shapes]
        if all(channels > _IMAGE_CHANNELS and its == scale for channels, its in places):
            last[scale] = name
    return last


def _ancestors(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name


class Adapted(nn.Module):
    """A student in training: features of it go through a learned 1x1 convolution each, to be compared with a teacher's.

    `features` holds them after a forward pass in training mode. The adapters are dropped with this module: what is kept
    is `student`.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, pairs: Mapping[str, str]) -> None:
        super().__init__()
        self.student = student
        self.pairs = dict(pairs)
        state_sizes_(self, student)
        own, taught = shapes_of(student, pairs), shapes_of(teacher, pairs.values())
        self.adapters = nn.ModuleList(nn.Conv2d(own[s][0], taught[t][0], 1) for s, t in pairs.items())
        self.features: list[Tensor] = []

    def forward(self, blurred: Tensor) -> list[Tensor]:
        with tapped(self.student, self.pairs) as kept:
            outputs = outputs_of(self.student, blurred)
        given = zip(self.pairs, self.adapters, strict=True)
        self.features = [adapter(kept[name]) for name, adapter in given] if self.training else []
        return outputs
