# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Turns at the model: one run at a time, in the order of the clicks. Each run can be stopped."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


class Stopped(Exception):
    """A run was stopped by its visitor.

    Args:
        by_next (`bool`): whether a newer run in the same place of the page replaced it.
    """

    def __init__(self, by_next: bool = False):
        super().__init__()
        self.by_next = by_next


class Turn:
    """One run of a visitor (a session) in one place of the page."""

    def __init__(self, session: str | None, place: str):
        self.session, self.place = session, place
        self.stopped: Stopped | None = None

    def check(self) -> None:
        if self.stopped is not None:
            raise self.stopped

    def follow(self, function: Callable, show: Callable) -> Generator[Any, None, Any]:
        """Call `function(callback)` in a thread, and yield `show(...)` of its latest callback meanwhile.

        Returns:
            What the function returns. An error in it is raised here.

        Raises:
            Stopped: once the turn is stopped and the function has come to its next callback, which ends it.
        """
        updates: queue.SimpleQueue = queue.SimpleQueue()

        def report(*update) -> None:
            self.check()
            updates.put(update)

        executor = ThreadPoolExecutor(max_workers=1)
        future = executor.submit(function, report)
        future.add_done_callback(lambda _: updates.put(None))
        executor.shutdown(wait=False)  # the thread ends with the function
        while (update := updates.get()) is not None:
            # a slow connection gets fewer pictures, but never old ones
            if updates.empty() and self.stopped is None:
                yield show(*update)
        return future.result()


class Turns:
    """The queue of runs for the model."""

    def __init__(self):
        self._line: list[Turn] = []
        self._changed = threading.Condition()

    @contextmanager
    def take(self, session: str | None, place: str) -> Iterator[Turn]:
        """Join the queue. An earlier run of the same visitor in the same place is stopped."""
        turn = Turn(session, place)
        with self._changed:
            for former in self._find(session, place) if session else ():
                former.stopped = Stopped(by_next=True)
            self._line.append(turn)
            self._changed.notify_all()
        try:
            yield turn
        finally:
            turn.stopped = turn.stopped or Stopped()  # ends the thread if the visitor has left
            with self._changed:
                self._line.remove(turn)
                self._changed.notify_all()

    def wait(self, turn: Turn) -> Iterator[int]:
        """Yield the number of runs before this one whenever it changes, until there are none."""
        told = 0
        while told := self._wait_for_change(turn, told):
            yield told

    def _wait_for_change(self, turn: Turn, told: int) -> int:
        with self._changed:
            # the first call returns at once
            self._changed.wait_for(lambda: turn.stopped or not told or self._line.index(turn) != told)
            turn.check()
            return self._line.index(turn)

    def stop(self, session: str | None, place: str | None = None) -> bool:
        """Stop the runs of a visitor, in one place or all; return whether there was one."""
        with self._changed:
            stopped = self._find(session, place)
            for turn in stopped:
                turn.stopped = Stopped()
            self._changed.notify_all()
        return bool(stopped)

    def _find(self, session: str | None, place: str | None) -> list[Turn]:
        return [turn for turn in self._line if turn.session == session and place in (None, turn.place)]
