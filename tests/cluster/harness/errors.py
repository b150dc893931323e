"""What can go wrong in the test cluster, as one tree.

    HarnessError
    +-- MissingTool      a program of the machine is absent and can't be installed
    +-- CommandFailed    a command of ours ended with an error; its last output is in the message
    +-- NotReady         a part did not become ready before its deadline
    +-- ForeignCluster   something of our name exists that we did not make; it is left alone

Every message ends with what to do. The command line prints the message and nothing else.
"""

from __future__ import annotations


class HarnessError(Exception):
    """Base of all errors of the harness."""


class MissingTool(HarnessError):
    """A program of the machine is absent and can't be installed."""


class CommandFailed(HarnessError):
    """A command of ours ended with an error."""


class NotReady(HarnessError):
    """A part did not become ready before its deadline."""


class ForeignCluster(HarnessError):
    """Something of our name exists that we did not make."""
