"""Text inside Markdown, and at the end of a sentence."""

import re


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    one_line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|*`\[\]#])", r"\\\1", one_line)


def stopped(text: str) -> str:
    """Text that ends a sentence: with a full stop, unless it has one."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
