"""A plugin's own thread with its own event loop: what raises, hangs or spins there holds up nobody else."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger("caisey.plugins")
T = TypeVar("T")

MOST_STUCK: Final = 3  # threads of one plugin that may hang at the same time; Python cannot end a thread
FAREWELL_SECONDS: Final = 1.0  # for a plugin's own tasks to end when its loop is stopped


class NoAnswer(Exception):
    """The work did not end within its time."""


class Failed(Exception):
    """The work raised what is not the plugin's to raise; `__cause__` is that exception."""


class _Thread:
    """One thread with one loop. A daemon: one that hangs does not keep the server from ending."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._stopping = False
        self._answer: concurrent.futures.Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"plugin {name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.loop.run_forever()
            except BaseException as error:  # the plugin border: asyncio lets SystemExit of a background task through
                log.error("a plugin tried to end its thread", thread=self._thread.name, exc_info=error)
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        try:
            if left:
                self.loop.run_until_complete(asyncio.wait(left, timeout=FAREWELL_SECONDS))
        except BaseException as error:  # the plugin border, once more
            log.error("a plugin failed while it was stopped", thread=self._thread.name, exc_info=error)
        finally:
            self.loop.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def stuck(self) -> bool:
        """Whether it was asked for a sign of life and has given none yet."""
        return self._answer is not None and not self._answer.done()

    def ask_for_life(self) -> None:
        if not self.stuck:
            answer: concurrent.futures.Future[None] = concurrent.futures.Future()
            self._answer = answer
            self.loop.call_soon_threadsafe(answer.set_result, None)

    def stop(self) -> None:
        """End the thread; one that hangs ends when its code returns."""

        def end() -> None:
            self._stopping = True
            self.loop.stop()

        if not self._stopping:
            self.loop.call_soon_threadsafe(end)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)


class Runner:
    """Runs a plugin's code. The thread starts with the first call and is replaced when it stops answering.

    `generation` rises with each replacement: what was made on an earlier loop must not be used on this one.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._now: _Thread | None = None
        self._given_up: list[_Thread] = []
        self.generation = 0

    def _thread(self) -> _Thread:
        self._given_up = [thread for thread in self._given_up if thread.alive]
        if self._now is not None and self._now.stuck:
            if len(self._given_up) + 1 >= MOST_STUCK:
                raise NoAnswer("hangs again and again; repair or uninstall it, then restart the server")
            log.error("a plugin's thread does not answer and is replaced", plugin=self._name)
            self._now.stop()
            self._given_up.append(self._now)
            self._now = None
        if self._now is None:
            self._now = _Thread(self._name)
            self.generation += 1
        return self._now

    def ready(self) -> int:
        """Make sure that there is a thread that is not known to hang, and return its generation. Raises NoAnswer."""
        self._thread()
        return self.generation

    async def call(
        self, work: Callable[[], Coroutine[Any, Any, T]], limit_seconds: float, passes: tuple[type[Exception], ...]
    ) -> T:
        """Await work on the plugin's loop and return its result.

        Raises what the work raises if it is one of `passes`, Failed for anything else (also SystemExit and cancellation that
        the plugin made up), and NoAnswer after `limit_seconds` or when too many of the plugin's threads hang.
        """
        thread = self._thread()

        async def kept() -> tuple[T, None] | tuple[None, BaseException]:
            # Whatever is raised travels as a value: SystemExit would end the loop, CancelledError would look like ours.
            try:
                return await work(), None
            except BaseException as error:  # the plugin border
                return None, error

        running = asyncio.run_coroutine_threadsafe(kept(), thread.loop)
        waiting = asyncio.wrap_future(running)
        try:
            done, _ = await asyncio.wait([waiting], timeout=limit_seconds)
        finally:
            running.cancel()  # no effect on what is done; reaches the plugin's task when we stop waiting
        if not done:
            thread.ask_for_life()
            raise NoAnswer(f"did not answer within {limit_seconds:g} s")
        if waiting.cancelled():
            raise NoAnswer("was stopped")
        result, error = waiting.result()
        if error is None:
            return result  # type: ignore[return-value]  # the pair's other half says that there is a result
        if isinstance(error, passes):
            raise error
        raise Failed(f"{type(error).__name__}: {error}") from error

    async def close(self, patience_seconds: float) -> None:
        """Stop the thread and wait for it, for so long at most."""
        if self._now is not None:
            thread, self._now = self._now, None
            thread.stop()
            await asyncio.to_thread(thread.join, patience_seconds)
