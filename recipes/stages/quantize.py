"""The quantize stage: calibration crops come from the data's training part, never from val or test."""

import torch
from torch import nn

from baseline.artifact import load
from baseline.data.loader import fixed_crops
from baseline.data.pairs import DataSet
from baseline.phases import crops_drawn
from compress.distill import distillation
from compress.quantize import SCHEMES, Material, quantize
from compress.quantizing_settings import QuantizeSettings
from recipes.stages.given import parent_of, remember_
from recipes.stages.stage import StageInput, StageOutcome
from recipes.stages.teaching import teacher_for
from recipes.stages.wiring import fitted


def run(given: StageInput, settings: QuantizeSettings) -> StageOutcome:
    """Quantize and save."""
    artifact = load(parent_of(given, "quantize"))
    outcome = StageOutcome()

    def fit(network: nn.Module) -> None:
        training = settings.training
        teacher = teacher_for(given, "quantization-aware training", training)
        report = fitted(network, distillation(teacher, training), given, training)
        outcome.details.update(teacher.report())
        outcome.steps, outcome.minutes = report.steps, report.minutes
        outcome.pictures = crops_drawn(training)
        outcome.details["curve"] = report.curve

    trains = SCHEMES[settings.scheme].trains
    found = material(given.data, settings)
    if trains:
        found = Material(found.blurred, found.sharp, fit)
    remember_(artifact, "quantize", settings, given)
    report = quantize(artifact, found, settings, given.output)
    outcome.pictures += len(found.blurred)
    outcome.details.update(report.as_json())
    return outcome


def material(data: DataSet, settings: QuantizeSettings) -> Material:
    """Training crops, blurred and sharp, each 1,3,H,W, the same for the same seed."""
    crops = fixed_crops(data.training_crops(settings.crop), settings.crops, settings.crop, settings.seed)
    return Material(list(torch.split(crops.blurred, 1)), list(torch.split(crops.sharp, 1)))
