"""A fingerprint of the code that runs scenarios on the kernel: if it changes, recordings are out of date.

Comments, docstrings and blank lines do not count, and the fingerprint is the same on every version of
Python.
"""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from functools import cache
from pathlib import Path

from labs.methods import FLAGS

_FOLDER = Path(__file__).parent
# Not generate.py and recordings.py: they choose scenarios and keep answers, but do not change any.
_PLAYER = ("kernel", "packets", "play", "player", "scenario", "site", "talk", "wire")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def player(folder: Path = _FOLDER) -> str:
    """The fingerprint, 16 hexadecimal digits."""
    code = [essence((folder / f"{name}.py").read_text()) for name in _PLAYER]
    return hashlib.sha256("\n".join([*code, repr(sorted(FLAGS.items()))]).encode()).hexdigest()[:16]


def essence(source: str) -> str:
    """Python code without comments, docstrings and blank lines."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            for number in range(first.lineno - 1, first.end_lineno or first.lineno):
                lines[number] = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())
