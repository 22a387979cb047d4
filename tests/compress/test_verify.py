import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from baseline.artifact import Artifact
from baseline.errors import UserError
from baseline.folding import deployed_form
from compress.channels import Channels, removed
from compress.cost import count_macs, deployed_params
from compress.prune import apply_, plan, survey
from compress.pruning_settings import PruneSettings
from compress.students import STUDENTS
from compress.trial import small_example
from compress.verify import TOLERANCE, check_groups, error_of_removing, not_exact_together

NETWORKS = {student: STUDENTS[student](("mimo-unet", {"width": 8, "num_blocks": 1})) for student in STUDENTS} | {
    "plain": ("mimo-unet", {"width": 8, "num_blocks": 1}),
    "two blocks": ("mimo-unet", {"width": 8, "num_blocks": 2}),
    "separable": ("mimo-unet", {"width": 8, "num_blocks": 1, "conv": "separable"}),
    "plus": ("mimo-unet-plus", {"width": 8, "num_blocks": 2}),
    "attention": ("mimo-unet-attention", {"width": 8, "num_blocks": 1}),
    "separable attention": ("mimo-unet-attention", {"width": 8, "num_blocks": 1, "conv": "separable"}),
    "unet": ("unet", {"width": 8, "num_blocks": 1}),
    "nafnet": ("nafnet", {"width": 8, "num_blocks": 2}),
}

OUTPUT = "its channels are those of an output"
NOT_ZEROING = "removing its channels is not zeroing them: outputs differ by"
BREAKS = "the network breaks without its channels: "


def conv(inputs: int, outputs: int, **options: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, **options)


class Foreign(nn.Module):
    """Two convolutions, something in between that a subclass says, and two more, added to the image."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.inner, self.after, self.out = conv(3, 8), conv(8, 8), conv(8, 8), conv(8, 3)

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        return features

    def forward(self, image: Tensor) -> Tensor:
        features = self.inner(self.head(image).relu()).relu()
        return self.out(self.after(self.between(features, image)).relu()) + image


class JoinsItsImage(Foreign):
    """torch-pruning takes the image's channels in the concatenation for the first ones of the features."""

    def __init__(self) -> None:
        super().__init__()
        self.join = nn.Conv2d(11, 8, 1)

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        return 1e-5 * self.join(torch.cat([image, features], dim=1))


class Shuffles(Foreign):
    def __init__(self) -> None:
        super().__init__()
        self.up = conv(8, 32)

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        return F.avg_pool2d(F.pixel_shuffle(self.up(features), 2), 2)


class Multiplies(Foreign):
    """A depthwise convolution that makes two channels of each."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise, self.pointwise = conv(8, 16, groups=8), nn.Conv2d(16, 8, 1)

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(features).relu())


class Gates(Foreign):
    """One half of the channels times the other, as in NAFNet."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = conv(8, 16)

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        first, second = self.wide(features).chunk(2, dim=1)
        return first * second


class GatesBeside(Gates):
    """The gate's product in a concatenation: no layer has a channel for each pair and for nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.join = nn.Conv2d(16, 8, 1)

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        return self.join(torch.cat([features, super().between(features, image)], dim=1))


class Grouped(Foreign):
    def __init__(self) -> None:
        super().__init__()
        self.grouped = conv(8, 8, groups=2)

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        return self.grouped(features).relu()


class Normalizes(Foreign):
    """A norm over all channels: fewer of them have other means."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, 8)

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        return self.norm(features)


class LargestInTheDark(Foreign):
    """A gate by the largest of many channels: below zero only for a dark picture, where little of it is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.back = nn.Conv2d(3, 64, 1), nn.Conv2d(64, 8, 1)
        nn.init.uniform_(self.wide.weight, 0.25, 0.35)
        nn.init.constant_(self.wide.bias, -0.2)

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        light = image.mean(dim=(1, 2, 3), keepdim=True)
        wide = self.wide(image.mean(dim=(2, 3), keepdim=True))
        return features + light**4 * self.back(wide * wide.amax(dim=1, keepdim=True).sigmoid())


class FewAreLoud(Foreign):
    """As exact as any as long as a few channels are left."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.back = conv(8, 8), conv(8, 8)

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        wide = self.wide(features).relu()
        return self.back(wide if wide.shape[1] > 2 else 2 * wide)


