"""How much restoring a cell is expected to gain, from how it looks: fitted on pairs, kept as JSON."""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baseline.blur_score import SCORES, Looks

TREATMENTS = ("full", "half")
"""Beside leaving a cell as it is: restoring it, or restoring it at half scale and enlarging what that changes."""

_DEGREE = 3
_RIDGE = 1e-3
_WORST = -1.0
"""Relative gains below count as that: how bad it would be does not matter where it is bad."""


@dataclass(frozen=True)
class GainModel:
    """A polynomial of a cell's features for each treatment; it gives the gain relative to the cell's energies."""

    mean: list[float]
    spread: list[float]
    weights: list[list[float]]

    def gains(self, looks: Looks) -> NDArray[np.float64]:
        """Rows, columns, features -> rows, columns, treatments: the mean square that restoring takes off."""
        terms = _terms((looks.astype(np.float64) - self.mean) / self.spread)
        gains: NDArray[np.float64] = (terms @ np.array(self.weights)) * _energy(looks)[..., None]
        return gains

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"mean": self.mean, "spread": self.spread, "weights": self.weights}


def fit_gains(looks: Looks, gained: NDArray[np.float64]) -> GainModel:
    """The model from cells, features and cells, treatments: least squares, cells weighted by their energy."""
    values = looks.astype(np.float64)
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    terms, energy = _terms((values - mean) / spread), _energy(looks)
    relative = np.maximum(gained / energy[:, None], _WORST)
    weight = np.sqrt(energy / energy.mean())[:, None]
    weighted = terms * weight
    square = weighted.T @ weighted + _RIDGE * len(values) * np.eye(terms.shape[1])
    weights = np.linalg.solve(square, weighted.T @ (relative * weight))
    return GainModel(mean.tolist(), spread.tolist(), weights.tolist())


def _energy(looks: Looks) -> NDArray[np.float64]:
    """The sum of a cell's detail, fine and coarse; what follows its scores are logarithms."""
    energy: NDArray[np.float64] = np.exp(looks[..., SCORES:].astype(np.float64)).sum(axis=-1)
    return energy


def _terms(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """One, the features, and their products."""
    columns = [np.ones(values.shape[:-1])]
    for degree in range(1, _DEGREE + 1):
        columns += [
            np.prod(values[..., list(chosen)], axis=-1)
            for chosen in combinations_with_replacement(range(values.shape[-1]), degree)
        ]
    return np.stack(columns, axis=-1)
