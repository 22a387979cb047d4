"""What --target-... options mean: a share of the unpruned network (0.5x), or an absolute value with its unit."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from baseline.errors import UserError

_SCALES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_BYTES = {"kB": 1e3, "MB": 1e6}


@dataclass(frozen=True)
class Target:
    """One --target option: the setting it becomes, the units it takes, an example, and the setting of absolute values.

    Without the last, an absolute value becomes a share of what the unpruned network has.
    """

    option: str
    setting: str
    units: dict[str, float]
    example: str
    absolute: str | None = None

    def parsed(self, text: str, whole: Callable[[], float]) -> tuple[str, float]:
        """The setting and its value; `whole` tells what the unpruned network has, in the unit of scale 1."""
        found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([A-Za-z]*)", text.strip())
        bare_share = found is not None and found[2] == "" and 0 < float(found[1]) < 1
        if found is None or bare_share or (found[2] != "x" and found[2] not in self.units):
            guess = f" Did you mean {text.strip()}x?" if bare_share else ""
            raise UserError(
                f"{self.option} must be a share such as 0.5x or a value such as {self.example}; got '{text}'.{guess}"
            )
        number = float(found[1])
        if self.absolute is not None and found[2] != "x":
            return self.absolute, number * self.units[found[2]]
        kept = number if found[2] == "x" else number * self.units[found[2]] / whole()
        if not 0 < kept < 1:
            advice = "Leave less." if kept else "Leave more."
            raise UserError(f"{self.option} must leave a part of what there is; {text} is {kept:.3g}x. {advice}")
        return self.setting, 1 - kept


TARGETS = {
    "latency": Target("--target-latency", "latency_cut", {"ms": 1.0, "s": 1e3}, "40ms", "latency_ms"),
    "macs": Target("--target-macs", "macs_cut", _SCALES, "4.2G"),
    "params": Target("--target-params", "params_cut", _SCALES, "300k"),
    "size": Target("--target-size", "params_cut", _BYTES, "1.5MB"),
}
"""By what is limited. The size is that of the FP32 weights, four bytes a parameter."""
