"""The recipe file: its schema, and reading it so that every mistake shows before any work starts."""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from baseline.data.datasets import DATASETS
from baseline.errors import UserError, unknown_name
from baseline.measurement import METRICS
from baseline.networks.user_networks import is_users
from baseline.settings import DataSettings, FitSettings, Settings, Share, TrainSettings
from compress.pruning_settings import PruneSettings, Side
from compress.runtimes.table import RUNTIMES
from compress.teaching_settings import DistillSettings
from recipes.parse import assign_, parse, parse_yaml, shown
from recipes.resolve import SHIPPED
from recipes.stages.table import STAGES

LIBRARY = Path(__file__).parent / "library"
SUFFIXES = (".yaml", ".yml")
"""How the names of recipes' files end."""

Interval = tuple[float, float]
_RESERVED = {"teacher", "blurred", "sharp"}
_CUTS = ("params_cut", "macs_cut")


class TeacherSettings(Settings):
    """Where the teacher comes from: a shipped name or an artifact's folder, or a training that makes it."""

    network: str | None = None
    train: TrainSettings | None = None


class MeasureSettings(Settings):
    """What is timed and counted, and where. `auto`: every device and runtime with files that is usable here."""

    size: tuple[Side, Side] = (256, 256)
    runtimes: list[str] = Field(default=["auto"], min_length=1)
    devices: list[str] = Field(default=["auto"], min_length=1)
    threads: int | None = Field(default=None, gt=0)
    rounds: int = Field(default=20, gt=0)
    pictures: int | None = Field(default=None, gt=0, description="test pictures to score; none: all")


class LatencyGate(Settings):
    """The longest median latency on one runtime and device, in milliseconds."""

    limit: float = Field(gt=0)
    runtime: str = "aoti"
    device: str = "cpu"


class LatencyShareGate(LatencyGate):
    """The largest share of the teacher's median latency on one runtime and device: it holds for any machine."""

    limit: Share


class Gates(Settings):
    """Limits that every variant must keep."""

    min_gain_kept: float | None = None
    max_psnr_loss_db: float | None = None
    max_file_mb: float | None = Field(default=None, gt=0)
    max_latency_ms: LatencyGate | None = None
    max_latency_share: LatencyShareGate | None = None

    @property
    def latencies(self) -> dict[str, LatencyGate]:
        """The gates on latency that are set, by name."""
        gates = {"max_latency_ms": self.max_latency_ms, "max_latency_share": self.max_latency_share}
        return {name: gate for name, gate in gates.items() if gate is not None}

    @property
    def runtime(self) -> str | None:
        """The runtime whose latency is gated; of several the first."""
        return next((gate.runtime for gate in self.latencies.values()), None)


class Step(BaseModel):
    """One stage of a chain with its settings."""

    model_config = ConfigDict(frozen=True)

    stage: str
    settings: Settings

    @property
    def begins_with(self) -> str | None:
        """The network that the step builds anew, by name."""
        return getattr(self.settings, "network", None) or getattr(self.settings, "student", None)

    def label(self) -> str:
        """The step as the chain column shows it, by what was typed."""
        given = self.settings.model_dump(exclude_unset=True, exclude_defaults=True, exclude_none=True)
        words = {**given, **given.pop("arguments", {})}
        return f"{self.stage} " + ", ".join(f"{key} {value}" for key, value in words.items() if key != "arguments")


class IterateSettings(Settings):
    """Prune a little, train a little: `rounds` times the prune stage and then `train` or `distill`."""

    rounds: int = Field(ge=2, le=20)
    prune: PruneSettings
    train: TrainSettings | None = None
    distill: DistillSettings | None = None

    @model_validator(mode="after")
    def _one_training_that_goes_on(self) -> "IterateSettings":
        if self.prune.latency_ms is not None:
            raise ValueError("rounds share out a cut; set latency_cut instead of latency_ms")
        training = self.train or self.distill
        if training is None or (self.train and self.distill):
            raise ValueError("exactly one of train and distill must follow prune in every round")
        if training.starts_anew:
            raise ValueError("a round must train the pruned network on; leave network and student out")
        return self

    def steps(self) -> list[Step]:
        """The stages one by one. Every round leaves the same share, so that all together leave what was asked for."""
        name, cut = self.prune.target
        once = self.prune.model_copy(update={name: round(1 - (1 - cut) ** (1 / self.rounds), 4)})
        named = {"train": self.train, "distill": self.distill}
        (after,) = (Step(stage=stage, settings=settings) for stage, settings in named.items() if settings)
        return [step for _ in range(self.rounds) for step in (Step(stage="prune", settings=once), after)]


