"""Networks on disk that can be trained on: `model.json`, how to rebuild them, and `weights.safetensors`. No pickles."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from baseline.atomic import whole_file, write_whole
from baseline.channel_plan import ChannelPlan, apply_channel_plan_, channel_plan
from baseline.checksum import file_sha256
from baseline.errors import UserError
from baseline.networks.user_networks import is_users
from baseline.networks.zoo import NETWORKS, build, build_another
from baseline.sizes import Sizes, found_sizes, protect_input_, state_found_sizes_
from baseline.user_code import remember, require

FORMAT = 1
MODEL_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
_SAME_AS = "same_as"


class Manifest(BaseModel):
    """The content of `model.json`."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    architecture: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    channel_plan: ChannelPlan = Field(default_factory=dict)
    quantization: dict[str, Any] | None = None
    sizes: dict[str, int] | None = None
    lineage: list[dict[str, Any]] = Field(default_factory=list)
    weights_sha256: str


@dataclass
class Artifact:
    """A float network in memory with what is needed to save it. `lineage` has one entry a stage, the oldest first."""

    network: nn.Module
    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)
    lineage: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def new(cls, architecture: str, arguments: dict[str, Any], seed: int) -> "Artifact":
        """An untrained network; its random weights depend on the seed alone."""
        torch.manual_seed(seed)
        network = build(architecture, arguments)
        if ":" in architecture:
            state_found_sizes_(network)
            protect_input_(network)
        return cls(network, architecture, arguments)

    def save(
        self, folder: Path, state: dict[str, Tensor] | None = None, quantization: dict[str, Any] | None = None
    ) -> None:
        """Write into `folder`, which is made. A quantized artifact hands in the state and scheme to keep instead."""
        weights = folder / WEIGHTS_FILE
        kept = self.network.state_dict() if state is None else state
        same_as = _shared(kept)
        # Cloned, since a tensor may also be a part of another.
        stored = {name: t.detach().cpu().contiguous().clone() for name, t in kept.items() if name not in same_as}
        with whole_file(weights, sum(tensor.nbytes for tensor in stored.values())) as beside:
            # One entry of metadata, since several would be written in a different order every time.
            save_file(stored, beside, metadata={_SAME_AS: json.dumps(same_as)} if same_as else None)
        sizes = found_sizes(self.network)
        manifest = Manifest(
            architecture=self.architecture,
            arguments=self.arguments,
            channel_plan=channel_plan(self.network, build_another(self.architecture, self.arguments)),
            quantization=quantization,
            sizes=None if sizes is None else asdict(sizes),
            lineage=self.lineage,
            weights_sha256=file_sha256(weights),
        )
        write_whole(folder / MODEL_FILE, json.dumps(manifest.model_dump(), indent=1) + "\n")
        if is_users(self.architecture):
            remember(self.architecture, self.arguments)


def read_manifest(folder: Path) -> Manifest:
    """The artifact's description; a UserError if the folder holds no artifact of ours."""
    path = folder / MODEL_FILE
    if not path.is_file():
        raise UserError(
            f"{folder} must be an artifact, a folder with {MODEL_FILE} and {WEIGHTS_FILE}; it has no {MODEL_FILE}."
        )
    try:
        manifest = Manifest.model_validate_json(path.read_text())
    except (ValidationError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} must be an artifact's description; {str(error).splitlines()[0]}. Make the artifact again."
        ) from None
    if manifest.format != FORMAT:
        raise UserError(
            f"{path} must have format {FORMAT}; it has {manifest.format}. Use the lightsharp that wrote it."
        )
    return manifest


def read_state(folder: Path, manifest: Manifest) -> dict[str, Tensor]:
    """The artifact's tensors; a UserError if the file is missing, truncated or not the one that was written.

    What the network has under several names is stored once, and is the same tensor here under each.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise UserError(f"{path} must be there; it is missing. Make the artifact again.")
    if file_sha256(path) != manifest.weights_sha256:
        raise UserError(
            f"{path} must have the checksum that {MODEL_FILE} states; it is truncated or changed "
            f"({path.stat().st_size} bytes). Copy or make the artifact again."
        )
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dictionary
            same_as = json.loads((file.metadata() or {}).get(_SAME_AS, "{}"))
    except SafetensorError as error:
        raise UserError(f"{path} must be a safetensors file; {error}. Make the artifact again.") from None
    return state | {name: state[first] for name, first in same_as.items() if first in state}


def _shared(state: dict[str, Tensor]) -> dict[str, str]:
    """The names of tensors that come before under another name, each with that first name."""
    first: dict[object, str] = {}
    same_as: dict[str, str] = {}
    for name, tensor in state.items():
        place = (
            (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()) if tensor.numel() else name
        )
        if place in first:
            same_as[name] = first[place]
        first.setdefault(place, name)
    return same_as


def check_code(folder: Path) -> None:
    """A UserError for an artifact of no known network, or of code that is not allowed. Nothing is imported."""
    manifest = read_manifest(folder)
    if is_users(manifest.architecture):
        require(manifest.architecture, manifest.arguments, folder / MODEL_FILE)
    else:
        NETWORKS[manifest.architecture]


def rebuild(manifest: Manifest) -> nn.Module:
    """The float network in its pruned shape, in eval mode, its weights not yet loaded."""
    network = build(manifest.architecture, manifest.arguments)
    if ":" in manifest.architecture:
        # Artifacts that were made before sizes were kept have them found when they are opened.
        state_found_sizes_(network, None if manifest.sizes is None else Sizes(**manifest.sizes))
        protect_input_(network)
    apply_channel_plan_(network, manifest.channel_plan)
    return network.eval()


def load(folder: Path) -> Artifact:
    """A float artifact, its network in eval mode. Quantized ones are opened by `compress.quantize.open_artifact`."""
    check_code(folder)
    manifest = read_manifest(folder)
    if manifest.quantization is not None:
        raise UserError(
            f"{folder} must be a float artifact here; it is quantized ({manifest.quantization['scheme']}). "
            "Train, prune and distil before quantizing."
        )
    network = rebuild(manifest)
    network.load_state_dict(read_state(folder, manifest))
    return Artifact(network, manifest.architecture, manifest.arguments, manifest.lineage)
