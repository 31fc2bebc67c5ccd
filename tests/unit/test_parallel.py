"""Several things at once: results in order, the first error, and nothing begun after it."""

from __future__ import annotations

import _thread
import threading

import pytest

from envgen.core.parallel import map_parallel


def test_results_come_in_the_order_of_the_items() -> None:
    later = threading.Event()

    def double(number: int) -> int:
        if number == 1:
            assert later.wait(10)
        if number == 2:
            later.set()
        return number * 2

    assert map_parallel(double, [1, 2, 3], at_once=2) == [2, 4, 6]


def test_nothing_to_do() -> None:
    assert map_parallel(str, [], at_once=4) == []


def test_no_more_at_once_than_asked_for() -> None:
    running: list[int] = []
    most: list[int] = []

    def note(number: int) -> None:
        running.append(number)
        most.append(len(running))
        running.remove(number)

    map_parallel(note, range(20), at_once=1)
    assert max(most) == 1


def test_the_first_error_in_order_is_raised_whichever_came_first() -> None:
    both = threading.Barrier(2)

    def fail(number: int) -> None:
        both.wait(10)
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"^1$"):
        map_parallel(fail, [1, 2], at_once=2)


def test_after_an_error_the_rest_is_not_begun() -> None:
    begun: list[int] = []

    def fail(number: int) -> None:
        begun.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"^1$"):
        map_parallel(fail, [1, 2, 3], at_once=1)
    assert begun == [1]


def test_an_interruption_waits_for_no_thread_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[bool] = []
    monkeypatch.setattr("envgen.core.parallel.GRACE", 0.01)
    monkeypatch.setattr("envgen.core.process.stop_all", lambda: stopped.append(True))
    released = threading.Event()

    def hang(_number: int) -> None:
        # As a terminal does: to the main thread, while this one waits.
        _thread.interrupt_main()
        released.wait(10)

    with pytest.raises(KeyboardInterrupt):
        map_parallel(hang, [1, 2], at_once=2)
    assert not released.is_set()
    assert stopped == [True]
    released.set()
