"""The model card of a variant: the README.md that model hubs read, beside its artifact and files."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from baseline.atomic import write_whole
from baseline.measurement import METRICS
from reports.card_table import card_text, numbers
from reports.digits import compact
from reports.proofs import FLOAT_AGREEMENT, exports_of, least_db, notes_of
from reports.record import Report, Variant
from reports.table import WORSE_THAN_BLURRED, gate_note, is_worse_than_blurred

_QUALITY = {"psnr_db": "psnr", "ssim": "ssim", "lpips": "lpips"}
"""The metrics that hubs know, and what they call them."""

_TAGS = {"prune": "pruning", "distill": "distillation", "quantize": "quantization"}
_SHIPPED_TEACHERS = ("photos", "photos-partly")
_OPEN_LICENSE = {"license": "apache-2.0"}
_OWN_LICENSE = {"license": "other", "license_name": "to-be-set-by-whoever-publishes"}


def write_cards(report: Report, folder: Path) -> list[Path]:
    """Write the card of every row that was made into its folder, where the run's folder has one."""
    folders = {record.parent.name: record.parent for record in folder.glob("variants/*/record.json")}
    made = [v for v in (report.teacher, *report.variants) if v.status == "done" and v.name in folders]
    for variant in made:
        text = model_card(report, variant, _architecture(folders[variant.name] / "artifact"))
        write_whole(folders[variant.name] / "README.md", text)
    return [folders[variant.name] / "README.md" for variant in made]


def model_card(report: Report, variant: Variant, architecture: str = "") -> str:
    """The card: metadata in YAML, then Markdown. Its paths are those of the variant's own folder.

    `architecture` is what the variant's artifact names; without it, the chains say whether the network is a user's own.
    """
    own = _own_network(architecture or _named_in_chains(report, variant))
    metadata = yaml.safe_dump(card_metadata(report, variant, own), sort_keys=False, allow_unicode=True, width=120)
    blocks = [
        f"# {card_text(variant.name)}",
        *_what_it_is(report, variant),
        *_section("How it was made", _how_made(report, variant)),
        *_section("Intended use", [_intended(report, variant)]),
        *_section("How to restore with it", _how_to_restore(variant, own)),
        *_section("Numbers", numbers(report, variant)),
        *_section("Data", _data(report)),
        *_section("Limits", [_bullets(_limits(report, variant))]),
        *_section("Licence", [_licence(report, own)]),
    ]
    return f"---\n{metadata}---\n\n" + "\n\n".join(blocks) + "\n"


def card_metadata(report: Report, variant: Variant, own: str) -> dict[str, Any]:
    """The metadata block, with the results in the form of Hugging Face's model-index.

    It gives no licence for a user's `own` network, and no base model: a teacher's name here is none on a hub.
    """
    quality = _quality_of(variant)
    data, name = _identifier(report.run.data), _one_line(variant.name)
    metadata: dict[str, Any] = {} if own else dict(_OPEN_LICENSE if _is_open(report) else _OWN_LICENSE)
    metadata |= {"library_name": "lightsharp", "pipeline_tag": "image-to-image", "tags": _tags(variant)}
    metadata |= {"datasets": [data]} | ({"metrics": list(quality)} if quality else {})
    if quality:
        metrics = [{"type": kind, "name": title, "value": value} for kind, (title, value) in quality.items()]
        result = {
            "task": {"type": "image-to-image", "name": "Image deblurring"},
            "dataset": {"type": data, "name": _one_line(report.run.data), "split": "test"},
            "metrics": metrics,
        }
        metadata["model-index"] = [{"name": name, "results": [result]}]
    return metadata


def _quality_of(variant: Variant) -> dict[str, tuple[str, float]]:
    """What was measured of the quality: title and value, by the name that hubs know."""
    found = {}
    for key, kind in _QUALITY.items():
        measured, meaning = variant.metrics.get(key), METRICS[key]
        if measured is not None and measured.value is not None:
            title = f"{meaning.title} ({meaning.unit})" if meaning.unit else meaning.title
            found[kind] = (title, round(measured.value, meaning.decimals + 2))
    return found


def _tags(variant: Variant) -> list[str]:
    kinds = {stage.replace(":", " ").split()[0] for stage in variant.chain if stage.strip()}
    return ["image-deblurring", "image-restoration", *(tag for kind, tag in _TAGS.items() if kind in kinds)]


