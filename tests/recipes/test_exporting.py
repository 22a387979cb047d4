from pathlib import Path

import pytest

from baseline.errors import UserError
from recipes.exporting import targets
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
