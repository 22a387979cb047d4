"""Text inside Markdown."""

import re


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    one_line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|*`\[\]#])", r"\\\1", one_line)