class Recipe(BaseModel):
    """A checked recipe. `variants` are whole chains: `from` is resolved. `notes` are told with a variant's numbers."""

    description: str
    teacher: TeacherSettings
    data: DataSettings
    measure: MeasureSettings
    variants: dict[str, list[Step]]
    notes: dict[str, str]
    gates: Gates
    expect: dict[str, dict[str, Interval]]

    @property
    def steps(self) -> list[Step]:
        """The teacher's training, if there is one, and the steps of all chains."""
        first = [] if self.teacher.train is None else [Step(stage="train", settings=self.teacher.train)]
        return first + [step for chain in self.variants.values() for step in chain]

    @property
    def code(self) -> list[tuple[str, dict[str, Any]]]:
        """Every `package.module:factory` that the recipe names, with the arguments that it gives."""
        named = [(step.begins_with, getattr(step.settings, "arguments", {})) for step in self.steps]
        return [(name, arguments) for name, arguments in named if name is not None and is_users(name)]

    @property
    def must_be_built(self) -> bool:
        """Whether only building its networks tells if they can be: there are some of the user's, or some must fit."""
        teacher = self.teacher.network
        compares = (isinstance(s.settings, DistillSettings) and s.settings.compares_layers for s in self.steps)
        return (teacher is not None and teacher not in SHIPPED) or bool(self.code) or any(compares)


class _RecipeFile(Settings):
    description: str = ""
    teacher: dict[str, Any] = Field(default={"network": "photos"})
    data: dict[str, Any] = Field(default={"name": "photos"})
    measure: dict[str, Any] = Field(default_factory=dict)
    variants: dict[str, list[Any]]
    notes: dict[str, str] = Field(default_factory=dict)
    gates: dict[str, Any] = Field(default_factory=dict)
    expect: dict[str, dict[str, Interval]] = Field(default_factory=dict)


def recipe_path(name: str) -> Path:
    """The file of a shipped recipe's name or of a path; a UserError with the nearest name if there is none."""
    path, shipped = Path(name), shipped_recipes()
    if path.suffix in SUFFIXES:
        if not path.is_file():
            raise UserError(f"{name} must be a recipe's file; there is none. {_guess(path)}")
        return path
    if name in shipped:
        return shipped[name]
    if path.exists():
        kept = path / "recipe.yaml"
        advice = f"Did you mean {kept}?" if kept.is_file() else "Type: lightsharp ls recipes."
        raise UserError(f"{name} must be a recipe: a shipped name, or a file that ends in .yaml. {advice}")
    raise unknown_name("recipe", name, shipped)


def _guess(path: Path) -> str:
    """What was meant by a recipe's file that is not there."""
    if path.stem in shipped_recipes():
        return f"Did you mean the shipped {path.stem}?"
    there = [other.name for other in path.parent.glob("*") if other.suffix in SUFFIXES]
    nearest = get_close_matches(path.name, there, n=1)
    return f"Did you mean {path.parent / nearest[0]}?" if nearest else "Type: lightsharp ls recipes."


def recipe_text(path: Path) -> str:
    """The text of a recipe's file; a UserError if it is not text or cannot be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} must be a recipe's text; {error}.") from None


def shipped_recipes() -> dict[str, Path]:
    """The files of the recipes that come with the program, by name."""
    return {path.stem: path for path in sorted(LIBRARY.glob("*.yaml"))}


def read_recipe(name: str, assignments: tuple[str, ...] = ()) -> tuple[Recipe, dict[str, Any]]:
    """A recipe and its resolved file content; a UserError says what is wrong with it."""
    path = recipe_path(name)
    content = parse_yaml(recipe_text(path), str(path))
    for text in assignments:
        assign_(content, text)
    return check_recipe(content, path.stem), content


def check_recipe(content: Any, where: str) -> Recipe:
    """A recipe from its file's content, every name and number checked."""
    _check_lists(content, where)
    file = parse(_RecipeFile, content, where)
    chains = _chains(file.variants, where)
    teacher = dict(file.teacher)
    if "train" in teacher:
        teacher["train"] = parse(TrainSettings, teacher["train"], f"{where}.teacher.train")
        _check_in_recipe(teacher["train"], f"{where}.teacher.train")
    kinds = {"max_latency_ms": LatencyGate, "max_latency_share": LatencyShareGate}
    gates = file.gates | {
        name: parse(kind, file.gates[name], f"{where}.gates.{name}")
        for name, kind in kinds.items()
        if name in file.gates
    }
    recipe = Recipe(
        description=file.description,
        teacher=parse(TeacherSettings, teacher, f"{where}.teacher"),
        data=parse(DataSettings, file.data, f"{where}.data"),
        measure=parse(MeasureSettings, file.measure, f"{where}.measure"),
        variants=chains,
        notes=file.notes,
        gates=parse(Gates, gates, f"{where}.gates"),
        expect=file.expect,
    )
    _check_names(recipe, where)
    return recipe