class BareConvolution(Foreign):
    """Nothing is added to the answer, so nothing but its shape says that it is one."""

    def forward(self, image: Tensor) -> Tensor:
        return self.out(self.after(self.inner(self.head(image).relu()).relu()).relu())


FOREIGN: dict[type[Foreign], dict[str, str]] = {
    JoinsItsImage: {"inner": NOT_ZEROING},
    Shuffles: {"up": NOT_ZEROING},
    Multiplies: {"inner": BREAKS, "depthwise": BREAKS},
    Gates: {},
    GatesBeside: {"wide": BREAKS},
    Grouped: {"inner": "grouped is a convolution in 2 groups, which cannot lose these", "grouped": NOT_ZEROING},
    Normalizes: {"inner": NOT_ZEROING},
    FewAreLoud: {"wide": NOT_ZEROING},
    BareConvolution: {},
}
"""A structure -> the groups that torch-pruning cannot remove exactly in it, and the reason."""


LAID_OUT = {
    "edge": {"decoder.1.conv2"},
    "nafnet": {"encoder.2.1.feed.2", "decoder.0.1.feed.2", "decoder.1.1.feed.2"},
}
"""What is joined with channels that are laid out as pixels, or normalized over all channels, cannot go exactly."""


@pytest.mark.parametrize("name", NETWORKS)
def test_removing_is_zeroing_in_every_group_but_the_outputs(name: str) -> None:
    torch.manual_seed(0)
    network = deployed_form(Artifact.new(*NETWORKS[name], seed=0)).network
    checks = check_groups(network)
    protected = {c.name: c.protected_because for c in checks if c.protected_because}
    outputs = {"unet": {"out"}, "nafnet": {"out"}, "edge": {"out.phases"}}.get(name, {"out.0", "out.1", "out.2"})
    assert {group for group, reason in protected.items() if reason == OUTPUT} == outputs
    assert protected.keys() - outputs == LAID_OUT.get(name, set())
    assert all(protected[group].startswith((NOT_ZEROING, BREAKS)) for group in LAID_OUT.get(name, set()))
    exact = [c for c in checks if c.name not in protected]
    assert len(exact) > 10
    assert all(c.channels >= 2 and c.relative_error is not None and c.relative_error < 1e-8 for c in exact)


@pytest.mark.parametrize("made", FOREIGN)
def test_a_foreign_structure_is_pruned_around_what_is_not_exact(made: type[Foreign]) -> None:
    torch.manual_seed(0)
    network = made().eval()
    settings = PruneSettings(ratio=0.5, criterion="l2", widths="uniform", multiple=1)
    surveyed = survey(network, settings, [])
    expected = FOREIGN[made] | {"out": OUTPUT}
    assert surveyed.protected.keys() == expected.keys()
    for group, reason in surveyed.protected.items():
        assert reason.startswith(expected[group])
    assert {"head", "after"} <= surveyed.unpruned.keys()

    planned = plan(surveyed, settings)
    removal = surveyed.removal(planned.chosen.widths)
    masked = copy.deepcopy(network)
    for group, indices in removal.items():
        assert len(indices) == 4  # half of 8
        layer = masked.get_submodule(group)
        with torch.no_grad():
            layer.weight[indices] = 0
            layer.bias[indices] = 0
    apply_(network, planned, settings)
    assert network.after.out_channels == network.out.in_channels == 4
    image = torch.rand(1, 3, 24, 16)
    torch.testing.assert_close(network(image), masked(image), atol=1e-6, rtol=0)


