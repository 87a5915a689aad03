"""Ctrl-C and termination, at any moment: one line, an exit status, and no process left behind."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

LINE = "stopped; run again to go on"
_GRACE = 5.0
"""Seconds for what runs to end by itself; compiled code may hear of a signal only when it is done."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_at_once() -> None:
    """End this process in one line when it is stopped, as long as there is nothing to tidy up."""
    for number in _caught():
        signal.signal(number, lambda received, _: _end(received))


@contextmanager
def stopping() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block when the process is stopped, then end it in one line.

    Whatever the block makes of it: code between may turn it into an error of its own, or swallow it.
    """
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    threading.Thread(target=_end_after_grace, args=(reader,), daemon=True).start()
    for number in _caught():
        signal.signal(number, stop)
    try:
        yield
    finally:
        if received:
            _end(received[0])


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in a block that takes longer; no limit outside of the main thread, or in Windows."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def keyboard_held() -> Iterator[None]:
    """Hold Ctrl-C back for the block; processes that it starts never hear of it, and end with this one."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _caught() -> list[signal.Signals]:
    """Return the signals that whoever started this process did not have ignored (as nohup does)."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _end_after_grace(reader: int) -> None:
    """End the process some seconds after its first signal, where it has not ended by then."""
    number = next(number for number in iter(lambda: os.read(reader, 1)[0], None) if number in _SIGNALS)
    threading.Event().wait(_GRACE)
    _end(number)


def _end(number: int) -> NoReturn:
    """Say that the process was stopped, and end it with all that it started."""
    import psutil

    for number_ in _SIGNALS:
        if threading.current_thread() is threading.main_thread():
            signal.signal(number_, signal.SIG_IGN)
    for child in psutil.Process().children(recursive=True):
        try:
            if "resource_tracker" not in " ".join(child.cmdline()):  # it tidies up, then ends by itself
                child.kill()
        except psutil.Error:
            continue  # it has ended
    sys.stdout.flush()
    print(LINE, file=sys.stderr, flush=True)
    os._exit(128 + number)
