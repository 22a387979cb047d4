import io
import json
import math
import re
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console

from reports.sensitivity import sensitivity_html, sensitivity_page, sensitivity_table

GREY = "rgba(128,128,128,0.38)"


def plots(curves: dict[str, Any]) -> list[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Traces and layout of the heat map and of the curves, as the browser gets them."""
    text = sensitivity_html(curves, "s")
    found = []
    for start in re.finditer(r'Plotly\.newPlot\(\s*"s-(?:map|curves)",\s*', text):
        traces, end = json.JSONDecoder().raw_decode(text, start.end())
        found.append((traces, json.JSONDecoder().raw_decode(text, text.index("{", end))[0]))
    return found


def printed(curves: dict[str, Any], width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(width=width, file=out, color_system=None).print(sensitivity_table(curves))
    return out.getvalue().splitlines()


def test_the_heat_map_has_every_group_and_share_in_the_networks_order(curves: dict[str, Any]) -> None:
    (heat_map,), layout = plots(curves)[0]
    assert layout["yaxis"]["ticktext"] == list(curves["groups"])
    assert layout["yaxis"]["autorange"] == "reversed"
    assert layout["xaxis"]["ticktext"] == ["25%", "50%", "90%"]
    expected = [[f"{point['psnr_loss_db']:.3f}" for point in points] for points in curves["groups"].values()]
    assert heat_map["text"] == expected
    assert heat_map["hovertext"][2][1] == "<b>body.1</b><br>50% removed<br>4.950 dB lost<br>output change 2e-05"


def test_colour_grows_by_the_logarithm_and_gains_are_blue(curves: dict[str, Any]) -> None:
    heat_map = plots(curves)[0][0][0]
    rows = dict(zip(curves["groups"], heat_map["z"], strict=True))
    assert [rows[name][1] for name in ("head", "body.1", "body.4")] == pytest.approx([1.0, 2.0, -math.log10(2)])
    assert (heat_map["zmin"], heat_map["zmax"]) == pytest.approx((-math.log10(2), 2.0))
    stops = [[float(part) for part in re.findall(r"[\d.]+", color)] for _, color in heat_map["colorscale"]]
    (red, _, blue, _), (hot_red, _, hot_blue, hot_opacity) = stops[0], stops[-1]
    assert blue > red
    assert hot_red > hot_blue
    nothing = min(heat_map["colorscale"], key=lambda stop: abs(-math.log10(2) + stop[0] * math.log10(200)))
    assert stops[heat_map["colorscale"].index(nothing)][3] < 0.05 < 0.5 < hot_opacity


def test_every_group_has_a_curve_from_nothing_removed(curves: dict[str, Any]) -> None:
    lines = {re.findall("<b>(.*?)</b>", line["hovertext"][0])[0]: line for line in plots(curves)[1][0]}
    assert set(lines) == set(curves["groups"])
    assert {tuple(line["x"]) for line in lines.values()} == {(0.0, 0.25, 0.5, 0.9)}
    assert lines["body.4"]["y"] == pytest.approx([0.0, -math.log10(1.5), -math.log10(2), math.log10(21)])


def test_the_extreme_groups_are_coloured_and_named_and_the_others_grey(curves: dict[str, Any]) -> None:
    traces, layout = plots(curves)[1]
    colors = {re.findall("<b>(.*?)</b>", line["hovertext"][0])[0]: line["line"]["color"] for line in traces}
    labels = {label["text"]: label["font"]["color"] for label in layout["annotations"]}
    assert list(labels) == ["body.1", "head", "body.2", "body.3", "tail", "body.4"]
    assert colors == labels | {"body.0": GREY, "body.5": GREY}
    assert len(set(labels.values())) == 6


@pytest.mark.parametrize("end_db", [-3.0, 1.0, 9.0])
def test_labels_of_equal_ends_are_apart_and_inside(curves: dict[str, Any], end_db: float) -> None:
    for points in curves["groups"].values():
        points[2]["psnr_loss_db"] = end_db
    layout = plots(curves)[1][1]
    low, high = layout["yaxis"]["range"]
    height = layout["height"] - layout["margin"]["t"] - layout["margin"]["b"]
    places = sorted((label["y"] - low) / (high - low) * height + label["yshift"] for label in layout["annotations"])
    assert len({label["y"] for label in layout["annotations"]}) == 1
    assert all(above - below >= 14.8 for below, above in pairwise(places))
    assert places[0] >= 7
    assert places[-1] <= height - 7


def test_a_network_that_broke_has_a_dash_and_no_colour(curves: dict[str, Any]) -> None:
    curves["groups"]["head"][2]["psnr_loss_db"] = float("nan")
    del curves["groups"]["tail"][0]
    heat_map = plots(curves)[0][0][0]
    assert (heat_map["z"][0][2], heat_map["text"][0][2]) == (None, "\N{EN DASH}")
    assert (heat_map["z"][7][0], heat_map["text"][7][0]) == (None, "\N{EN DASH}")


def test_the_same_curves_give_the_same_bytes(curves: dict[str, Any]) -> None:
    again = json.loads(json.dumps(curves))
    assert sensitivity_html(curves, "s") == sensitivity_html(again, "s")
    assert sensitivity_page(curves, "photos", "photos") == sensitivity_page(again, "photos", "photos")


def test_no_group_is_nothing_to_draw(curves: dict[str, Any]) -> None:
    assert sensitivity_html(curves | {"groups": {}}, "s") == ""


def test_hostile_names_are_escaped(curves: dict[str, Any]) -> None:
    curves["groups"]["</script><img src=x>"] = curves["groups"].pop("body.1")
    curves["protected"] = {"<img src=p>": "<img src=r>"}
    text = sensitivity_html(curves, "s")
    assert text.count("</script>") == 2
    (heat_map, map_layout), (lines, layout) = plots(curves)
    escaped = "&lt;/script&gt;&lt;img src=x&gt;"
    assert map_layout["yaxis"]["ticktext"][-1] == layout["annotations"][0]["text"] == escaped
    assert f"<b>{escaped}</b>" in heat_map[0]["hovertext"][-1][0]
    assert any(f"<b>{escaped}</b>" in line["hovertext"][0] for line in lines)
    whole = sensitivity_page(curves, "<img src=n>", "<img src=d>")
    assert "<img src=" not in whole.replace("\\u003c", "<").replace("\\u003e", ">")
    assert {part for part in "prnd" if f"&lt;img src={part}&gt;" in whole} == set("prnd")


def test_the_page_states_its_conditions_and_needs_no_network(curves: dict[str, Any]) -> None:
    whole = sensitivity_page(curves, "runs/mine", "photos, 24 pairs")
    text = re.sub(r"<script.*?</script>", "", whole, flags=re.DOTALL)
    for part in (
        "<h1>Sensitivity of runs/mine</h1>",
        "<li>criterion taylor</li>",
        "<li>12 training crops of 96x96 pixels of photos, 24 pairs</li>",
        "<li>unpruned PSNR on them 29.88 dB</li>",
        "was pruned alone, by zeroing the channels",
        "without fine-tuning",
        "<li>out.0, out.1: its channels are those of an output</li>",
    ):
        assert part in text
    assert "default-src 'none'" in text
    assert not re.search(r"<link|@import|(?:src|href)=\"(?!data:|#)", text)
    assert whole.count("plotly.js v") == 1


def test_the_terminals_table_begins_with_the_most_sensitive_group(curves: dict[str, Any]) -> None:
    rows = [line.split() for line in printed(curves)]
    assert rows[0] == ["Group", "25%", "50%", "90%"]
    assert [row[0] for row in rows[2:10]] == [
        "body.1",
        "head",
        "body.2",
        "body.5",
        "body.0",
        "body.3",
        "tail",
        "body.4",
    ]
    assert rows[9][1:] == ["-0.025", "-0.050", "1.000"]


def test_without_half_the_middle_share_decides(curves: dict[str, Any]) -> None:
    for points in curves["groups"].values():
        points[1]["ratio"] = 0.4
    assert printed(curves)[2].split()[0] == "body.1"


def test_the_terminals_table_fits_80_columns_and_loses_nothing(curves: dict[str, Any]) -> None:
    points = curves["groups"]["head"]
    name = "a_very_long_container.of_blocks.12.with_many_parts.and.still.more.conv2"
    ratios = (0.125, 0.25, 0.5, 0.75, 0.9)
    curves["groups"] = {name: [points[0] | {"ratio": ratio, "psnr_loss_db": -12.3456} for ratio in ratios]}
    lines = printed(curves)
    assert max(map(len, lines)) <= 80
    assert lines[2].split()[1:] == ["-12.346"] * 5
    folded = [line[: line.index("  ") if "  " in line else None] for line in lines[2:6]]
    assert name in "".join(folded)
    assert "Protected, its channels are those of an output: out.0, out.1." in " ".join(" ".join(lines).split())
