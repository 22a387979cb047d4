"""Training in several processes, as torchrun starts them. Without torch: torchrun says it all in the environment."""

import os

from baseline.errors import UserError


def process_number() -> int:
    """Which of the processes this is, counted from 0; 0 where there is one."""
    return int(os.environ.get("RANK", "0"))


def check_processes(asked: int) -> None:
    """A UserError if torchrun did not start as many processes as the settings ask for."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != asked:
        raise UserError(
            f"training must run in {asked} process{'es' if asked > 1 else ''}; it runs in {started}. Type: "
            f"torchrun --nproc-per-node {started if asked == 1 else asked} -m recipes.cli train ... "
            f"--processes {started if asked == 1 else asked}"
        )