class Hidden(nn.Module):
    """A normalization over channels, whose removal is not exact, behind a scale that begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.back, self.out = conv(3, 8), conv(8, 8), conv(8, 3)
        self.scale = nn.Parameter(torch.zeros(1, 8, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        x = self.inner(image).exp()
        y: Tensor = self.out(self.back(x / x.mean(dim=1, keepdim=True)) * self.scale)
        return y + image


def test_a_wrong_cut_shows_even_where_the_network_attenuates_it() -> None:
    torch.manual_seed(0)
    network = JoinsItsImage().double().eval()
    channels = Channels(network)
    removal = {"inner": [0, 2, 4, 6]}
    example = small_example(network)
    with torch.no_grad():
        whole, cut = network(example), removed(network, channels, removal)(example)
        with channels.zeroed(network, removal):
            masked = network(example)
    # Against the outputs, the wrong cut looks like rounding; against what zeroing changes, it does not.
    assert (cut - masked).abs().max() / whole.abs().max() < TOLERANCE
    error = float((cut - masked).abs().max() / (masked - whole).abs().max())
    assert error > 0.1
    assert error_of_removing(network, channels, removal) > 0.1


def test_the_halves_of_a_gate_go_together() -> None:
    torch.manual_seed(0)
    network = Gates().double().eval()
    channels = Channels(network)
    assert channels.groups["wide"].channels == 8
    removal = {"wide": [1, 4, 5]}
    both = {("wide", "out"): {1, 4, 5, 9, 12, 13}, ("after", "in"): {1, 4, 5}}
    assert channels.members_cut(removal) == both
    pruned = removed(network, channels, removal)
    kept = [0, 2, 3, 6, 7]
    assert torch.equal(pruned.wide.bias, network.wide.bias[[*kept, *(8 + i for i in kept)]])
    assert error_of_removing(network, channels, removal) < TOLERANCE


def test_halves_that_go_different_ways_are_no_gate() -> None:
    class Parts(Gates):
        """Each half of the channels to a convolution of its own."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = conv(8, 8), conv(8, 8)

        def between(self, features: Tensor, image: Tensor) -> Tensor:
            first, second = self.wide(features).chunk(2, dim=1)
            return self.one(first) + self.other(second)

    torch.manual_seed(0)
    (wide,) = [check for check in check_groups(Parts()) if check.name == "wide"]
    assert wide.channels == 16
    assert str(wide.protected_because).startswith(BREAKS)  # only as many of each could go


def test_a_gate_of_two_halves_is_not_taken_for_exact_by_a_symmetric_choice() -> None:
    torch.manual_seed(0)
    network = GatesBeside().eval()
    channels = Channels(network)
    assert error_of_removing(network, channels, {"wide": list(range(0, 16, 2))}) < TOLERANCE
    protected = {c.name: c.protected_because for c in check_groups(network, channels)}
    assert protected["wide"] is not None


def test_a_network_of_one_precision_is_told_what_to_change() -> None:
    class OnePrecision(Foreign):
        def between(self, features: Tensor, image: Tensor) -> Tensor:
            return F.conv2d(features, torch.ones(8, 1, 1, 1), groups=8)

    with pytest.raises(UserError) as error:
        check_groups(OnePrecision())
    assert str(error.value).startswith(
        "the network must run in double precision too, in which pruning is checked; it fails with"
    )
    assert str(error.value).endswith("Create tensors in forward with the input's dtype.")


def test_a_scale_that_begins_at_zero_hides_nothing() -> None:
    torch.manual_seed(0)
    network = Hidden()
    protected = {c.name: c.protected_because for c in check_groups(network)}
    assert "removing its channels is not zeroing them" in str(protected["inner"])
    assert not network.scale.any()


def test_a_cut_that_shows_only_in_the_dark_is_not_taken_for_exact() -> None:
    torch.manual_seed(0)
    network = LargestInTheDark().double().eval()
    channels = Channels(network)
    removal = {"wide": list(range(0, 64, 2))}
    light = torch.rand(1, 3, 16, 16, dtype=torch.double)
    error = {}
    with torch.no_grad():
        for name, picture in (("light", light), ("dark", 0.1 * light)):
            whole, cut = network(picture), removed(network, channels, removal)(picture)
            with channels.zeroed(network, removal):
                masked = network(picture)
            error[name] = (cut - masked).abs().max() / (whole - masked).abs().max()
    assert error["light"] < 1e-9
    assert error["dark"] > 1e-3
    protected = {c.name: c.protected_because for c in check_groups(network, channels)}
    assert str(protected["wide"]).startswith(NOT_ZEROING)


