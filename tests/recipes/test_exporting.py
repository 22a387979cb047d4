import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from baseline.errors import UserError
from compress.deployable import Agreement, Deployed
from recipes.exporting import targets, told_of
from recipes.resolve import artifact_folder, plain_name


@pytest.fixture
def variant(tmp_path: Path) -> Path:
    """A run's variant, whose artifact is in the store."""
    entry = tmp_path / "runs/.store/4f0c9e"
    entry.mkdir(parents=True)
    (entry / "model.json").touch()
    folder = tmp_path / "runs/demo/variants/pruned-0.5"
    folder.mkdir(parents=True)
    (folder / "artifact").symlink_to("../../../.store/4f0c9e")
    return folder


def test_files_of_a_runs_artifact_are_named_after_its_variant(variant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for named in (variant, variant / "artifact", f"{variant}/artifact/"):
        assert artifact_folder(str(named)).resolve().name == "4f0c9e"
        assert list(targets(str(named), "pt2", Path("out"))) == [Path("out/pruned-0.5.pt2")]
    monkeypatch.chdir(variant)
    assert [plain_name(name) for name in ("artifact", ".", "artifact/")] == ["pruned-0.5"] * 3


def test_other_artifacts_are_named_after_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine/artifact").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    named = {"photos": "photos", str(tmp_path / "mine"): "mine", "..": tmp_path.name, "artifact": "artifact"}
    assert {name: plain_name(name) for name in named} == named


@pytest.mark.parametrize("out", ["rel-1.2", "files/v2.0.1-rc1", "net.final", ".hidden"])
def test_a_folders_name_may_hold_dots(out: str) -> None:
    assert list(targets("photos", "pt2,onnx", Path(out))) == [Path(out) / "photos.pt2", Path(out) / "photos.onnx"]


@pytest.mark.parametrize("out", ["n.pt", "n.onnx", "n.pth", "n.xml"])
def test_the_name_of_another_kind_of_network_is_no_folder(out: str) -> None:
    with pytest.raises(UserError, match=r"--out must end in \.pt2"):
        targets("photos", "pt2", Path(out))


def deployed(**also: Any) -> Deployed:
    return Deployed("onnxruntime", {"torch": "2"}, [Agreement((64, 64), 61.5, 0.01)], 0.5, **also)


def test_it_is_told_what_a_file_was_compared_with(float_folder: Path, int8_folder: Path, tmp_path: Path) -> None:
    assert told_of(Path("n.onnx"), deployed(tiles=Agreement((96, 96), 50.0, 0.1)), float_folder) == [
        "wrote n.onnx: 0.50 MB, torch 2",
        "  in a fresh process, 64x64: 61.5 dB against the network, largest difference 0.01",
        "  in tiles, 96x96: 50.0 dB against the network on the whole picture",
    ]
    assert told_of(Path("n.onnx"), deployed(), int8_folder)[1:] == [
        "  in a fresh process, 64x64: 61.5 dB against its int8 artifact, largest difference 0.01",
        "  against the float network: not known, since the int8 artifact does not hold it",
    ]
    made_by_a_run = shutil.copytree(int8_folder, tmp_path / "int8")
    (made_by_a_run / "outcome.json").write_text(json.dumps({"details": {"agreement_db": 41.26}}))
    assert told_of(Path("n.onnx"), deployed(), made_by_a_run)[-1] == (
        "  its int8 artifact against the float network, when it was quantized: 41.3 dB on calibration crops"
    )