def _what_it_is(report: Report, variant: Variant) -> list[str]:
    run = report.run
    made = "the teacher" if variant is report.teacher else "a lighter variant of the teacher"
    said = f" What the run is for: {card_text(run.description)}" if run.description.strip() else ""
    worse = _is_worse(report, variant)
    out = "another" if worse else "a sharper one"
    blocks = [
        f"An image-restoration network: a blurred photograph in, {out} of the same size out. It is {made} of "
        f"the lightsharp run {card_text(run.name)}.{said}"
    ]
    return [*blocks, _WORSE] if worse else blocks


def _how_made(report: Report, variant: Variant) -> list[str]:
    """The teacher, the chain, and what it took."""
    blocks = [_teacher(report, variant is report.teacher)]
    if variant.chain:
        blocks.append("\n".join(f"{number}. {card_text(stage)}" for number, stage in enumerate(variant.chain, 1)))
    effort = variant.effort
    counted = {
        "training steps": compact(effort.steps) if effort.steps else "",
        "minutes": f"{effort.minutes:.1f}" if effort.minutes else "",
        "crops to train or calibrate on": compact(effort.pictures) if effort.pictures else "",
    }
    spent = ", ".join(f"{number} {what}" for what, number in counted.items() if number)
    return [*blocks, f"Effort: {spent}."] if spent else blocks


def _teacher(report: Report, itself: bool) -> str:
    """Where the teacher comes from, in a sentence."""
    whose = "It" if itself else "Its teacher"
    if report.run.teacher:
        return f"{whose} is the network {card_text(Path(report.run.teacher).name)}."
    return f"{whose} was trained in the same run." if report.teacher.chain else f"{whose} has no name in the record."


_WORSE = (
    f"**It {WORSE_THAN_BLURRED}**: on the test pairs, its pictures are further from the sharp ones than the blurred "
    "input is, as the numbers below say."
)


def _is_worse(report: Report, variant: Variant) -> bool:
    return is_worse_than_blurred(variant, report.run.blurred_psnr_db)


def _intended(report: Report, variant: Variant) -> str:
    """What it is for: nothing, if its pictures are worse than those that it gets."""
    return (
        "None as it is: it does not sharpen. It is kept as a result of the run."
        if _is_worse(report, variant)
        else _INTENDED
    )


_INTENDED = (
    "Sharpening photographs that are blurred in the way of the data below, for people to look at. What it adds is a "
    "guess at what was lost: it must not be taken as evidence of what was there, as in forensics or medicine."
)


def _how_to_restore(variant: Variant, own: str) -> list[str]:
    """The command and the Python lines, with the fastest file or else the artifact; then the other files."""
    files = _files(variant)
    network = next(iter(files), "artifact")
    command = shlex.join(["lightsharp", "restore", "blurred.jpg", "--network", network, "--out", "restored/"])
    python = [
        "import cv2",
        "from recipes.restoring import restore",
        "",
        'picture = cv2.imread("blurred.jpg")[..., ::-1]',
        f"restored = restore(picture, {network!r})",
        'cv2.imwrite("restored.png", restored[..., ::-1])',
    ]
    blocks = ["In this folder:", _code("sh", [command]), "From Python:", _code("python", python)]
    also = [f"{name}: {runtime}" for name, runtime in files.items()]
    also.append("artifact: the network that can be trained on, compressed further and exported")
    blocks += ["What is here, the fastest file first:" if files else "What is here:", _bullets(map(card_text, also))]
    blocks.append(
        "In a run's folder these are links into the run's store: copy them with `cp -rL` before you upload them."
    )
    if own:
        blocks.append(
            f"The artifact holds weights, and no code: its network is {card_text(own)}, of a package that does not "
            f"come with lightsharp. Every command on `artifact` needs {card_text(own.partition(':')[0])} to be "
            "importable (install that package, or start in the folder that holds it) and, elsewhere than where it was "
            f"made, allowed: --allow-code {card_text(own.partition(':')[0])}. The files for runtimes need neither."
        )
    if any(name.endswith(".pt2") for name in files):
        export = shlex.join(["lightsharp", "export", "artifact", "--to", "pt2", "--out", "files"])
        blocks += [
            "A .pt2 file holds native code for one instruction set and one torch version. Open only files whose source "
            "you trust; elsewhere, build it again:",
            _code("sh", [export]),
        ]
    return blocks


def _files(variant: Variant) -> dict[str, str]:
    """The deployables' names in the variant's folder and what runs them, the fastest first."""
    timed = [row for row in variant.latency if row.file and row.median_ms is not None]
    timed.sort(key=lambda row: (row.device != "cpu", row.median_ms, row.runtime))
    files: dict[str, str] = {}
    for row in timed:
        suffix = Path(row.file or "").suffix
        beside = f", with {variant.name}.bin beside it" if suffix == ".xml" else ""
        files.setdefault(f"{variant.name}{suffix}", f"{row.runtime}{beside}")
    return files


