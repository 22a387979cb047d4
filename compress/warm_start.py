"""A student that begins with what of its teacher fits: the most important channels of every layer that both have."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from baseline.data.loader import Batch
from baseline.errors import UserError
from baseline.networks.convolutions import Imitates
from compress.channels import Channels, removed
from compress.criteria import CRITERIA

CRITERION = "fisher"


@dataclass(frozen=True)
class WarmStart:
    """The student's layers that begin as their teacher's, and those that begin anew, with the reason."""

    copied: list[str] = field(default_factory=list)
    anew: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def check_warm_start(student: nn.Module, teacher: nn.Module) -> None:
    """A UserError if no layer fits, told without pictures: which channels matter changes no shape."""
    warm_start_(copy.deepcopy(student), teacher, [], "l2")


def warm_start_(
    student: nn.Module, teacher: nn.Module, batches: Sequence[Batch], criterion: str = CRITERION
) -> WarmStart:
    """Give the student's layers the teacher's weights, in place; a UserError if no layer of them fits.

    The teacher is narrowed to the student's widths, group by group, by leaving out what matters least on the training
    crops. Where the student stacks fewer blocks, they begin as evenly chosen ones. A layer of another kind that stands
    for the teacher's begins as the nearest to it.
    """
    counterparts = dict(_counterparts(student, teacher))
    narrowed = _narrowed(teacher, student, counterparts, batches, criterion)
    report = WarmStart()
    for name, layer in _layers(student):
        reason = (
            _begin_(layer, narrowed.get_submodule(counterparts[name]))
            if name in counterparts
            else "the teacher has no such layer"
        )
        if reason is None:
            report.copied.append(name)
        else:
            report.anew[name] = reason
    if not report.copied:
        raise UserError(
            "warm_start must find a layer that the teacher has, too, of the same name and kind; it found none. "
            "Leave warm_start out."
        )
    return report


def _layers(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """What is begun as a whole: layers with weights, and those that stand for one."""
    for name, child in network.named_children():
        if isinstance(child, Imitates) or next(child.parameters(recurse=False), None) is not None:
            yield f"{prefix}{name}", child
        else:
            yield from _layers(child, f"{prefix}{name}.")


def _counterparts(student: nn.Module, teacher: nn.Module, own: str = "", its: str = "") -> Iterator[tuple[str, str]]:
    """The student's layers and the teacher's that they are to begin as, by name."""
    children = dict(teacher.named_children())
    places = _places(student, teacher)
    for name, child in student.named_children():
        other = places.get(name, name)
        if other not in children:
            continue
        if isinstance(child, Imitates) or next(child.parameters(recurse=False), None) is not None:
            yield f"{own}{name}", f"{its}{other}"
        else:
            yield from _counterparts(child, children[other], f"{own}{name}.", f"{its}{other}.")


def _places(student: nn.Module, teacher: nn.Module) -> dict[str, str]:
    """Of two stacks of blocks of one kind, which block of the higher one each of the lower one is to begin as."""
    own, its = list(student.children()), list(teacher.children())
    few, many = len(own), len(its)
    alike = isinstance(student, nn.Sequential | nn.ModuleList) and len({type(block) for block in (*own, *its)}) == 1
    if not alike or few >= many:
        return {}
    return {str(place): str(round(place * (many - 1) / max(1, few - 1))) for place in range(few)}


def _narrowed(
    teacher: nn.Module, student: nn.Module, counterparts: Mapping[str, str], batches: Sequence[Batch], criterion: str
) -> nn.Module:
    """The teacher with as many channels in every group as the student has there."""
    own = copy.deepcopy(teacher)
    channels = Channels(own)
    widths = {its: _out_channels(student.get_submodule(name)) for name, its in counterparts.items()}
    wanted: dict[str, int] = {}
    for name, group in channels.groups.items():
        width = next((w for member in group.producers() if (w := widths.get(member.layer))), group.channels)
        if width < group.channels and group.broken is None:
            wanted[name] = width
    if not wanted:
        return own
    importances = CRITERIA[criterion].importances(own, channels, list(wanted), batches)
    removal = {
        name: importances[name].argsort(stable=True).tolist()[: channels.groups[name].channels - width]
        for name, width in wanted.items()
    }
    return removed(own, channels, removal)


def _out_channels(layer: nn.Module) -> int | None:
    """The channels that a layer gives; None of one that has no width of its own."""
    return int(layer.out_channels) if isinstance(layer, Imitates | nn.Conv2d | nn.ConvTranspose2d) else None


def _begin_(layer: nn.Module, its: nn.Module) -> str | None:
    """Begin as the teacher's layer; the reason if it does not fit."""
    if isinstance(layer, Imitates):
        if not isinstance(its, layer.stands_for):
            return f"the teacher has a {type(its).__name__} there"
        own, taught = (f"{one.in_channels} to {one.out_channels} channels" for one in (layer, its))
        if own != taught:
            return f"it has {own}; the teacher's has {taught}"
        layer.imitate_(its)
        return None
    shapes, wanted = ({key: tuple(t.shape) for key, t in one.state_dict().items()} for one in (layer, its))
    if shapes != wanted:
        return f"its shapes are {shapes}; the teacher's are {wanted}"
    layer.load_state_dict(its.state_dict())
    return None
