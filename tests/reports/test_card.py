import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import ModelCard

from baseline.measurement import METRICS
from recipes.cli import main
from reports.card import model_card, write_cards
from reports.record import LatencyRow, Report, Variant
from reports.table import tabulate
from reports.write import read_report, write_report
from tests.reports.records import shipped

HOSTILE = "a|b<img src=x>\n---\n# `rm -rf`\n```\n[x](javascript:1) {{c}} \N{PILE OF POO} *_~'\"&: %\t" + "x" * 140


def card(report: Report, name: str) -> str:
    return model_card(report, next(v for v in (report.teacher, *report.variants) if v.name == name))


def metadata(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def rows(text: str) -> dict[str, list[str]]:
    """The table's cells by the first one, as Markdown shows them."""
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    cells = [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {first: rest for first, *rest in cells}


def test_a_hub_reads_the_metadata(report: Report) -> None:
    report.run.data, report.run.teacher = "photos", "photos"
    read = ModelCard(card(report, "pruned-30-int8")).data
    assert (read.license, read.library_name, read.pipeline_tag) == ("apache-2.0", "lightsharp", "image-to-image")
    assert read.tags == ["image-deblurring", "image-restoration", "pruning", "quantization"]
    assert (read.datasets, read.metrics) == (["photos"], ["psnr", "ssim"])
    assert read.base_model is None  # the teacher's name is that of no model on a hub
    assert read.model_name == "pruned-30-int8"
    results = [(r.task_type, r.dataset_type, r.dataset_split, r.metric_type, r.metric_value) for r in read.eval_results]
    common = ("image-to-image", "photos", "test")
    assert results == [(*common, "psnr", 29.75), (*common, "ssim", 0.888)]


def test_tags_follow_the_chain_and_only_what_was_measured_is_a_result(report: Report) -> None:
    report.run.teacher = "teachers/mine"
    distilled = report.variants[2].model_copy(update={"chain": ["distill student mimo-unet-ds, steps 6"]})
    read = ModelCard(model_card(report, distilled)).data
    assert "distillation" in read.tags
    assert not {"pruning", "quantization"} & set(read.tags)
    assert (read.base_model, read.metrics, read.eval_results) == (None, None, None)
    assert "base_model" not in metadata(card(report, "photos"))
    lpips = METRICS["lpips"].measured(0.123456789, "")
    scored = report.variants[0].model_copy(update={"metrics": report.variants[0].metrics | {"lpips": lpips}})
    results = ModelCard(model_card(report, scored)).data.eval_results
    assert [(r.metric_type, r.metric_value) for r in results][-1] == ("lpips", 0.123457)


def test_every_number_stands_beside_the_teachers(report: Report) -> None:
    table = rows(card(report, "pruned-30"))
    assert table["Params"] == ["0.70 M", "1.00 M", "-30.0%"]
    assert table["MACs"] == ["5.60 G", "8.00 G", "-30.0%"]
    assert table["File MB"] == ["2.80", "4.00", "-30.0%"]
    assert table["PSNR dB"] == ["29.90", "30.00", "-0.10"]
    assert table["SSIM"] == ["0.8950", "0.9000", "-0.0050"]
    assert table["PSNR loss dB [95% interval]"][0] == "0.10 [0.05, 0.15]"
    assert table["Gain kept"][0] == "0.950"
    place = "Latency ms (aoti, cpu, float32, 2 threads, 1x256x256) [p10, p90]"
    assert table[place] == ["150.0 [142.5, 165.0]", "200.0", "-25.0%"]
    assert rows(card(report, "photos"))["Params"] == ["1.00 M"]
    assert "PSNR loss dB [95% interval]" not in rows(card(report, "photos"))


def test_all_columns_of_the_report_are_there(report: Report) -> None:
    columns = {c.heading for c in tabulate(report).columns if not c.key.startswith("latency")} - {"Variant"}
    assert columns <= set(rows(card(report, "int8")))


def test_a_dash_has_its_reason(report: Report) -> None:
    text = card(report, "pruned-30-int8")
    assert rows(text)["Latency ms (aoti, cpu)"] == ["\N{EN DASH}<sup>1</sup>", "\N{EN DASH}", ""]
    assert "\n1. int8 needs AVX512-VNNI here; this CPU has none\n" in text


def test_a_latency_is_compared_only_under_the_same_conditions(report: Report) -> None:
    row = report.variants[0].latency[0]
    report.variants[0].latency = [row.model_copy(update={"threads": 1})]
    (found,) = [cells for name, cells in rows(card(report, "pruned-30")).items() if name.startswith("Latency")]
    assert found[1:] == ["\N{EN DASH}", ""]


def test_it_says_how_to_restore_with_the_fastest_file(report: Report) -> None:
    common: dict[str, Any] = {"device": "cpu", "dtype": "int8", "threads": 2, "batch": 1, "size": (256, 256)}
    report.variants[4].latency = [
        LatencyRow(runtime="eager", median_ms=5.0, **common),
        LatencyRow(runtime="aoti", median_ms=20.0, file="network.pt2", **common),
        LatencyRow(runtime="openvino", median_ms=10.0, file="network.xml", **common),
        LatencyRow(runtime="onnxruntime", missing="none here", **common),
    ]
    text = card(report, "int8")
    assert "lightsharp restore blurred.jpg --network int8.xml --out restored/" in text
    assert text.index("- int8.xml: openvino, with int8.bin beside it") < text.index("- int8.pt2: aoti")
    assert "native code" in text
    assert "onnx" not in text.split("## Numbers")[0]
    report.variants[4].latency = report.variants[4].latency[:1]
    text = card(report, "int8")
    assert "--network artifact --out" in text
    assert "native code" not in text


@pytest.mark.parametrize("name", ["int8", "it's", "-v", HOSTILE])
def test_the_commands_are_those_of_the_program(report: Report, name: str) -> None:
    odd = report.variants[4].model_copy(update={"name": name})
    shell, python, again = re.findall(r"(?ms)^(`{3,})(?:sh|python)\n(.*?)\n\1$", model_card(report, odd))
    words = shlex.split(shell[1])
    given = main.commands["restore"].make_context("restore", words[2:]).params
    assert words[:2] == ["lightsharp", "restore"]
    assert (given["network"], given["inputs"], given["out"]) == (
        f"{name}.pt2",
        (Path("blurred.jpg"),),
        Path("restored"),
    )
    calls = [call for call in ast.walk(ast.parse(python[1])) if isinstance(call, ast.Call)]
    (path,) = [call.args[1] for call in calls if ast.unparse(call.func) == "restore"]
    assert ast.literal_eval(path) == f"{name}.pt2"
    words = shlex.split(again[1])
    assert main.commands[words[1]].make_context(words[1], words[2:]).params["network"] == "artifact"


def test_hostile_names_stay_text(report: Report) -> None:
    plain = card(report, "pruned-30")
    report.run.name = report.run.description = report.run.data = report.run.teacher = HOSTILE
    report.run.conditions = [HOSTILE]
    odd = report.variants[0].model_copy(update={"name": HOSTILE, "chain": [HOSTILE], "missing": {"lpips": HOSTILE}})
    odd.metrics["file_mb"] = METRICS["file_mb"].lacking(HOSTILE)
    text = model_card(report, odd)
    read = ModelCard(text).data
    assert read.model_name == " ".join(HOSTILE.split())
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,96}", read.datasets[0])
    body = text.split("\n---\n\n", 1)[1]
    outside = re.sub(r"(?ms)^(`{3,})\w+\n.*?^\1$", "", body)
    for harmful in ("<img", "[x](", "```", "|b<", "\n---", "\n# `"):
        assert harmful not in outside
    headings = [line for line in outside.splitlines() if line.startswith("## ")]
    assert headings == [line for line in plain.splitlines() if line.startswith("## ")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in body.splitlines() if line.startswith("| ")}
    assert widths == {5}


def test_data_that_was_not_shipped_needs_a_licence_of_its_owner(report: Report) -> None:
    def licence(data: str, teacher: str | None, chain: list[str]) -> str:
        report.run.data, report.run.teacher = data, teacher
        report.teacher.chain = chain
        text = card(report, "pruned-30")
        said = text.split("## Licence")[1]
        assert ("must set their licence" in said) == (metadata(text)["license"] == "other")
        assert ("public domain" in said) == (metadata(text)["license"] == "apache-2.0")
        return str(metadata(text)["license"])

    assert licence("photos", "photos", []) == "apache-2.0"
    assert licence("photos-partly", None, ["train network mimo-unet"]) == "apache-2.0"
    assert licence("photos", "teachers/official", []) == "other"
    assert licence("photos", None, []) == "other"
    assert licence("gopro", "photos", []) == "other"
    assert licence("photoshoot", "photos", []) == "other"


def test_limits_name_the_blur_and_the_gates_that_failed(report: Report) -> None:
    report.run.data = "photos"
    limits = card(report, "pruned-50").split("## Limits")[1]
    assert "Its blur is synthetic" in limits
    assert "what is sharp already, it may make worse" in limits
    assert r"gate min\_gain\_kept failed: 0.8, limit 0.85" in limits
    assert "gate" not in card(report, "pruned-30").split("## Limits")[1]
    report.run.data = "photos-partly"
    assert "partly sharp" in card(report, "pruned-50").split("## Limits")[1]
    report.run.data = "realblur-j"
    assert "synthetic" not in card(report, "pruned-50").split("## Limits")[1]


def test_limits_name_what_the_files_are_near_to_and_what_was_left_out(report: Report) -> None:
    note = "copies of views: left out, since the outputs differ by 2.0e-01"
    report.variants[4].details = [
        {
            "stage": "export: aoti",
            "built_for": {"left_out": note},
            "float_agreement": [{"psnr_db": 44.0}, {"psnr_db": 41.25}],
        },
        {"stage": "export: openvino", "agreement": [{"psnr_db": 60.0}]},
    ]
    text = card(report, "int8")
    assert "- The outputs of its aoti file agree with the float network's to 41.2 dB or more" in text
    assert f"- aoti file: {note}" in text
    assert "openvino file" not in text


def test_a_network_that_does_worse_than_the_blurred_input_is_not_said_to_sharpen(report: Report) -> None:
    sound, worse = report.variants[0], report.variants[4]
    worse.metrics["gain_kept"] = METRICS["gain_kept"].measured(-0.2, "")
    text = card(report, worse.name)
    assert "**It does worse than leaving the picture alone**" in text
    assert "None as it is: it does not sharpen." in text.split("## Intended use")[1].split("## How")[0]
    assert "sharper" not in text
    assert "Sharpening" not in text
    assert "a sharper one of the same size out" in card(report, sound.name)
    report.teacher.metrics["psnr_db"] = METRICS["psnr_db"].measured(27.9, "")  # the input has 28 dB
    assert "**It does worse than leaving the picture alone**" in card(report, report.teacher.name)


def test_a_users_own_network_needs_its_package_and_has_no_licence(report: Report, tmp_path: Path) -> None:
    report.run.data, report.run.teacher = "photos", None
    report.teacher.chain = ["train network my_nets.small:make, steps 300"]
    text = card(report, "pruned-30")
    assert "license" not in metadata(text)
    assert "Apache-2.0" not in text
    assert r"No licence is given: the network is my\_nets.small:make" in text
    assert r"Every command on `artifact` needs my\_nets.small to be importable" in text
    distilled = report.variants[0].model_copy(update={"chain": ["distill student mimo-unet-ds, steps 6"]})
    assert metadata(model_card(report, distilled))["license"] == "apache-2.0"
    distilled.chain = ["distill student my_nets.small:make, steps 6"]
    assert "license" not in metadata(model_card(report, distilled))


def test_an_artifacts_manifest_tells_whose_network_it_is(report: Report, tmp_path: Path) -> None:
    report.run.data = report.run.teacher = "photos"
    for name, architecture in (("int8", "my_nets:make"), ("fp16", "mimo-unet")):
        (tmp_path / "variants" / name / "artifact").mkdir(parents=True)
        (tmp_path / "variants" / name / "record.json").write_text("{}")
        manifest = tmp_path / "variants" / name / "artifact/model.json"
        manifest.write_text(json.dumps({"architecture": architecture}))
    texts = {path.parent.name: path.read_text() for path in write_cards(report, tmp_path)}
    assert r"my\_nets to be importable" in texts["int8"]
    assert "license" not in metadata(texts["int8"])
    assert metadata(texts["fp16"])["license"] == "apache-2.0"


def test_the_file_of_every_runtime_stands_beside_the_teachers_for_the_same() -> None:
    edge = shipped("edge")
    table = rows(card(edge, "edge-int8"))
    assert table["File MB (aoti)"] == ["0.58", "4.16", "-86.1%"]
    assert table["File MB (executorch)"] == ["0.20", "3.85", "-94.7%"]
    assert "File MB" not in table


def test_a_path_of_somebodys_machine_is_not_published(report: Report) -> None:
    report.run.teacher, report.run.command = "/home/ada/teachers/mine", "lightsharp run /home/ada/x.yaml"
    text = card(report, "pruned-30")
    assert "/home/ada" not in text
    assert "Its teacher is the network mine." in text


def test_cards_are_written_where_a_run_left_the_variant_and_nowhere_else(report: Report, tmp_path: Path) -> None:
    run = tmp_path / "run"
    names = [v.name for v in (report.teacher, *report.variants) if v.name != "fp16"]
    for name in names:
        (run / "variants" / name).mkdir(parents=True)
        (run / "variants" / name / "record.json").write_text("{}")
    report.variants.append(Variant(name="../../outside"))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/record.json").write_text("{}")
    written = write_cards(report, run)
    assert {path.parent.name for path in written} == set(names) - {"ds-distilled"}
    assert {path.name for path in written} == {"README.md"}
    assert sorted(tmp_path.rglob("README.md")) == sorted(written)
    before = {path: path.read_bytes() for path in written}
    write_report(report, run)
    write_cards(read_report(run), run)
    assert before == {path: path.read_bytes() for path in written}
    assert write_cards(report, tmp_path / "elsewhere") == []


def test_the_report_command_writes_the_cards_again(report: Report, tmp_path: Path) -> None:
    folder = tmp_path / "variants/int8"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{}")
    write_report(report, tmp_path)
    assert CliRunner().invoke(main, ["report", str(tmp_path)]).exit_code == 0
    assert (folder / "README.md").read_text() == card(report, "int8")
