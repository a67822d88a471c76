"""A plugin's thread: what hangs or spins there is noticed, replaced and, where Python can, ended; the core's loop goes on."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from doors import until

from caisey_core.plugin_host.failures import Failure
from caisey_core.plugin_host.runner import MOST_MISSED, MOST_PATIENT, MOST_STUCK, Runner

NAME = "of-the-test"


@pytest.fixture
def runner() -> Iterator[Runner]:
    """A runner that is stopped at the end."""
    made = Runner(NAME)
    yield made
    made.stop()(2.0)


def threads() -> list[threading.Thread]:
    """Return the plugin's threads that live."""
    return [thread for thread in threading.enumerate() if thread.name == f"plugin {NAME}"]


async def look(runner: Runner, times: int) -> str:
    """Let the watchdog look so often, as it does each second; the thread has its turn in between."""
    where = ""
    for _ in range(times):
        where = runner.watch() or where
        await asyncio.sleep(0.05)
    return where


async def seven() -> int:
    """Answer."""
    return 7


async def spin() -> None:
    """Compute for ever, and catch what can be caught by habit."""
    while True:
        try:
            sum(range(100))
        except Exception:
            continue


def waiting(release: threading.Event) -> Callable[[], Any]:
    """Work that blocks its thread until it is let go."""

    async def wait() -> str:
        release.wait()
        return "late"

    return wait


async def test_work_runs_on_a_thread_of_its_own_and_in_a_context_of_its_own(runner: Runner) -> None:
    """Nothing of the core's context reaches it: no open transaction, no tenant."""
    of_the_core = contextvars.ContextVar("of the core", default="nothing")
    of_the_core.set("a transaction")

    async def where() -> tuple[str, str]:
        return threading.current_thread().name, of_the_core.get()

    assert await runner.call(where, 5) == (f"plugin {NAME}", "nothing")


async def test_what_is_raised_comes_back_as_a_value(runner: Runner) -> None:
    """Also what would end a loop or look like the core's own cancellation."""
    for error in (SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), RuntimeError("x")):

        async def fail(error: BaseException = error) -> None:
            raise error

        said = await runner.call(fail, 5)
        assert isinstance(said, Failure)
        assert said.words.startswith(type(error).__name__)
        assert await runner.call(seven, 5) == 7
    assert runner.generation == 0


async def test_a_call_that_only_waits_is_no_hang(runner: Runner) -> None:
    """It ends at its limit, its task is cancelled, and the thread stays."""
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    said = await runner.call(wait, 0.05)
    assert said == Failure("hung", "did not answer within 0.05 s")
    assert await asyncio.to_thread(cancelled.wait, 5)
    assert await look(runner, 5) == ""
    assert runner.generation == 0


async def test_a_thread_that_blocks_is_replaced_and_its_late_answer_still_counts(runner: Runner) -> None:
    """The watchdog tells where it hangs; the next call has a new thread at once; the old one ends when it can."""
    release = threading.Event()
    late = asyncio.create_task(runner.call(waiting(release), 30))
    await asyncio.sleep(0.05)
    where = await look(runner, MOST_MISSED + 1)
    assert "threading.py" in where
    assert runner.generation == 1
    assert await runner.call(seven, 5) == 7
    assert len(threads()) == 2
    release.set()
    assert await late == "late"
    await asyncio.to_thread(until, lambda: len(threads()) == 1, "the old thread's end")


async def test_what_computes_for_ever_is_ended(runner: Runner) -> None:
    """Not before its time: a first import of something large may take as long."""
    spinning = asyncio.create_task(runner.call(spin, 60))
    await asyncio.sleep(0.05)
    assert "test_runner.py, line" in await look(runner, MOST_MISSED + 1)
    assert await runner.call(seven, 5) == 7
    await look(runner, MOST_PATIENT - MOST_MISSED - 2)
    assert len(threads()) == 2
    await look(runner, 3)
    said = await spinning
    assert isinstance(said, Failure)
    assert said.words.startswith("Ended")
    await asyncio.to_thread(until, lambda: len(threads()) == 1, "the end of what span")


async def test_a_machine_that_stood_still_is_no_hang(runner: Runner) -> None:
    """Looks are counted, not seconds: whoever answers before the next look was well."""
    assert await runner.call(seven, 5) == 7
    for _ in range(10):
        runner.watch()
        assert await runner.call(seven, 5) == 7
    assert runner.generation == 0


async def test_a_background_task_that_hangs_is_noticed_without_a_call(runner: Runner) -> None:
    """Nobody has to wait in vain first."""
    release = threading.Event()

    async def leave_behind() -> int:
        asyncio.get_running_loop().call_later(0.01, release.wait)
        return 1

    assert await runner.call(leave_behind, 5) == 1
    await asyncio.sleep(0.1)
    assert await look(runner, MOST_MISSED + 1)
    assert await runner.call(seven, 5) == 7
    release.set()


async def test_threads_that_cannot_be_ended_are_few(runner: Runner) -> None:
    """After so many, calls are refused at once in words; when one ends, work goes on."""
    releases = [threading.Event() for _ in range(MOST_STUCK)]
    for release in releases:
        assert await runner.call(waiting(release), 0.05) == Failure("hung", "did not answer within 0.05 s")
        assert await look(runner, MOST_MISSED + 1)
    began = time.monotonic()
    said = await runner.call(seven, 5)
    assert isinstance(said, Failure)
    assert said.words.startswith("hangs again and again")
    assert time.monotonic() - began < 1
    for release in releases:
        release.set()
    await asyncio.to_thread(until, lambda: not threads(), "their end")
    assert await runner.call(seven, 5) == 7


async def test_a_plugin_that_stops_its_loop_or_cancels_all_tasks(runner: Runner) -> None:
    """Its own work is lost; the next call finds a loop."""

    async def stop() -> None:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)

    async def cancel() -> None:
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.sleep(1)

    await runner.call(stop, 0.5)
    assert await runner.call(seven, 5) == 7
    assert isinstance(await runner.call(cancel, 5), Failure)
    assert await runner.call(seven, 5) == 7


async def test_stopping_ends_what_runs(runner: Runner) -> None:
    """A task of the plugin's own is cancelled and has its turn."""
    ended = threading.Event()

    async def begin() -> None:
        async def background() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()

        runner.kept = asyncio.create_task(background())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    await runner.call(begin, 5)
    runner.stop()(5)
    assert ended.is_set()
    assert not threads()