def test_of_groups_that_are_not_exact_together_the_later_ones_are_left_out() -> None:
    class Pair(Foreign):
        """Two ways side by side, loud where few channels are left of both together."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.three = conv(8, 8), conv(8, 8), conv(8, 8)
            self.join = conv(24, 8)

        def between(self, features: Tensor, image: Tensor) -> Tensor:
            ways = [self.one(features), self.two(features), self.three(features)]
            loud = ways[0].shape[1] + ways[1].shape[1] < 12
            return self.join((2 if loud else 1) * torch.cat(ways, dim=1))

    torch.manual_seed(0)
    network = Pair().eval()
    channels = Channels(network)
    half = {name: [1, 2, 3, 4] for name in ("one", "two", "three")}
    left_out, error = not_exact_together(network, channels, half)
    assert left_out.keys() == {"two"}
    assert left_out["two"].startswith(f"with the channels chosen here, {NOT_ZEROING}")
    assert error is not None
    assert error < TOLERANCE
    assert not_exact_together(network, channels, {"one": [1, 2], "two": [3]})[0] == {}


def test_numbers_that_are_not_finite_are_not_taken_for_exact() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(conv(3, 8), conv(8, 8), conv(8, 3))
    network[1].weight.data[0, 0, 0, 0] = torch.nan
    assert all(check.protected_because for check in check_groups(network))


def test_a_network_that_cannot_be_followed_is_refused_in_one_line() -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = conv(4, 3)

        def forward(self, image: Tensor) -> Tensor:
            return self.out(image)

    with pytest.raises(UserError) as error:
        check_groups(Breaks())
    said = str(error.value)
    assert said.startswith("the network must take a picture N,3,H,W; it fails with 'Given groups=1, weight of size")
    assert "\n" not in said


def test_a_network_without_channels_to_remove_is_refused() -> None:
    with pytest.raises(UserError, match="the network must have channels that can be removed exactly; it has none"):
        survey(
            nn.Conv2d(3, 3, 3, padding=1), PruneSettings(ratio=0.5, criterion="l2", widths="uniform", multiple=1), []
        )


def test_a_network_of_another_habit_is_told_what_to_return() -> None:
    class Named(Foreign):
        def forward(self, image: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
            return {"restored": super().forward(image)}

    with pytest.raises(UserError, match=r"must return the restored picture, or a list of them .*; it returns a dict"):
        check_groups(Named())


class HasALossOfItsOwn(Foreign):
    """An output that is only trained on, from features that are pruned; and a norm that takes statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.other = nn.BatchNorm2d(8), conv(8, 3)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:  # type: ignore[override]
        features = self.inner(self.head(image).relu()).relu()
        restored = self.out(self.after(self.norm(features)).relu()) + image
        return [self.other(F.dropout(features, 0.1)), restored] if self.training else restored


def test_what_only_losses_see_keeps_its_channels_and_is_named() -> None:
    torch.manual_seed(0)
    network = HasALossOfItsOwn()
    checks = check_groups(network)
    protected = {c.name: str(c.protected_because) for c in checks if c.protected_because}
    assert protected["inner"].startswith(
        "the network could not be trained without its channels: Given groups=1, weight"
    )
    assert protected["other"] == "it is not run when pictures are restored"
    assert {"head", "after"} == {c.name for c in checks} - protected.keys()


def test_checking_in_training_draws_no_numbers() -> None:
    network = HasALossOfItsOwn()
    drawn = torch.get_rng_state()
    check_groups(network)
    assert torch.equal(torch.get_rng_state(), drawn)


def test_what_goes_with_a_group_is_named() -> None:
    (head, *_) = check_groups(HasALossOfItsOwn())
    assert (head.name, head.with_layers) == ("head", ("inner",))


def test_a_network_that_draws_lots_is_told_so() -> None:
    class DrawsLots(Foreign):
        def between(self, features: Tensor, image: Tensor) -> Tensor:
            return features + torch.rand_like(features)

    with pytest.raises(UserError, match=r"must restore a picture the same way each time; two runs .* differ by \d"):
        check_groups(DrawsLots())