def _check_lists(content: Any, where: str) -> None:
    """A UserError for a variant that is no list, as one is that `--set` began under a name that was not there."""
    variants = content.get("variants") if isinstance(content, dict) else None
    if not isinstance(variants, dict):
        return
    for name, steps in variants.items():
        if isinstance(steps, dict) and steps and all(str(key).isdecimal() for key in steps):
            known = [str(other) for other, its in variants.items() if isinstance(its, list)]
            raise UserError(f"{where}.variants: {unknown_name('variant', str(name), known)}")
        if not isinstance(steps, list):
            raise UserError(
                f"{where}.variants.{name} must be a list of stages, such as [prune: {{params_cut: 0.3}}]; got "
                f"{shown(steps)}."
            )


def parse_steps(content: Any, where: str) -> list[Step]:
    """One entry of a chain: a stage with its settings, or several rounds of stages."""
    if isinstance(content, dict) and list(content) == ["iterate"]:
        steps = parse(IterateSettings, content["iterate"], f"{where}.iterate").steps()
        for step in steps:
            _check_in_recipe(step.settings, f"{where}.iterate")
        return steps
    return [_parse_step(content, where)]


def _parse_step(content: Any, where: str) -> Step:
    """One `stage: {settings}` of a chain."""
    if not isinstance(content, dict) or not content:
        raise UserError(
            f"{where} must be one stage with its settings, such as 'prune: {{params_cut: 0.3}}'; got {shown(content)}."
        )
    _check_stage_names(content, where)
    if len(content) > 1:
        raise UserError(f"{where} must be one stage; got {', '.join(content)}. Begin each with a dash of its own.")
    ((name, settings),) = content.items()
    stage = STAGES[name]
    parsed = parse(stage.settings, {} if settings is None else settings, f"{where}.{name}")
    _check_in_recipe(parsed, f"{where}.{name}")
    return Step(stage=name, settings=parsed)


def _check_stage_names(content: dict[str, Any], where: str) -> None:
    """A UserError for a name that is no stage; `--set` puts one beside the stage that was meant."""
    known = [*STAGES, "from", "iterate"]
    for name in content:
        if name not in known:
            raise UserError(f"{where}: {unknown_name('stage', str(name), known)}")


def _check_in_recipe(settings: Settings, where: str) -> None:
    """A UserError for what only `lightsharp train` can do: a run is one process, and its folder holds no trackers."""
    if isinstance(settings, FitSettings) and (settings.processes, settings.track) != (1, "none"):
        raise UserError(
            f"{where} must leave processes and track out in a recipe; got {settings.processes} and {settings.track}. "
            "Train with lightsharp train, and name the result as the teacher."
        )


def _chains(variants: dict[str, list[Any]], where: str) -> dict[str, list[Step]]:
    chains: dict[str, list[Step]] = {}
    for name, steps in variants.items():
        place = f"{where}.variants.{name}"
        _check_variant_name(name, place)
        start: list[Step] = []
        if steps and isinstance(steps[0], dict) and "from" in steps[0]:
            base = steps[0]["from"]
            if len(steps[0]) > 1:
                raise UserError(
                    f"{place}.0 must hold from alone; it also holds {', '.join(sorted({*steps[0]} - {'from'}))}."
                )
            if not isinstance(base, str) or base not in chains:
                advice = unknown_name("variant", str(base), chains) if chains else "There is none above. Leave it out."
                raise UserError(f"{place}.0.from must name a variant above this one. {advice}")
            start, steps = chains[base], steps[1:]
        own = [step for i, content in enumerate(steps) for step in parse_steps(content, f"{place}.{i}")]
        chains[name] = [*start, *own]
        _check_order(chains[name], place)
        if not chains[name]:
            raise UserError(f"{place} must have at least one stage; it has none. Stages: {', '.join(STAGES)}.")
    return chains


