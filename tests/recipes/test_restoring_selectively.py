from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from baseline.artifact import Artifact
from baseline.bounded import BoundedRestorer
from baseline.data.pictures import Picture, read_picture, write_picture
from baseline.errors import UserError
from baseline.selective.calibration import load_calibration
from recipes.cli import main
from recipes.networks import open_named
from recipes.resolve import artifact_folder
from recipes.restoring import network_key, restore
from recipes.selective import calibration, calibration_key, calibration_path, made_selective


def test_the_shipped_network_comes_with_a_calibration_of_its_weights() -> None:
    restorer = open_named("photos-partly", "eager")
    path = calibration_path("photos-partly")
    before = path.read_text()
    steps = calibration("photos-partly", restorer).steps
    assert path.read_text() == before
    prices, kept, work = zip(*steps, strict=True)
    assert list(prices) == sorted(prices, reverse=True)
    assert list(work) == sorted(work)
    assert kept[-1] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("share", [0.4, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    bounded = BoundedRestorer(open_named("photos-partly", "eager"), 10**9)
    with pytest.raises(UserError, match=r"--keep-gain must be a share from 0\.5 to below 1; got"):
        made_selective(bounded, "photos-partly", share)


def test_a_calibration_is_no_part_of_what_names_a_network(tmp_path: Path) -> None:
    Artifact.new("edge", {"width": 8, "num_blocks": 1}, 0).save(tmp_path)
    before = network_key(str(tmp_path))
    (tmp_path / "selective.json").write_text("{}")
    assert network_key(str(tmp_path)) == before
    (tmp_path / "model.json").write_text((tmp_path / "model.json").read_text() + " ")
    assert network_key(str(tmp_path)) != before


@pytest.mark.parametrize("key", [network_key, calibration_key])
@pytest.mark.parametrize("change", ["code", "version", "own network", "model"])
def test_what_a_changed_program_made_is_made_again(
    key: Callable[[str], str],
    change: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    importable: Callable[[str, str], str],
) -> None:
    source = "from baseline.networks.edge import EdgeNet\n\ndef make():\n    return EdgeNet(8, 1)\n"
    name = f"own_{change.replace(' ', '_')}_{key.__name__}"
    own = tmp_path / f"{importable(name, source)}.py"
    Artifact.new(f"{own.stem}:make", {}, 0).save(tmp_path / "network")
    before = key(str(tmp_path / "network"))
    assert key(str(tmp_path / "network")) == before
    if change == "code":
        monkeypatch.setattr("recipes.keys.code_sha256", lambda *_modules: "other")
    elif change == "version":
        monkeypatch.setattr("recipes.keys.VERSION", "9")
    elif change == "own network":
        own.write_text(own.read_text() + "CHANGED = 1\n")
    elif change == "model":
        model = tmp_path / "network" / "model.json"
        model.write_text(model.read_text() + " ")
    assert key(str(tmp_path / "network")) != before


def test_the_shipped_calibration_serves_whatever_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.keys.code_sha256", lambda *_modules: "other")
    for name in ("photos-partly", str(artifact_folder("photos-partly"))):
        assert load_calibration(calibration_path(name), calibration_key(name)) is not None


def test_a_sharp_half_stays_as_it_is_and_the_decision_is_drawn(photo: Picture, tmp_path: Path) -> None:
    from baseline.data.blur import shake

    blurred = photo.copy()
    middle = blurred.shape[1] // 2
    blurred[:, :middle] = shake(photo, np.random.default_rng(0), 6.0)[:, :middle]
    blurred[:, middle:] = 128  # nothing to see, so nothing to restore
    write_picture(blurred, tmp_path / "in.png")
    out, drawn = tmp_path / "out", tmp_path / "drawn"
    arguments = ["restore", str(tmp_path / "in.png"), "--out", str(out)]
    done = CliRunner().invoke(
        main, [*arguments, "--selective", "--keep-gain", "0.8", "--decisions", str(drawn)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    restored = read_picture(out / "in.png")
    far = middle + 48
    assert np.array_equal(restored[:, far:], blurred[:, far:])
    assert not np.array_equal(restored[:, :middle], blurred[:, :middle])
    assert read_picture(drawn / "in.png.decision.png").shape == blurred.shape
    again = CliRunner().invoke(main, [*arguments, "--selective", "--keep-gain", "0.8"], catch_exceptions=False)
    assert "all are finished already" in again.output
    assert np.array_equal(restore(blurred, "photos-partly", keep_gain=0.8), restored)
    with pytest.raises(UserError, match="keep_gain must come with a network by its name"):
        restore(blurred, open_named("photos-partly", "eager"), keep_gain=0.8)


@pytest.mark.parametrize("option", [["--keep-gain", "0.9"], ["--decisions", "drawn"]])
def test_options_of_selective_come_with_it(option: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["restore", str(tmp_path), "--out", str(tmp_path / "out"), *option])
    assert done.exit_code == 2
    assert f"{option[0]} must come with --selective; it came alone. Add --selective." in done.output


def test_drawings_overwrite_no_picture_and_each_has_its_own(photo: Picture, tmp_path: Path) -> None:
    small = photo[:64, :64]
    for name in ("a.png", "a.bmp"):
        write_picture(small, tmp_path / name)
    before = (tmp_path / "a.png").read_bytes()
    inputs = [str(tmp_path / "a.png"), str(tmp_path / "a.bmp")]
    asked = ["--selective", "--out", str(tmp_path / "out"), "--decisions"]
    refused = CliRunner().invoke(main, ["restore", *inputs, *asked, str(tmp_path / "a.png")])
    assert refused.exit_code == 2, refused.output
    assert not (tmp_path / "out/a.png").exists()
    done = CliRunner().invoke(main, ["restore", *inputs, *asked, str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.png").read_bytes() == before
    assert {path.name for path in tmp_path.glob("*.decision.png")} == {"a.png.decision.png", "a.bmp.decision.png"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"keep_gain": "0.9"}, "must be a share from 0.5 to below 1; got 0.9"),
        ({"memory": "1GB"}, "memory must be a number of bytes above 0; got '1GB'"),
        ({"memory": 0}, "memory must be a number of bytes above 0; got 0"),
        ({"network": 5}, "the network must be a name, a path or an opened one; got 5"),
        ({"runtime": "aoti"}, "must be eager or inductor; got aoti, which runs files. Make one with lightsharp export"),
    ],
)
def test_what_python_callers_get_wrong_is_one_line(photo: Picture, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as refused:
        restore(photo[:32, :32], **wrong)
    assert said in str(refused.value)
