"""What exporting may be told. Checked when built; importing this never imports torch."""

from pydantic import field_validator

from baseline.settings import Settings
from compress.runtimes.table import RUNTIMES, check_file_runtime


class ExportSettings(Settings):
    """The export stage: a file for a runtime. `size` traces the network; the file takes any size if the runtime can."""

    runtime: str = "aoti"
    size: tuple[int, int] = (256, 256)

    @field_validator("runtime")
    @classmethod
    def _runtime_has_files(cls, name: str) -> str:
        check_file_runtime(name)
        return name

    @property
    def packages(self) -> tuple[str, ...]:
        """Those of the runtime."""
        return RUNTIMES[self.runtime].packages
