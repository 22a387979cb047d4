"""The C++ compiler that compiled runtimes need."""

import os
import shutil


def missing() -> str | None:
    """Why nothing can be compiled here, and what to type; None if a compiler is there. $CXX names another one."""
    name = os.environ.get("CXX", "g++")
    if shutil.which(name):
        return None
    return f"no C++ compiler ({name}) here; install one: apt-get install g++"
