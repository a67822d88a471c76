"""A plugin's own thread with its own event loop: what raises, hangs or spins there holds up nobody else."""

import asyncio
import concurrent.futures
import contextvars
import ctypes
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from caisey_core.plugin_host.failures import Failure, failure_of

log: structlog.stdlib.BoundLogger = structlog.get_logger("caisey.plugins")
T = TypeVar("T")

MOST_MISSED: Final = 2  # looks of the watchdog without a sign of life, until a thread is replaced
MOST_PATIENT: Final = 10  # and until its code is interrupted: a first import of something large may take that long
MOST_STUCK: Final = 3  # threads of one plugin that may hang at the same time: one that waits in C cannot be ended
FAREWELL_SECONDS: Final = 1.0  # for a plugin's own tasks to end when its loop is stopped


class Ended(BaseException):
    """Raised in the middle of a plugin's code that holds up its thread, to end it."""


def interrupt(thread: threading.Thread) -> None:
    """Raise Ended in the code that runs on a thread. It ends what computes, and what waits in C as soon as that returns."""
    if thread.is_alive() and thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Ended))


class _Thread:
    """One thread with one loop. A daemon: one that hangs does not keep the server from ending."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._lost)
        self.missed = 0
        self._stopping = False
        self._answer: concurrent.futures.Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"plugin {name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.loop.run_forever()
            except Ended:
                continue
            except BaseException as error:  # the plugin border: asyncio lets SystemExit of a background task through
                failure = failure_of(error)
                log.error(
                    "a plugin tried to end its thread", thread=self._thread.name, words=failure.words, trace=failure.trace
                )
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        try:
            if left:
                self.loop.run_until_complete(asyncio.wait(left, timeout=FAREWELL_SECONDS))
        except BaseException as error:  # the plugin border, once more
            log.error("a plugin failed while it was stopped", thread=self._thread.name, words=failure_of(error).words)
        finally:
            self.loop.close()

    def _lost(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what a plugin's background task raised: as text, for it is foreign code."""
        error = context.get("exception")
        failure = failure_of(error) if isinstance(error, BaseException) else Failure("failed", str(context.get("message")))
        log.error("a plugin's background work failed", thread=self._thread.name, words=failure.words, trace=failure.trace)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def look(self) -> None:
        """Ask for a sign of life, and count in `missed` how often none came since the last look."""
        if self._answer is not None and not self._answer.done():
            self.missed += 1
        elif not self.loop.is_closed():
            self.missed = 0
            self._answer = concurrent.futures.Future()
            self.loop.call_soon_threadsafe(self._answer.set_result, None)

    def where(self) -> str:
        """Say which line of code holds it up."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        if frame is None:
            return "nowhere"
        code = frame.f_code
        return f"{'/'.join(Path(code.co_filename).parts[-2:])}, line {frame.f_lineno}, in {code.co_name}"

    def stop(self) -> None:
        """End the thread once its code lets the loop run again."""

        def end() -> None:
            self._stopping = True
            self.loop.stop()

        if self.alive and not self._stopping:
            self.loop.call_soon_threadsafe(end)

    def interrupt(self) -> None:
        interrupt(self._thread)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)


class Runner:
    """Runs a plugin's code. The thread starts with the first call and is replaced when it stops answering.

    `generation` rises then: what was made on an earlier loop must not be used on this one.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._now: _Thread | None = None
        self._given_up: list[_Thread] = []
        self.generation = 0

    def _thread(self) -> _Thread | Failure:
        if self._now is None:
            self._given_up = [thread for thread in self._given_up if thread.alive]
            if len(self._given_up) >= MOST_STUCK:
                return Failure("hung", "hangs again and again; repair or uninstall it, then restart the server")
            self._now = _Thread(self._name)
        return self._now

    def watch(self) -> str:
        """Look for a sign of life; replace a thread that gave none. Returns where that one hangs, or nothing. Call it each second.

        Looks are counted, not seconds: when the whole machine stood still, the thread gets its chance to answer first.
        """
        for thread in self._given_up:
            thread.look()
            if thread.missed >= MOST_PATIENT:
                thread.interrupt()  # again and again: its code may have caught the first
        if self._now is None:
            return ""
        self._now.look()
        if self._now.missed < MOST_MISSED:
            return ""
        hanging, self._now = self._now, None
        self.generation += 1
        where = hanging.where()
        hanging.stop()
        self._given_up.append(hanging)
        return where

    async def call(self, work: Callable[[], Coroutine[Any, Any, T]], limit_seconds: float) -> T | Failure:
        """Await work on the plugin's loop, for `limit_seconds` at most. What it raises (also SystemExit) comes back as a value."""
        thread = self._thread()
        if isinstance(thread, Failure):
            return thread

        async def kept() -> T | Failure:
            try:
                return await work()
            except BaseException as error:  # the plugin border
                return failure_of(error)

        # In a context of its own: the core's open transaction and tenant are not the plugin's
        running = contextvars.Context().run(asyncio.run_coroutine_threadsafe, kept(), thread.loop)
        waiting = asyncio.wrap_future(running)
        try:
            done, _ = await asyncio.wait([waiting], timeout=limit_seconds)
        finally:
            running.cancel()  # no effect on what is done; reaches the plugin's task when we stop waiting
        if not done:
            return Failure("hung", f"did not answer within {limit_seconds:.3g} s")
        return Failure("hung", "was stopped") if waiting.cancelled() else waiting.result()

    def soon(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Do something on the plugin's thread, if there is one, and wait for nothing."""
        if self._now is not None:
            contextvars.Context().run(asyncio.run_coroutine_threadsafe, work(), self._now.loop)

    def stop(self) -> Callable[[float], None]:
        """Stop the thread; returns what waits for its end, for so many seconds at most."""
        thread, self._now = self._now, None
        if thread is None:
            return lambda _: None
        thread.stop()
        return thread.join
