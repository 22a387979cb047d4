"""Settings of trainings that others described, or that served here, by name. Any of them can be overridden."""

from dataclasses import dataclass, field
from typing import Any

from baseline.registry import Registry

_GOPRO_TRAINING_PAIRS = 2103


@dataclass(frozen=True)
class Preset:
    """Settings for `train`. `fine_tunes`: it goes on from a network that is given, instead of starting from scratch."""

    about: str
    settings: dict[str, Any] = field(default_factory=dict)
    data: str | None = None
    fine_tunes: bool = False


PRESETS: Registry[Preset] = Registry("preset")

PRESETS.register("paper")(
    Preset(
        "MIMO-UNet as published (ICCV 2021): Adam 1e-4, halved every 500 of 3000 epochs of GoPro, 256-pixel crops",
        {
            "network": "mimo-unet",
            "steps": 3000 * _GOPRO_TRAINING_PAIRS // 4,
            "batch": 4,
            "crop": 256,
            "augment": "flip",
            "loss": {"l1": 1.0, "frequency": 0.1},
            "optimizer": "adam",
            "lr": 1e-4,
            "weight_decay": 0.0,
            "schedule": "halving",
            "halvings": 5,
            "warmup": 0.0,
            "clip": 0.0,
            "ema": 0.0,
            "checkpoint_every": 1000,
            "validate_every": 50_000,
        },
        data="gopro",
    )
)
PRESETS.register("article")(
    Preset(
        "the article's attention variant: AdamW 1e-4, cosine, L1 + 0.1 (1 - SSIM) with weights 1, 1/2, 1/4 by scale",
        {
            "network": "mimo-unet-attention",
            "steps": 300_000,
            "batch": 8,
            "crop": 256,
            "loss": {"l1": 1.0, "frequency": 0.0, "ssim": 0.1, "scales": (1.0, 0.5, 0.25)},
            "optimizer": "adamw",
            "lr": 1e-4,
            "schedule": "cosine",
            "checkpoint_every": 1000,
            "validate_every": 10_000,
        },
        data="gopro",
    )
)
PRESETS.register("progressive")(
    Preset(
        "first the coarse scales on small crops, then all scales on larger ones",
        {
            "network": "mimo-unet",
            "steps": 20_000,
            "phases": [
                {"name": "coarse", "share": 0.2, "crop": 64, "batch": 16, "scales": 2},
                {"name": "small", "share": 0.5, "crop": 96},
                {"name": "large", "share": 0.3, "crop": 128, "batch": 4},
            ],
        },
    )
)
PRESETS.register("small")(
    Preset(
        "a network for two CPU cores and an hour or two: width 16, 4 blocks, as the shipped teacher",
        {"network": "mimo-unet", "arguments": {"width": 16, "num_blocks": 4}, "steps": 20_000},
    )
)
PRESETS.register("long")(
    Preset(
        "as long as there is time: a constant rate on scenes that are shaken, in motion or sharp; decay_steps end it",
        {
            "steps": 1_000_000,
            "batch": 4,
            "crop": 128,
            "lr": 5e-4,
            "schedule": "constant",
            "validate_every": 2000,
        },
        data="photos-partly",
        fine_tunes=True,
    )
)
PRESETS.register("text")(
    Preset(
        "fine-tuning to pages of text: rendered pages, blurred, never turned or mirrored",
        {"steps": 1500, "lr": 3e-4, "augment": "text", "validate_every": 250},
        data="text",
        fine_tunes=True,
    )
)
PRESETS.register("partly")(
    Preset(
        "fine-tuning to pictures that are blurred in part or not at all, and must not lose where they are sharp",
        {"steps": 2400, "batch": 4, "crop": 96, "lr": 2e-4, "ema": 0.99, "validate_every": 400},
        data="photos-partly",
        fine_tunes=True,
    )
)
PRESETS.register("faces")(
    Preset(
        "fine-tuning to faces: your folder of pairs, mirrored but never turned, colours changed a little",
        {"steps": 3000, "lr": 1e-4, "augment": "faces", "validate_every": 500},
        data="folder",
        fine_tunes=True,
    )
)
