"""Errors of a request or of the machine.

LabError                  one sentence that says what, where and what to do next
├── BadRequest            an option with an invalid value; nothing was started
├── Unable                this machine lacks something; nothing was started
└── BuildFailed           a step of the build failed or took too long; the run's folder has the logs

The tasks print the sentence and exit with 2 for the first two, 1 for the last.
"""

from __future__ import annotations


class LabError(Exception):
    """An error whose text is a sentence for the person who typed the command."""

    exit_code = 1


class BadRequest(LabError):
    exit_code = 2


class Unable(LabError):
    exit_code = 2


class BuildFailed(LabError):
    exit_code = 1
