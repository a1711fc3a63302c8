"""Loaded networks, kept for the next call.

A network and its threads belong to one process: after a fork the child loads its own.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Any

from . import _deepcut

# Networks kept at a time. Each holds its weights, from 6 MB (the embedded one) to some hundred.
_CAPACITY = 4

_Key = tuple[tuple[str, Any], ...]


class _Slot:
    """A network, or the lock of the thread that loads it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.engine: _deepcut.Engine | None = None


_slots: OrderedDict[_Key, _Slot] = OrderedDict()
_lock = threading.Lock()
# Networks of the process that this one was forked from. Their threads are not here, so they are neither used nor dropped.
_inherited: list[OrderedDict[_Key, _Slot]] = []


def engine(**config: Any) -> _deepcut.Engine:
    """The network of a configuration: loaded at the first call, the same one afterwards.

    Parameters
    ----------
    **config
        Arguments of `_deepcut.Engine`.

    Raises
    ------
    OSError
        If the file of a network cannot be read; `WeightsNotFound` if there is none and none may be downloaded.
    ValueError
        If the network has no such facet, layer or stride.
    """
    key = tuple(sorted(config.items()))
    with _lock:
        slot = _slots.setdefault(key, _Slot())
        _slots.move_to_end(key)
        while len(_slots) > _CAPACITY:
            _slots.popitem(last=False)
    with slot.lock:
        if slot.engine is None:
            slot.engine = _deepcut.Engine(**config)
        return slot.engine


def _after_fork() -> None:
    # The lock may have been held by a thread that the child does not have.
    global _lock, _slots
    _lock = threading.Lock()
    _inherited.append(_slots)
    _slots = OrderedDict()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
