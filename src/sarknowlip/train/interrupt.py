"""Stopping gently: the first signal asks for a checkpoint, a later second one stops at once."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

ECHO_S = 2.0
"""A terminal and `torchrun` both pass Ctrl-C on: what comes within this time is one signal."""


@contextlib.contextmanager
def gentle_interrupt(echo_s: float = 0.0) -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets; the next one acts as usual.

    Args:
        echo_s: Time in which a repeated signal counts as the same one, seconds.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    echo_ends = 0.0

    def restore() -> None:
        for number, handler in old.items():
            signal.signal(number, handler)

    def ask(number: int, frame: object) -> None:
        del frame
        nonlocal echo_ends
        now = time.monotonic()
        if not asked.is_set():
            asked.set()
            echo_ends = now + echo_s
        elif now >= echo_ends:
            restore()
            signal.raise_signal(number)

    for number in old:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        restore()