def test_a_network_of_other_layers_at_other_sizes_is_not_cut() -> None:
    class Larger(Foreign):
        def __init__(self) -> None:
            super().__init__()
            self.only_large = conv(8, 8)

        def between(self, features: Tensor, image: Tensor) -> Tensor:
            return features + self.only_large(features) if image.shape[-1] > 200 else features

    network = Larger()
    settings = PruneSettings(ratio=0.5, criterion="l2", widths="uniform", multiple=1)
    with pytest.raises(
        UserError, match=r"must run the same layers at all sizes; .* it breaks at 256x256: Given groups"
    ):
        plan(survey(network, settings, []), settings)
    assert network.head.out_channels == 8


class Twins(Foreign):
    """Two convolutions with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(8, 8), conv(8, 8)
        self.second.weight = self.first.weight

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        return self.second(self.first(features).relu())


class Reparametrized(Foreign):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = parametrizations.weight_norm(conv(8, 8)), parametrizations.spectral_norm(conv(8, 8))

    def between(self, features: Tensor, image: Tensor) -> Tensor:
        return self.second(self.first(features).relu())


@pytest.mark.parametrize(
    ("made", "elsewhere", "protected"),
    [
        (
            Twins,
            0,
            {
                "inner": "first goes with it, and its weights are shared with second",
                "first": "its weights are shared with second",
                "second": "its weights are shared with first",
            },
        ),
        (
            Reparametrized,
            8 + 2 * 8 * 8 * 9,  # lengths and directions; directions alone
            {
                "inner": "first goes with it, and it is reparametrized (weight_norm)",
                "first": "it is reparametrized (weight_norm)",
                "second": "it is reparametrized (spectral_norm)",
            },
        ),
    ],
)
def test_weights_that_are_not_a_layers_own_are_left_alone(
    made: type[Foreign], elsewhere: int, protected: dict[str, str]
) -> None:
    network = made().eval()
    settings = PruneSettings(ratio=0.5, criterion="l2", widths="uniform", multiple=1)
    surveyed = survey(network, settings, [])
    assert surveyed.protected == protected | {"out": OUTPUT}
    assert surveyed.priced.params_elsewhere == elsewhere
    planned = plan(surveyed, settings)
    assert (planned.unpruned["params"], planned.unpruned["macs"]) == counted(network)
    apply_(network, planned, settings)
    assert (planned.predicted["params"], planned.predicted["macs"]) == counted(network)
    assert network.after.out_channels == 4


def counted(network: nn.Module) -> tuple[int, int]:
    """Parameters of a network with one output, and its multiply-adds."""
    return sum(p.numel() for p in network.parameters()), count_macs(network)[0]


def test_weights_made_in_a_hook_are_refused_in_one_line() -> None:
    network = Foreign()
    nn.utils.spectral_norm(network.inner)
    with pytest.raises(
        UserError, match=r"the weights of inner are computed in a hook \(spectral_norm\) and cannot. Use"
    ):
        check_groups(network)


class ChoosesByBrightness(Foreign):
    """A layer of its own for bright images, or for dark ones, that takes what the others take."""

    def __init__(self, bright: bool) -> None:
        super().__init__()
        self.bright, self.other = bright, conv(8, 8)

    def forward(self, image: Tensor) -> Tensor:
        features = self.head(image).relu()
        odd = image.mean() > 0.7 if self.bright else image.mean() < 0.15
        features = self.other(features) if odd else self.inner(features)
        return self.out(self.after(features.relu()).relu()) + image


@pytest.mark.parametrize("bright", [True, False])
def test_layers_that_some_images_run_are_neither_dead_nor_cut(bright: bool) -> None:
    torch.manual_seed(0)
    network = ChoosesByBrightness(bright)
    checks = {check.name: check.protected_because for check in check_groups(network)}
    kind = "bright" if bright else "dark"
    assert checks["other"] == f"it is run for some images only ({kind})"
    assert f"other is run for some only: {kind}" in str(checks["head"])
    assert checks["after"] is None
    assert deployed_params(network) == sum(p.numel() for p in network.parameters())


def test_a_network_that_changes_its_input_is_checked_as_its_twin() -> None:
    class Changes(Foreign):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image.sub_(0.45).div_(0.25))

    class Twin(Foreign):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image.sub(0.45).div(0.25))

    torch.manual_seed(0)
    changes, twin = Changes(), Twin()
    twin.load_state_dict(changes.state_dict())
    assert check_groups(changes) == check_groups(twin)
