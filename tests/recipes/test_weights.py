from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from baseline.artifact import Artifact, load
from baseline.checksum import file_sha256
from baseline.errors import UserError
from recipes.weights import export_to, import_to


@pytest.fixture(scope="module")
def standard() -> Artifact:
    return Artifact.new("mimo-unet", {}, seed=0)


def test_a_standard_network_goes_there_and_back(standard: Artifact, tmp_path: Path) -> None:
    standard.save(tmp_path / "first")
    file = tmp_path / "made" / "m.pkl"
    assert export_to(file, str(tmp_path / "first")) == {"names of the original": "mimo-unet"}
    import_to(tmp_path / "second", file, "mimo-unet")
    imported = load(tmp_path / "second")
    state = standard.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in imported.network.state_dict().items())
    (origin,) = imported.lineage
    assert (origin["stage"], origin["file"], origin["sha256"]) == ("import-weights", "m.pkl", file_sha256(file))
    assert imported.arguments == {"width": 32, "num_blocks": 8, "conv": "plain"}
    with pytest.raises(UserError, match="second must not hold an artifact yet; it does, and stays as it was"):
        import_to(tmp_path / "second", file, "mimo-unet")


def test_a_size_that_is_not_the_standard_one_is_said(float_folder: Path, tmp_path: Path) -> None:
    written = export_to(tmp_path / "m.pkl", str(float_folder))
    assert written == {"names of the original": "mimo-unet", "but not its size:": "width 8, num_blocks 1"}


def test_a_quantized_network_is_not_written(int8_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must be a float artifact here; it is quantized \(int8\)"):
        export_to(tmp_path / "m.pkl", str(int8_folder))


def test_a_checkpoint_is_a_pkl_file(float_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--out must end in \.pkl; got .*m\.pt\.$"):
        export_to(tmp_path / "m.pt", str(float_folder))


def test_what_lies_where_a_checkpoint_should_go_stays(float_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file.pkl").write_text("precious")
    (tmp_path / "folder.pkl").mkdir()
    for out in (tmp_path / "file.pkl", tmp_path / "folder.pkl"):
        with pytest.raises(UserError) as error:
            export_to(out, str(float_folder))
        assert str(error.value) == f"{out} must not be there yet; it is. Choose another --out."
    assert (tmp_path / "file.pkl").read_text() == "precious"


def test_a_wrong_file_is_one_line_and_exit_code_2(cli: Callable[..., object], tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "m.pkl")
    done = cli("import-weights", "m.pkl", "--network", "mimo-unet-plus", "--out", "imported")
    assert done.returncode == 2
    assert "m.pkl must hold exactly the weights of the original mimo-unet-plus; it has no " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "imported").exists()
