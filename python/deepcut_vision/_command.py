"""The command ``deepcut``."""

import os
import signal
import sys

from deepcut_vision._deepcut import command


def main() -> int:
    """Run the command with the arguments of this process, and return its exit status."""
    # The command listens to Ctrl-C itself. Until then it ends the process, as any program.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdout.flush()
    status = command(["deepcut", *sys.argv[1:]])
    # Nothing of Python is left to do, and ending it takes longer than a mask.
    os._exit(status)