def _data(report: Report) -> list[str]:
    """The data set, how everything was measured, and on what."""
    run = report.run
    named = {"cpu": "{}", "gpu": "{}", "torch": "torch {}"}
    machine = ", ".join(said.format(run.environment[key]) for key, said in named.items() if run.environment.get(key))
    lines = [f"Data set: {run.data}", *run.conditions, *([f"Measured on: {machine}"] if machine else [])]
    return [_bullets(map(card_text, lines))]


def _limits(report: Report, variant: Variant) -> list[str]:
    """What a user must know before trusting it; each line is Markdown."""
    data = report.run.data
    lines = []
    if _is_shipped(data) or data.startswith("text"):
        lines.append(
            "Its blur is synthetic. The numbers must not be set beside numbers on GoPro or other real blur, and real "
            "blur may be of a kind that it has never seen."
        )
    else:
        lines.append("The numbers compare only with numbers on the same pairs; other blur may be of another kind.")
    if data.startswith("photos-partly"):
        lines.append("It was trained on pictures that are partly sharp; even so, look at what it does to sharp ones.")
    else:
        lines.append(
            "It has only seen blurred pictures: what is sharp already, it may make worse. See by how much: "
            "`lightsharp eval artifact --data photos-mixed-50-30-20`."
        )
    lines.append("Latencies hold for the machine, the threads and the size that are stated.")
    lines += [card_text(line) for line in (*_float_agreements(variant), *notes_of(variant))]
    return [*lines, *(card_text(gate_note(gate)) for gate in variant.gates if not gate.passed)]


def _float_agreements(variant: Variant) -> list[str]:
    """How the file of each runtime agrees with the float network, where the record holds it."""
    return [
        f"The outputs of its {runtime} file agree with the float network's to {least_db(detail, FLOAT_AGREEMENT)} dB "
        "or more, on real pictures of several sizes."
        for runtime, detail in exports_of(variant)
        if detail.get(FLOAT_AGREEMENT)
    ]


def _licence(report: Report, own: str) -> str:
    if own:
        return (
            f"No licence is given: the network is {card_text(own)}, whose licence lightsharp does not know. Whoever "
            "publishes it must set `license` above by what the licences of that code, of the data and of the teacher "
            "allow."
        )
    if _is_open(report):
        return (
            "Apache-2.0, as the code. The weights were trained on photographs that are in the public domain or CC0; "
            "they are under the same licence."
        )
    return (
        "The code is under Apache-2.0. The weights come from data, or from a teacher, that did not come with "
        "lightsharp: whoever publishes them must set their licence (`license` and `license_name` above) by what the "
        "licence of that data and of that teacher allows."
    )


def _is_open(report: Report) -> bool:
    """Whether all that the weights come from was shipped: the data, and a teacher that was not trained on it here."""
    teacher = report.run.teacher
    known = teacher in _SHIPPED_TEACHERS or (teacher is None and bool(report.teacher.chain))
    return _is_shipped(report.run.data) and known


def _architecture(artifact: Path) -> str:
    """What an artifact's manifest names; nothing if it cannot be read."""
    try:
        manifest = json.loads((artifact / "model.json").read_bytes())
    except (OSError, ValueError):
        return ""
    return str(manifest.get("architecture", "")) if isinstance(manifest, dict) else ""


def _named_in_chains(report: Report, variant: Variant) -> str:
    """The network or student that was named last for a variant, or else for its teacher; nothing if none was."""
    for chain in (variant.chain, report.teacher.chain):
        named = re.findall(r"\b(?:network|student):? ([\w.:-]+)", " ".join(chain))
        if named:
            return str(named[-1])
    return ""


def _own_network(architecture: str) -> str:
    """A user's own `package.module:factory`; nothing for a network that comes with lightsharp."""
    return architecture if re.fullmatch(r"[\w.]+:\w+", architecture) else ""


def _is_shipped(data: str) -> bool:
    return re.match(r"photos\b", data) is not None


def _section(title: str, blocks: list[str]) -> list[str]:
    return [f"## {title}", *blocks]


def _bullets(lines: Any) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _code(language: str, lines: list[str]) -> str:
    """A block of code whose fence is longer than any run of backticks in it."""
    text = "\n".join(lines)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _identifier(text: str) -> str:
    """Text as hubs allow it in an identifier: letters, digits, dots, dashes and underscores, at most 96."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:96] or "unnamed"
