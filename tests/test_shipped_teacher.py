"""The shipped networks are what their records say, and the teacher is worth compressing."""

import json
from pathlib import Path
from statistics import mean

import pytest

from baseline.artifact import load, read_manifest
from baseline.data.datasets import open_data
from baseline.data.loader import to_tensor
from baseline.data.photos import fixed_pairs
from baseline.evaluate import score
from baseline.metrics import psnr
from baseline.presets import PRESETS
from baseline.restorer import NetworkRestorer, restore_any_size
from baseline.settings import DataSettings
from recipes.resolve import artifact_folder

FOLDER, PARTLY = artifact_folder("photos"), artifact_folder("photos-partly")
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


def test_the_partly_trained_one_gains_where_pictures_are_blurred_in_part() -> None:
    record = json.loads((Path(__file__).parent.parent / "benchmarks/results/restoring_mixes.json").read_text())
    gains = {(row["network"], row["set"]): mean(row["restored_db"]) - mean(row["blurred_db"]) for row in record["rows"]}
    for name in ("photos-mixed-50-30-20", "photos-mixed-20-30-50", "photos-mixed-80-15-5"):
        assert gains["photos-partly", name] > max(0.5, gains["photos", name])
    pairs = open_data(DataSettings(name="photos-mixed-50-30-20")).test
    (pair,) = pairs.only(pairs.names[:1])
    picture = to_tensor(pair.blurred)[None]
    restored = restore_any_size(NetworkRestorer(load(PARTLY).network), picture)
    (row,) = [r for r in record["rows"] if (r["network"], r["set"]) == ("photos-partly", "photos-mixed-50-30-20")]
    assert float(psnr(restored, to_tensor(pair.sharp)[None])) == pytest.approx(row["restored_db"][0], abs=0.02)


def test_the_partly_trained_one_states_how_it_was_made() -> None:
    assert sum(path.stat().st_size for path in PARTLY.iterdir()) < 4_000_000
    first, second = read_manifest(PARTLY).lineage
    assert (first["data"], second["data"]) == ("photos", "photos-partly")
    assert second["settings"]["steps"] == PRESETS["partly"].settings["steps"]
