"""Python expressions in text, parsed by one thread at a time.

Before Python 3.12, ast.parse() is not thread-safe (gh-106905).
"""

from __future__ import annotations

import ast
from threading import Lock
from typing import Any

_ONE_AT_A_TIME = Lock()


def expression(text: str) -> ast.expr:
    """The syntax tree of an expression. Raises SyntaxError, ValueError, MemoryError or RecursionError."""
    with _ONE_AT_A_TIME:
        return ast.parse(text, mode="eval").body


def literal(text: str) -> Any:
    """The value of a literal. Raises as `expression` does."""
    return ast.literal_eval(expression(text.lstrip(" \t")))
