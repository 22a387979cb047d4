"""The shipped teacher is what its record says, and worth compressing."""

import json

import pytest

from baseline.artifact import load, read_manifest
from baseline.data.photos import fixed_pairs
from baseline.evaluate import score
from baseline.restorer import NetworkRestorer
from recipes.resolve import artifact_folder

FOLDER = artifact_folder("photos")
RECORD = json.loads((FOLDER / "record.json").read_text())


def test_its_record_gains_a_decibel_over_the_blurred_pictures() -> None:
    assert len(RECORD["pictures"]) == 24
    assert RECORD["psnr_db"]["mean"] - RECORD["blurred"]["psnr_db"] >= 1.0


def test_its_record_is_that_of_these_weights() -> None:
    pairs = fixed_pairs("test")
    names = pairs.names[3::10]
    recorded = {row["name"]: row["psnr_db"] for row in RECORD["pictures"]}
    for row in score(NetworkRestorer(load(FOLDER).network), pairs.only(names)):
        assert row.psnr_db == pytest.approx(recorded[row.name], abs=0.01)


def test_it_is_small_and_states_how_it_was_made() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 4_000_000
    (stage,) = read_manifest(FOLDER).lineage
    assert stage["stage"] == "train"
    assert stage["data"] == "photos"
    assert stage["settings"]["steps"] == 20000
