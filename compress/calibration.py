"""How the ranges of activations are found from calibration crops, by name. Listing them does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from baseline.registry import Registry

CALIBRATIONS: Registry[Callable[[], Any]] = Registry("calibration")
"""Each gives the class of an observer."""


@CALIBRATIONS.register("histogram")
def histogram() -> Any:
    """The range with the least mean squared error of rounding and cutting off, by a histogram of all crops."""
    from torchao.quantization.pt2e.observer import HistogramObserver

    return HistogramObserver


@CALIBRATIONS.register("minmax")
def minmax() -> Any:
    """The smallest and the largest value of all crops: nothing is cut off."""
    from torchao.quantization.pt2e.observer import MinMaxObserver

    return MinMaxObserver


@CALIBRATIONS.register("percentile")
def percentile() -> Any:
    """The range that holds 99.99% of the values of a crop, averaged over the crops: rare outliers are cut off."""
    from compress.percentile import PercentileObserver

    return PercentileObserver
