"""The eval command: a network by name, outside of a recipe."""

from typing import Any

import numpy as np

from baseline.data.datasets import open_data
from baseline.evaluate import Unchanged, bootstrap_interval, score
from baseline.settings import DataSettings
from recipes.deployment import open_named


def evaluate_named(name: str, chosen: DataSettings) -> dict[str, Any]:
    """The scores of `eval --json`."""
    restorer = open_named(name)
    data = open_data(chosen)
    rows, blurred = score(restorer, data.test), score(Unchanged(), data.test)
    groups = [row.group for row in rows]

    def summary(values: list[float]) -> dict[str, Any]:
        return {"mean": float(np.mean(values)), "ci95": bootstrap_interval(values, groups)}

    return {
        "psnr_db": summary([row.psnr_db for row in rows]),
        "ssim": summary([row.ssim for row in rows]),
        "blurred": {
            "psnr_db": float(np.mean([b.psnr_db for b in blurred])),
            "ssim": float(np.mean([b.ssim for b in blurred])),
        },
        "pictures": [
            {"name": r.name, "psnr_db": r.psnr_db, "ssim": r.ssim, "blurred_psnr_db": b.psnr_db, "blurred_ssim": b.ssim}
            for r, b in zip(rows, blurred, strict=True)
        ],
        "notes": list(data.notes),
    }
