"""As much of Ray as llama2swift.pipeline uses, in threads of this process: an actor does one call after the other, and can be killed."""

import queue
import threading
from concurrent.futures import Future
from types import SimpleNamespace


class RayActorError(Exception):
    pass


class RayTaskError(Exception):
    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class _Method:
    def __init__(self, actor, name):
        self.actor, self.name = actor, name

    def remote(self, *arguments):
        result = Future()
        self.actor._calls.put((result, self.name, arguments))
        return result


class _Actor:
    def __init__(self, made, arguments):
        self._calls, self._is_dead, self._thing = queue.Queue(), threading.Event(), None
        threading.Thread(target=self._work, args=(made, arguments), daemon=True).start()

    def __getattr__(self, name):
        return _Method(self, name)

    def _work(self, made, arguments):
        thing = problem = None
        try:
            thing = self._thing = made(*arguments)
        except Exception as raised:
            problem = RayTaskError(raised)
        while True:
            result, name, given = self._calls.get()
            try:
                given = [a.result() if isinstance(a, Future) else a for a in given]
                if self._is_dead.is_set():
                    raise RayActorError("the actor was killed")
                if problem is not None:
                    raise problem
                done = getattr(thing, name)(*given)
                if self._is_dead.is_set():
                    raise RayActorError("the actor was killed")
                result.set_result(done)
            except (RayActorError, RayTaskError) as raised:
                result.set_exception(raised)
            except Exception as raised:
                result.set_exception(RayTaskError(raised))


def _kill(actor):
    actor._is_dead.set()
    if actor._thing is not None:
        actor._thing.close()  # as the system does with the connections of a process that ends


class _Remote:
    def __init__(self, made):
        self.made = made

    def options(self, **_):
        return self

    def remote(self, *arguments):
        return _Actor(self.made, arguments)


def module():
    return SimpleNamespace(
        remote=_Remote, get=lambda of: [f.result() for f in of] if isinstance(of, list) else of.result(), kill=_kill,
        exceptions=SimpleNamespace(RayActorError=RayActorError), util=SimpleNamespace(get_node_ip_address=lambda: "127.0.0.1"),
    )  # fmt: skip
