"""What is timed or weighed: a file or a network, with all that says how it runs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baseline.errors import UserError
from baseline.restorer import Restorer, check_size
from compress.runtimes.table import memory_runtime, open_deployable


@dataclass(frozen=True)
class Target:
    """A deployable's file or an artifact's folder, and how to run it: what any process can open again.

    Images are N,3,H,W of `batch` and `size` (height, width). `threads` of None are as many as torch takes.
    """

    path: str
    runtime: str
    device: str = "cpu"
    size: tuple[int, int] = (256, 256)
    batch: int = 1
    threads: int | None = None
    cuda_graphs: bool = True

    def open(self) -> Restorer:
        """A restorer that takes the size; a UserError if it does not run here, or takes other sizes only."""
        restorer = self._opened()
        check_size(self.size, restorer.size_multiple, restorer.min_size)
        fixed = restorer.fixed_size
        if fixed is not None and fixed != self.size:
            raise UserError(f"the file takes {fixed[0]}x{fixed[1]} only; export one for {self.size[0]}x{self.size[1]}.")
        return restorer

    def image(self) -> Tensor:
        """The random N,3,H,W that it is run on, in 0..1, the same for all targets of one size."""
        generator = torch.Generator().manual_seed(0)
        return torch.rand(self.batch, 3, *self.size, generator=generator).to(self.device)

    def as_json(self) -> dict[str, Any]:
        """The target as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Target":
        """The target that `as_json` gave."""
        height, width = content["size"]
        return cls(**content | {"size": (height, width)})

    def _opened(self) -> Restorer:
        if Path(self.path).is_file():
            return open_deployable(Path(self.path))
        from compress.quantize import open_artifact

        network = open_artifact(Path(self.path), self.device)
        if self.runtime == "inductor":
            from compress.runtimes import inductor

            return inductor.wrap(network, self.device, self.cuda_graphs)
        return memory_runtime(self.runtime).wrap(network, self.device)