def _check_order(chain: list[Step], place: str) -> None:
    for number, step in enumerate(chain):
        if number and step.settings.starts_anew:
            raise UserError(
                f"{place} must name a new network first; {step.label()} comes after {chain[number - 1].stage}, whose "
                f"result would be lost. Leave {'student' if step.stage == 'distill' else 'network'} out to go on with "
                "it, or put the stage first."
            )
        if step.stage == "export":
            raise UserError(
                f"{place} must not export by itself; every variant is exported for measure.runtimes. Leave it out."
            )
        if step.stage == "quantize" and number < len(chain) - 1:
            raise UserError(
                f"{place} must quantize last; {chain[number + 1].stage} comes after. Put quantize at the end."
            )


def _check_variant_name(name: str, place: str) -> None:
    allowed = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) is not None
    if not allowed or name in _RESERVED:
        raise UserError(
            f"{place} must be named with at most 64 letters, digits, dots, dashes and underscores, and not "
            f"{', '.join(sorted(_RESERVED))}; got '{name}'."
        )


def _check_names(recipe: Recipe, where: str) -> None:
    teacher = recipe.teacher
    if teacher.train is not None and teacher.train.network is None:
        raise UserError(f"{where}.teacher.train must name a network; it names none. Add network: mimo-unet, say.")
    if (teacher.network is None) == (teacher.train is None):
        raise UserError(
            f"{where}.teacher must hold either network or train; it holds {'both' if teacher.network else 'neither'}."
        )
    DATASETS[recipe.data.name]
    for runtime in recipe.measure.runtimes:
        if runtime != "auto":
            RUNTIMES[runtime]
    for name, gate in recipe.gates.latencies.items():
        RUNTIMES[gate.runtime]
        if gate.device not in ("cpu", "cuda"):
            raise unknown_name("device", gate.device, ["cpu", "cuda"])
        _check_measured(gate, recipe.measure, f"{where}.gates.{name}")
    if not recipe.variants:
        raise UserError(f"{where}.variants must name at least one variant; it names none.")
    for device in recipe.measure.devices:
        if device not in ("auto", "cpu", "cuda"):
            raise UserError(f"{where}.measure.devices: {unknown_name('device', device, ['auto', 'cpu', 'cuda'])}")
    for part, named in (("notes", recipe.notes), ("expect", recipe.expect)):
        for variant in named:
            if variant not in recipe.variants:
                raise UserError(f"{where}.{part}: {unknown_name('variant', variant, recipe.variants)}")
    for variant, expected in recipe.expect.items():
        for key, (low, high) in expected.items():
            if low > high:
                raise UserError(f"{where}.expect.{variant}.{key} must be [lowest, highest]; got [{low:g}, {high:g}].")
            if key not in METRICS and key not in _CUTS:
                raise UserError(f"{where}.expect.{variant}: {unknown_name('metric', key, [*METRICS, *_CUTS])}")


def _check_measured(gate: LatencyGate, measure: MeasureSettings, where: str) -> None:
    """A UserError if what a gate looks at is not going to be measured."""
    pairs = (("runtime", gate.runtime, measure.runtimes), ("device", gate.device, measure.devices))
    for what, name, measured in pairs:
        if name not in measured and "auto" not in measured:
            raise UserError(
                f"{where}.{what} must be one that is measured; '{name}' is not in "
                f"measure.{what}s: {', '.join(measured)}. Add it there, or set {what} to one of these."
            )
    if gate.device not in RUNTIMES[gate.runtime].devices:
        there = ", ".join(RUNTIMES[gate.runtime].devices)
        raise UserError(f"{where}.device must be one that {gate.runtime} runs on ({there}); got {gate.device}.")


def recipe_json_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe file, for editors."""
    schema = _RecipeFile.model_json_schema()
    definitions: dict[str, Any] = {}

    def reference(model: type[BaseModel]) -> dict[str, Any]:
        own = model.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(own.pop("$defs", {}))
        definitions[model.__name__] = own
        return {"$ref": f"#/$defs/{model.__name__}"}

    steps: dict[str, Any] = {name: reference(STAGES[name].settings) for name in STAGES}
    steps["from"] = {"type": "string"}
    steps["iterate"] = reference(IterateSettings)
    step = {
        "type": "object",
        "properties": steps,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    schema["properties"]["variants"] = {"type": "object", "additionalProperties": {"type": "array", "items": step}}
    parts: dict[str, type[BaseModel]] = {
        "teacher": TeacherSettings,
        "data": DataSettings,
        "measure": MeasureSettings,
        "gates": Gates,
    }
    schema["properties"] |= {key: reference(model) for key, model in parts.items()}
    schema["$defs"] = definitions
    return schema


def as_yaml(content: Any) -> str:
    """YAML text of plain values, keys in their order."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
