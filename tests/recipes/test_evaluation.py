import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from baseline.data.blur import shake
from baseline.data.pictures import Picture
from recipes.cli import main

Eval = Callable[..., Result]


@pytest.fixture(scope="module")
def gopro(tmp_path_factory: pytest.TempPathFactory, photo: Picture) -> Path:
    """Three real pairs from two sequences. Read only."""
    root = tmp_path_factory.mktemp("gopro")
    for number, name in enumerate(("s1/000001", "s1/000002", "夜/000001")):
        sharp = photo[10 * number : 10 * number + 64, :90]
        for side, picture in (("sharp", sharp), ("blur", shake(sharp, np.random.default_rng(number), 4.0))):
            path = root / "test" / name.split("/")[0] / side / f"{name.split('/')[1]}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    return root


@pytest.fixture
def evaluated(gopro: Path, float_folder: Path) -> Eval:
    """Run eval on the three pairs."""
    common = ("eval", str(float_folder), "--data", "gopro", "--root", str(gopro))
    return lambda *arguments: CliRunner().invoke(main, [*common, *map(str, arguments)], env={"COLUMNS": "100"})


def test_the_table_shows_every_metric_before_and_after(evaluated: Eval) -> None:
    result = json.loads(evaluated("--json").stdout)
    lines = evaluated().stdout.splitlines()
    assert lines[0].split() == ["picture", "PSNR", "dB", "↑", "SSIM", "↑", "LPIPS", "↓", "Edge", "sharpness"]
    first = result["pictures"][0]
    shown = [("psnr_db", 2), ("ssim", 3), ("lpips", 3), ("edge_sharpness", 2)]
    values = " ".join(f"{first[f'blurred_{key}']:.{n}f} → {first[key]:.{n}f}" for key, n in shown)
    assert " ".join(lines[2].split()) == f"s1/000001 {values}"
    mean = " ".join(f"{result['blurred'][key]:.{n}f} → {result[key]['mean']:.{n}f}" for key, n in shown)
    assert f"mean {mean}" in [" ".join(line.split()) for line in lines]
    for key, _ in shown:
        low, high = result[key]["ci95"]
        assert low <= result[key]["mean"] <= high
        assert result[key]["mean"] == pytest.approx(np.mean([p[key] for p in result["pictures"]]))


def test_what_is_saved_is_what_is_scored_and_nothing_is_overwritten(
    evaluated: Eval, gopro: Path, tmp_path: Path
) -> None:
    result = json.loads(evaluated("--json", "--save", tmp_path / "out").stdout)
    for picture in result["pictures"]:
        sequence, number = picture["name"].split("/")
        saved = np.array(Image.open(tmp_path / "out" / sequence / f"{number}.png"))
        sharp = np.array(Image.open(gopro / "test" / sequence / "sharp" / f"{number}.png"))
        blurred = np.array(Image.open(gopro / "test" / sequence / "blur" / f"{number}.png"))
        assert picture["psnr_db"] == pytest.approx(peak_signal_noise_ratio(sharp, saved), abs=1e-3)
        assert picture["blurred_psnr_db"] == pytest.approx(peak_signal_noise_ratio(sharp, blurred), abs=1e-3)
    again = evaluated("--save", tmp_path / "out")
    assert again.exit_code == 2
    assert "000001.png must not be there yet; it is. Choose another folder." in " ".join(again.stderr.split())


def test_a_worst_sheet_is_written_once(evaluated: Eval, tmp_path: Path) -> None:
    assert evaluated("--worst", tmp_path / "new" / "worst.png").exit_code == 0
    assert Image.open(tmp_path / "new" / "worst.png").size[0] == 16 + 3 * (512 + 16)
    for name, said in (("new/worst.png", "must not be there yet"), ("worst.pdf", "--worst must name a picture")):
        refused = evaluated("--worst", tmp_path / name)
        assert refused.exit_code == 2
        assert said in " ".join(refused.stderr.split())


def test_a_network_has_no_difference_to_itself_but_its_ensemble_has(evaluated: Eval, float_folder: Path) -> None:
    same = json.loads(evaluated("--json", "--against", float_folder).stdout)["against"]
    assert same["network"] == str(float_folder)
    for key in ("psnr_db", "ssim", "lpips", "edge_sharpness"):
        assert same[key] == {"mean": 0, "ci95": [0, 0], "beyond_zero": False}
    apart = evaluated("--ensemble", "--against", float_folder)
    assert "(self-ensemble) - " in apart.stdout
    assert "Self-ensemble: each restored picture is the mean over four turns" in " ".join(apart.stdout.split())
    compared, plain = (
        json.loads(evaluated("--json", *more).stdout) for more in (("--ensemble", "--against", float_folder), ())
    )
    found = compared["against"]["psnr_db"]
    assert found["mean"] == pytest.approx(compared["psnr_db"]["mean"] - plain["psnr_db"]["mean"]) != 0
    row = next(line for line in apart.stdout.splitlines() if line.startswith("PSNR dB ↑"))
    assert row.split()[3] == f"{found['mean']:+.2f}"
    assert row.split()[-1] == ("yes" if found["beyond_zero"] else "no")


def test_names_of_any_kind_are_shown_and_saved(float_folder: Path, photo: Picture, tmp_path: Path) -> None:
    for name in (b"name[b]x", b"caf\xe9"):
        for side in ("blur", "sharp"):
            path = tmp_path / "data" / side / (os.fsdecode(name) + ".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo[:40, :50]).save(path)
    common = ["eval", str(float_folder), "--data", "folder", "--root", str(tmp_path / "data")]
    table = CliRunner().invoke(main, common, env={"COLUMNS": "100"})
    assert table.exit_code == 0, table.output
    assert "name[b]x" in table.stdout
    assert r"caf\xe9" in table.stdout
    extras = ["--save", str(tmp_path / "saved"), "--worst", str(tmp_path / "worst.png")]
    scores = json.loads(CliRunner().invoke(main, [*common, "--json", *extras]).stdout)
    assert [row["name"] for row in scores["pictures"]] == [r"caf\xe9", "name[b]x"]
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == [r"caf\xe9.png", "name[b]x.png"]
