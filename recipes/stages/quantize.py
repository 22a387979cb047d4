"""The quantize stage: calibration crops come from the data's training part, never from val or test."""

import torch
from torch import Tensor

from baseline.artifact import load
from baseline.data.loader import fixed_crops
from baseline.data.pairs import DataSet
from compress.quantize import SCHEMES, quantize
from compress.settings import QuantizeSettings
from recipes.stages.stage import StageInput, StageOutcome
from recipes.stages.wiring import parent_of, remember_


def run(given: StageInput, settings: QuantizeSettings) -> StageOutcome:
    """Quantize and save."""
    artifact = load(parent_of(given, "quantize"))
    crops = calibration_crops(given.data, settings) if SCHEMES[settings.scheme].needs_calibration else []
    remember_(artifact, "quantize", settings, given)
    report = quantize(artifact, crops, settings.scheme, given.output)
    return StageOutcome(pictures=len(crops), details=report.as_json())


def calibration_crops(data: DataSet, settings: QuantizeSettings) -> list[Tensor]:
    """Blurred training crops, each 1,3,H,W, the same for the same seed."""
    source = data.training_crops(settings.crop)
    return list(torch.split(fixed_crops(source, settings.crops, settings.crop, settings.seed).blurred, 1))
