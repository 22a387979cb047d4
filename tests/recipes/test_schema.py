import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from baseline.errors import UserError
from recipes.cli import main
from recipes.parse import assign_, parse_assignments, parse_yaml
from recipes.schema import check_recipe, read_recipe, recipe_json_schema, shipped_recipes

GOOD: dict[str, Any] = {
    "description": "tiny",
    "teacher": {"train": {"network": "mimo-unet", "steps": 2}},
    "data": {"name": "photos"},
    "measure": {"size": [64, 64], "runtimes": ["eager"], "devices": ["cpu"]},
    "variants": {
        "a": [{"prune": {"params_cut": 0.3}}, {"train": {"steps": 3}}],
        "b": [{"from": "a"}, {"train": {"steps": 4}}],
    },
    "gates": {"min_gain_kept": 0.8},
    "expect": {"a": {"params_cut": [0.2, 0.4]}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good recipe with one value set; `a.0.b` goes into mappings and lists."""
    content = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    place: Any = content
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return content


MISTAKES: list[tuple[str, Any, tuple[str, ...]]] = [
    ("varaints", {}, ("no key 'varaints'", "Did you mean 'variants'?")),
    (
        "variants.a.0",
        {"prun": {"ratio": 0.3}},
        ("no stage 'prun'", "Did you mean 'prune'?", "distill, export, from, iterate, prune"),
    ),
    ("variants.a.0.prune", {"params_ct": 0.3}, ("no key 'params_ct'", "Did you mean 'params_cut'?", "variants.a.0")),
    (
        "variants.a.0.prune",
        {},
        ("exactly one of ratio, params_cut, macs_cut, latency_cut, latency_ms must be set; got none",),
    ),
    ("variants.a.0.prune", {"ratio": 0.2, "macs_cut": 0.2}, ("exactly one of", "got ratio, macs_cut")),
    ("variants.a.0.prune", {"ratio": 1.5}, ("variants.a.0.prune.ratio", "1.5")),
    ("variants.a.0.prune", {"ratio": "much"}, ("variants.a.0.prune.ratio", "'much'")),
    ("variants.a.0.prune", {"ratio": 0.2, "criterion": "l3"}, ("no pruning criterion 'l3'", "Known: fisher, fpgm, l1")),
    ("variants.a.0", {"prune": {"ratio": 0.3}, "train": {"steps": 1}}, ("variants.a.0 must be one stage",)),
    ("variants.a.0", "prune", ("variants.a.0 must be one stage with its settings, such as 'prune: {", "got 'prune'")),
    ("variants.a.1", None, ("variants.a.1 must be one stage with its settings", "got None")),
    ("variants.a.1.train", {}, ("variants.a.1.train.steps must be given; it is missing",)),
    ("variants.a.1.train", {"steps": 0}, ("variants.a.1.train.steps", "greater than 0")),
    ("variants.a.1.train", {"steps": 5, "network": "mimo-nuet"}, ("Did you mean 'mimo-unet'?",)),
    (
        "variants.a.1.train",
        {"steps": 5, "network": "mimo-unet", "arguments": {"depth": 3}},
        ("'depth' is none. It takes: width, num_blocks, conv",),
    ),
    ("variants.a.1", {"distill": {"student": "mimo-unet-d", "steps": 2}}, ("Did you mean 'mimo-unet-ds'?",)),
    ("variants.a.1", {"quantize": {"scheme": "int4"}}, ("no quantization scheme 'int4'", "Did you mean 'int8'?")),
    ("variants.a.1", {"quantize": {}}, ("variants.a.1.quantize.scheme must be given; it is missing",)),
    ("variants.a.1", {"export": {"runtime": "aotti"}}, ("no runtime 'aotti'", "Did you mean 'aoti'?")),
    ("variants.a.1", {"export": {"runtime": "eager"}}, ("must be one that has files",)),
    ("variants.b.0", {"from": "aa"}, ("must name a variant above this one", "Did you mean 'a'?")),
    ("variants.c", [], ("variants.c must have at least one stage",)),
    ("variants.teacher", [{"prune": {"ratio": 0.3}}], ("variants.teacher must be named with", "got 'teacher'")),
    ("variants.a/b", [{"prune": {"ratio": 0.3}}], ("got 'a/b'",)),
    ("teacher", {}, ("teacher must hold either network or train; it holds neither",)),
    ("teacher", {"network": "photos", "train": {"steps": 2, "network": "mimo-unet"}}, ("it holds both",)),
    ("teacher.train", {"stepz": 3}, ("no key 'stepz'", "Did you mean 'steps'?", "teacher.train")),
    ("data", {"name": "photos", "rot": "x"}, ("no key 'rot'", "Did you mean 'root'?")),
    ("measure", {"runtimes": ["eagre"]}, ("no runtime 'eagre'", "Did you mean 'eager'?")),
    ("measure", {"devices": ["cdua"]}, ("no device 'cdua'", "Did you mean 'cuda'?")),
    ("measure", {"size": [64]}, ("measure.size",)),
    ("gates", {"min_gain": 0.8}, ("no key 'min_gain'", "Did you mean 'min_gain_kept'?")),
    ("gates", {"max_latency_ms": {"limt": 5}}, ("no key 'limt'", "Did you mean 'limit'?")),
    ("expect", {"aa": {"params_cut": [0, 1]}}, ("no variant 'aa'", "Did you mean 'a'?")),
    ("expect", {"a": {"param_cut": [0, 1]}}, ("no metric 'param_cut'", "Did you mean 'params_cut'?")),
    ("expect", {"a": {"params_cut": [0]}}, ("expect",)),
    ("data", {"name": "gropo"}, ("no data set 'gropo'", "Did you mean 'gopro'?")),
]


@pytest.mark.parametrize(("path", "value", "said"), MISTAKES, ids=[f"{p}={v}"[:60] for p, v, _ in MISTAKES])
def test_a_mistake_is_one_line_with_the_nearest_name_and_exit_code_2(
    path: str, value: Any, said: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(changed(path, value), sort_keys=False))
    result = CliRunner().invoke(main, ["validate", str(file)])
    assert result.exit_code == 2, result.output
    assert len(result.output.strip().splitlines()) == 1
    assert result.output.startswith("error: ")
    for part in said:
        assert part in result.output


def test_the_good_recipe_is_good() -> None:
    recipe = check_recipe(GOOD, "mine")
    assert [step.stage for step in recipe.variants["b"]] == ["prune", "train", "train"]
    assert [step.settings.model_dump().get("steps") for step in recipe.variants["b"]] == [None, 3, 4]


@pytest.mark.parametrize("text", ["a: [", "- a\n- b", "", "5"])
def test_a_file_that_is_no_recipe_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    result = CliRunner().invoke(main, ["validate", str(tmp_path / "mine.yaml")])
    assert result.exit_code == 2, result.output
    assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("demo.yaml", "demo.yaml must be a recipe's file; there is none. Did you mean the shipped demo?"),
        ("mien.yml", "mien.yml must be a recipe's file; there is none. Did you mean mine.yml?"),
        ("runs/mine.yml", "there is none. Type: lightsharp ls recipes."),
        ("mine.txt", "mine.txt must be a recipe: a shipped name, or a file that ends in .yaml. Type: lightsharp ls"),
        ("runs/a", "runs/a must be a recipe: a shipped name, or a file that ends in .yaml. Did you mean runs/a/recipe"),
    ],
)
def test_what_is_no_recipe_is_told_with_what_was_meant(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/a").mkdir(parents=True)
    for file in ("mine.yml", "mine.txt", "runs/a/recipe.yaml"):
        (tmp_path / file).write_text("variants: {a: [{prune: {ratio: 0.3}}]}")
    for command in ("validate", "show", "run"):
        result = CliRunner().invoke(main, [command, name])
        assert result.exit_code == 2, result.output
        assert said in result.output


def test_a_copy_can_be_run_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["cp", "demo", "mine.txt"])
    assert result.exit_code == 2
    assert "mine.txt must end in .yaml, as recipes do. Type: lightsharp cp demo mine.yaml" in result.output
    assert not (tmp_path / "mine.txt").exists()
    assert CliRunner().invoke(main, ["cp", "demo", "mine.yaml"]).exit_code == 0
    assert (tmp_path / "mine.yaml").read_text() == shipped_recipes()["demo"].read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["validate", "dmo"], "no recipe 'dmo'. Did you mean 'demo'?"),
        (["validate", "gone.yaml"], "gone.yaml must be a recipe's file; there is none. Type: lightsharp ls recipes."),
        (["vaildate", "demo"], "no command 'vaildate'. Did you mean 'validate'?"),
        (["validate", "demo", "--set", "variants"], "--set must be given as KEY=VALUE; got 'variants'"),
        (["validate", "demo", "--set", "variants.int8.4.quantize=3"], "'4' must be a number from 0 to 0"),
        (["validate", "demo", "--set", "variants.int8.0.quantize.scheme=int4"], "no quantization scheme 'int4'"),
        (["validate", "demo", "--set", "description.x.y=3"], "must name a key of a mapping"),
        (["validate", "demo", "--set", "teacher.network=fotos"], "no network 'fotos'. Did you mean 'photos'?"),
        (["measure", "x", "--size", "64"], "must be HEIGHTxWIDTH in pixels, such as 256x256; got '64'"),
        (["report", "nowhere"], "must be a run's folder with report.json; there is none"),
        (["check", "nowhere"], "must be a run's folder"),
    ],
)
def test_a_wrong_command_says_what_to_type(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_right(name: str) -> None:
    recipe, _ = read_recipe(name)
    assert recipe.description
    assert recipe.variants
    assert CliRunner().invoke(main, ["validate", name]).exit_code == 0


def test_values_can_be_set_from_outside() -> None:
    recipe, content = read_recipe(
        "demo", ("variants.pruned-30.0.prune.params_cut=0.4", "measure.runtimes=[eager]", "gates.max_file_mb=2.5")
    )
    assert recipe.variants["pruned-30"][0].settings.model_dump()["params_cut"] == 0.4
    assert recipe.measure.runtimes == ["eager"]
    assert recipe.gates.max_file_mb == 2.5
    assert content["variants"]["pruned-30"][0]["prune"]["params_cut"] == 0.4


@pytest.mark.parametrize("text", ["[" * 20_000, "[" * 33 + "]" * 33, "&a [*a]", "{a: " * 40 + "1" + "}" * 40])
def test_what_is_nested_too_deep_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text(f"variants: {text}\n")
    said = "must be nested at most 32 levels deep"
    with pytest.raises(UserError, match=said):
        read_recipe(str(tmp_path / "deep.yaml"))
    with pytest.raises(UserError, match=said):
        read_recipe("demo", (f"variants={text}",))


def test_aliases_that_repeat_each_other_are_looked_at_once() -> None:
    lines = ["a0: &a0 [1, 1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 25))]
    assert len(parse_yaml("\n".join(lines), "x")) == 25


def test_assignments_nest_and_read_yaml() -> None:
    assert parse_assignments(["a.b=1", "a.c=[1, 2]", "d=x y", "e=1.5", "f="]) == {
        "a": {"b": 1, "c": [1, 2]},
        "d": "x y",
        "e": 1.5,
        "f": None,
    }
    values = {"a": [{"b": 1}, {"b": 2}]}
    assign_(values, "a.1.b=3")
    assert values == {"a": [{"b": 1}, {"b": 3}]}
    with pytest.raises(UserError, match="'2' must be a number from 0 to 1, a place in a list"):
        assign_(values, "a.2.b=3")


TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def accepts(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """What of JSON Schema our schemas use, in a few lines."""
    if "$ref" in schema:
        return accepts(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)
    if "anyOf" in schema:
        return any(accepts(part, value, root) for part in schema["anyOf"])
    if "type" in schema and not isinstance(value, TYPES[schema["type"]]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        known, other = schema.get("properties", {}), schema.get("additionalProperties", True)
        few, many = schema.get("minProperties", 0), schema.get("maxProperties", 99)
        if not set(schema.get("required", [])) <= set(value) or not few <= len(value) <= many:
            return False
        for key, inner in value.items():
            rule = known.get(key, other)
            if rule is False or (isinstance(rule, dict) and not accepts(rule, inner, root)):
                return False
    if isinstance(value, list):
        items = schema.get("prefixItems") or [schema.get("items", {})] * len(value)
        return all(accepts(rule, inner, root) for rule, inner in zip(items, value, strict=True))
    return True


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_json_schema_accepts_the_shipped_recipes(name: str) -> None:
    schema = recipe_json_schema()
    content = yaml.safe_load(shipped_recipes()[name].read_text())
    assert accepts(schema, content, schema)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("varaints", {}),
        ("variants.a.0", {"prun": {}}),
        ("variants.a.0", {}),
        ("variants.a.0", {"prune": {}, "train": {"steps": 1}}),
        ("variants.a.0.prune", {"params_ct": 0.3}),
        ("variants.a.1.train", {"steps": "three"}),
        ("variants.a.1.train", {}),
        ("measure.size", 64),
    ],
)
def test_the_json_schema_refuses_mistakes(path: str, value: Any) -> None:
    schema = recipe_json_schema()
    assert accepts(schema, GOOD, schema)
    assert not accepts(schema, changed(path, value), schema)


def test_a_gate_on_what_is_not_measured_is_refused() -> None:
    gate = "gates.max_latency_ms={limit: 5, runtime: aoti, device: cpu}"
    read_recipe("demo", (gate, "measure.runtimes=[aoti, openvino]", "measure.devices=[cpu]"))
    with pytest.raises(UserError, match=r"'aoti' is not in measure\.runtimes: openvino\. Add it there"):
        read_recipe("demo", (gate, "measure.runtimes=[openvino]"))
    with pytest.raises(UserError, match=r"must be one that openvino runs on \(cpu\); got cuda"):
        read_recipe(
            "demo",
            (
                gate.replace("aoti", "openvino").replace("cpu", "cuda"),
                "measure.runtimes=[auto]",
                "measure.devices=[auto]",
            ),
        )
    with pytest.raises(UserError, match=r"'cpu' is not in measure\.devices: cuda\. Add it there"):
        read_recipe("demo", (gate, "measure.devices=[cuda]"))


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("variants.a=[{from: pruned-30, quantize: {scheme: int8}}]", "must hold from alone; it also holds quantize"),
        ("variants.a=[{from: [1]}]", "must name a variant above this one"),
        (
            "variants={a: [{from: b}]}",
            "demo.variants.a.0.from must name a variant above this one. There is none above. Leave it out.",
        ),
        ("variants.a=[{prun: {ratio: 0.3}}]", "demo.variants.a.0: no stage 'prun'. Did you mean 'prune'? Known: dis"),
        ("variants.a=[{quantize: {scheme: int8}}, {train: {steps: 1}}]", "must quantize last; train comes after"),
        ("variants.a=[{export: {}}]", "must not export by itself"),
        (
            "variants.prund-30.0.prune.params_cut=0.4",
            "demo.variants: no variant 'prund-30'. Did you mean 'pruned-30'? Known: distilled, ds-distilled, fp16,",
        ),
        (
            "variants.int8.0.quantise.scheme=fp16",
            "demo.variants.int8.0: no stage 'quantise'. Did you mean 'quantize'? Known: distill, export, from, iterate",
        ),
        (
            "variants.int8.0.train.steps=3",
            "demo.variants.int8.0 must be one stage; got quantize, train. Begin each with a dash of its own.",
        ),
        (
            "variants.int8={prune: {ratio: 0.3}}",
            "must be a list of stages, such as [prune: {params_cut: 0.3}]; got {'p",
        ),
        (
            "variants.a=[{distill: {features: scale, features_weight: 1, steps: 1}}]",
            "must be scales, or a mapping",
        ),
        ("variants={a: [{prune: {ratio: 0.3}}], a: [{prune: {ratio: 0.4}}]}", "'a' is there twice at line 1, column 3"),
        ("teacher={train: {steps: 2}}", "teacher.train must name a network"),
        (
            "variants.a=[{prune: {ratio: 0.3}}, {distill: {student: edge, steps: 1}}]",
            "distill steps 1, student edge comes after prune, whose result would be lost. Leave student out",
        ),
        ("variants.a=[{from: pruned-30}, {train: {network: unet, steps: 1}}]", "Leave network out"),
        ("variants.a=[{distill: {student: ':', steps: 1}}]", "network ':' must "),
        ("variants.a=[{distill: {student: 'no.such:thing', steps: 1}}]", "network 'no.such:thing' must "),
        ("variants.a=[{distill: {steps: 1, crop: 16, teacher_loss: {ssim: 1}}}]", "pixels for the term ssim; got 16"),
        ("variants.a=[{distill: {student: mimo-unet-ds, arguments: {widht: 3}, steps: 1}}]", "'widht' is none"),
        ("variants.a=[{distill: {arguments: {width: 3}, steps: 1}}]", "arguments go with a student's name"),
        ("variants.a=[{train: {network: mimo-unet, arguments: {conv: seperable}, steps: 1}}]", "right conv"),
        ("variants.a=[{train: {network: mimo-unet, arguments: {width: abc}, steps: 1}}]", "right width"),
        ("variants.pruned-30.1.distill.lr=.inf", "finite number"),
        ("measure.size=[0, 0]", "greater than or equal to 16"),
        ("gates.max_latency_ms={limit: 5, runtime: aotii}", "Did you mean 'aoti'?"),
        ("variants={}", "must name at least one variant"),
        ("notes={pruned-3: short}", "demo.notes: no variant 'pruned-3'. Did you mean 'pruned-30'?"),
        ("gates.max_latency_share={limit: 25, runtime: aoti}", "must lie between 0 and 1"),
        ("gates.max_latency_share={limit: 0.2, runtime: openvino}", "demo.gates.max_latency_share.runtime must be one"),
        ("expect.pruned-30.params_cut=[0.4, 0.2]", "must be [lowest, highest]"),
    ],
)
def test_what_would_fail_late_is_refused_early(assignment: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        read_recipe("demo", (assignment,))
    assert said in str(refused.value)


@pytest.mark.parametrize("assignment", ["variants.int8=LONG", "variants.int8.0=[LONG]", "teacher=[LONG]"])
def test_a_long_value_is_not_told_as_a_whole(assignment: str) -> None:
    long = str({f"key{number}": number for number in range(50)})
    with pytest.raises(UserError) as refused:
        read_recipe("demo", (assignment.replace("LONG", long),))
    assert "'key1': 1" in str(refused.value)
    assert len(str(refused.value)) < 250
