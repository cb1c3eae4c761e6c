"""Calls that may take long: ended by a flag that the library reads, and never in the way of Ctrl-C.

Python runs the handlers of signals on the main thread, between two of its own instructions: during a call into C they wait. So
a long call that the main thread makes is made by another thread while the main one waits where signals are heard. What a handler
raises (KeyboardInterrupt, as a rule) sets the flag, the library ends the call some milliseconds later with everything as it was
before, and then the exception goes on. The library asks for the flag by a function of its own: no Python runs in the midst of an
eval, and no thread that holds the interpreter is waited for.
"""

from __future__ import annotations

import _thread
import ctypes as C
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from . import _library as lib
from .errors import BusyError, Llama2Error

Result = TypeVar("Result")

# What takes less than this is called directly. In bytes of weights read, or multiplications; 2e8 take some hundredths of a second.
SHORT = 2e8


class Calls:
    """The calls of one context, one at a time, and the flag that ends the one under way."""

    def __init__(self) -> None:
        self.flag = C.c_int32(0)
        self.problem: BaseException | None = None  # what a `set_cancel` function raised
        self._lock = threading.RLock()
        # One entry at most. In one step there or not: a signal that comes in between leaves nothing half done.
        self._under_way: dict[str, object] = {}

    def enter(self, owner: object) -> None:
        """Begins a call. Raises BusyError while there is another."""
        if self._under_way.setdefault("owner", owner) is not owner:
            raise BusyError("this context is in use by another call")

    def leave(self, owner: object) -> None:
        """Ends it; one that never began is no matter."""
        with self._lock:
            if self._under_way.get("owner") is owner:
                self.flag.value = 0
                del self._under_way["owner"]

    def take_problem(self) -> BaseException | None:
        """What a `set_cancel` function raised, once."""
        problem, self.problem = self.problem, None
        return problem

    def cancel(self, owner: object = None) -> None:
        """Ends the call under way; with an owner, only if it is that one's."""
        with self._lock:
            current = self._under_way.get("owner")
            if current is not None and owner in (None, current):
                self.flag.value = 1


class Progress:
    """Asks a Python function from inside a call of the library's, on the thread of whoever made the call. What the function
    raises ends the call and is raised in its place."""

    def __init__(self, function: Callable[..., Any]):
        self._function = function
        self._questions: queue.SimpleQueue[tuple[Any, ...] | None] | None = None
        self._answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.problem: BaseException | None = None

    @classmethod
    def of(cls, function: Callable[..., Any] | None) -> Progress | None:
        """None when there is nobody to ask."""
        return None if function is None else cls(function)

    def ask(self, *arguments: Any) -> int:
        """From C: 1 to stop. Raises nothing."""
        questions = self._questions
        if questions is None:
            return self._answer(arguments)
        questions.put(arguments)
        return self._answers.get()

    def _answer(self, arguments: tuple[Any, ...]) -> int:
        if self.problem is not None:
            return 1
        try:
            return 1 if self._function(*arguments) else 0
        except BaseException as problem:
            self.problem = problem
            return 1

    def serve_from_here(self) -> None:
        """The call will be another thread's, this one will `serve`."""
        self._questions = queue.SimpleQueue()

    def serve(self) -> None:
        """Answers until `end`."""
        questions = self._questions
        while questions is not None:
            arguments = questions.get()
            if arguments is None:
                return
            self._answers.put(self._answer(arguments))

    def give_up(self) -> None:
        """Nobody serves any more: the answer is to stop, also to what is being asked in this moment."""
        self._function = lambda *_: True
        self._questions = None
        self._answers.put(1)

    def end(self) -> None:
        """The call has ended."""
        questions = self._questions
        if questions is not None:
            questions.put(None)


def run(
    calls: Calls, call: Callable[[], Result], *, short: bool = False, progress: Progress | None = None,
    late: Callable[[Result], None] | None = None,
) -> Result:  # fmt: skip
    """What `call` returns or raises, as the call under way of `calls`. On the main thread it is made by another one, unless it
    is short, and what a signal's handler raises meanwhile cancels it. Raises BusyError when there is a call already.

    late: for a call that cannot be cancelled and changes nothing: it is left to itself, and `late` gets its result.
    """
    result: Result | None = None
    failure: BaseException | None = None
    try:
        if short or threading.current_thread() is not threading.main_thread():
            try:
                calls.enter(call)
                result = call()
            finally:
                calls.leave(call)
        else:
            result = _elsewhere(calls, call, progress, late)
    except Llama2Error as problem:
        failure = problem
    asked = (progress.problem if progress is not None else None) or (calls.take_problem() if failure is not None else None)
    try:
        if asked is not None:
            raise asked from None
        if failure is not None:
            raise failure
        return result  # type: ignore[return-value]
    finally:
        asked = failure = None  # no circle through the traceback


def _elsewhere(
    calls: Calls, call: Callable[[], Result], progress: Progress | None, late: Callable[[Result], None] | None
) -> Result:  # fmt: skip
    results: list[Result] = []
    problems: list[BaseException] = []
    begun, taken, ended = threading.Lock(), threading.Lock(), threading.Lock()
    ended.acquire()
    if progress is not None:
        progress.serve_from_here()

    def work() -> None:
        if not begun.acquire(blocking=False):
            return  # given up before it began
        try:
            result = call()
            results.append(result)
            if late is not None and not taken.acquire(blocking=False):
                late(result)
        except BaseException as problem:  # goes on in the caller
            problems.append(problem)
        finally:
            calls.leave(call)
            ended.release()
            if progress is not None:
                progress.end()

    try:
        calls.enter(call)
        _thread.start_new_thread(work, ())
        if progress is not None:
            progress.serve()
        ended.acquire()
    except BaseException:
        if begun.acquire(blocking=False):
            calls.leave(call)
            raise
        if late is not None:
            if not taken.acquire(blocking=False):
                late(results[0])
            raise
        calls.cancel(call)
        if progress is not None:
            progress.give_up()
        # Some milliseconds. Whoever cannot wait (a second signal) leaves a thread behind that ends by itself.
        if not results and not problems:
            ended.acquire()
        raise
    try:
        if problems:
            raise problems[0]
        return results[0]
    finally:
        problems.clear()  # no circle through the traceback


def library_flag(calls: Calls) -> tuple[Any, Any]:
    """(callback, user_data) for the library, which then reads the flag."""
    return lib.CancelCallback(lib.cancel_flag), C.cast(C.pointer(calls.flag), C.c_void_p)
