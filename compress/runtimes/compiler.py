"""The C++ compiler that compiled runtimes need."""

import os
import shutil
import subprocess

from compress.machine import describe_machine


def missing() -> str | None:
    """Why nothing can be compiled here, and what to type; None if a compiler is there. $CXX names another one."""
    name = os.environ.get("CXX", "g++")
    if shutil.which(name):
        return None
    return f"no C++ compiler ({name}) here; install one: apt-get install g++"


def build_identity() -> dict[str, str]:
    """What the code that is compiled here depends on: processor, instruction set and compiler."""
    name = os.environ.get("CXX", "g++")
    version = ""
    if shutil.which(name):
        version = subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    described = describe_machine()
    return {"compiler": version, **{key: described[key] for key in ("cpu", "cpu_features", "system")}}
