"""Rules in the two forms in which they leave the process: JSON commands and lines of ipvsadm. No I/O.

Control and engines both use them, so this package is below both and knows only the core.
"""


def parse_number(text: str, digits: int = 10) -> int:
    """A decimal number of at most `digits` digits, or -1."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else -1
