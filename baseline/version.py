"""The program's version: pyproject.toml reads it here, and every key of a cache holds it."""

VERSION = "0.1.0"
