"""Run a function in another process, with a time limit that is kept.

A `Worker` owns one child: a fresh interpreter that imports the package and talks pickles over its
two pipes. It is neither forked (a forked child hangs after OpenMP has run) nor spawned through
``multiprocessing`` (scripts without a main guard would start themselves again). The child runs
torch with one thread, ignores Ctrl-C (the parent decides) and ends when its parent does.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from edgewise.errors import FitError, InputError

# The child first learns where the parent finds its modules.
_BOOT = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from edgewise.workers import _serve; _serve()"
)
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Worker:
    """One child process, started at its first job and used for all later ones.

    ``with Worker() as worker: worker.call(function, *args, timeout=2.0)``, or a stream::

        worker.start(function, *args)        # the child runs function(send, *args)
        for message in worker.poll(0.1):     # what it has sent by then
            ...
        worker.running, worker.result        # after its end: False, what it returned

    Function, arguments, messages and result must be picklable; the function must live at the top
    of an importable module. An instance serves one thread at a time.
    """

    def __init__(self) -> None:
        self.running = False
        self.result: Any = None
        self._inbox: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = -1
        self._stop: Callable[[], Any] = lambda: None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(self, function: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        """function(*args), computed in the child.

        Raises what the function raised; TimeoutError after ``timeout`` seconds (start of the child
        included), when the child is killed and the next call starts another; FitError when the
        child died.
        """
        self._submit(function, args, streaming=False)
        try:
            for _ in self.poll(timeout):
                pass
            if self.running:
                name = getattr(function, "__qualname__", repr(function))
                raise TimeoutError(f"{name} did not end within {timeout:g} s; give it more time")
        finally:
            if self.running:  # late, or interrupted: its answer must not meet the next call
                self.stop()
        return self.result

    def start(self, function: Callable[..., Any], *args: Any) -> None:
        """Begin function(send, *args) in the child, where send(message) reaches `poll`."""
        self._submit(function, args, streaming=True)

    def poll(self, timeout: float | None = None) -> Iterator[Any]:
        """The messages that arrive in the next ``timeout`` seconds, or until the job's end.

        None waits for the end; 0 yields what is there. Raises what the function raised.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.running:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                kind, answer = self._inbox.get(timeout=left)
            except queue.Empty:
                return
            value = pickle.loads(answer)  # noqa: S301 (from the own child)
            if kind == "message":
                yield value
                continue
            self.running = False
            if kind == "result":
                self.result = value
                return
            if kind == "death":
                self.stop()
            raise value

    @property
    def alive(self) -> bool:
        """Whether there is a child of this process, at work or waiting for it."""
        process = self._process
        return process is not None and process.poll() is None and self._owner == os.getpid()

    def stop(self) -> None:
        """Kill the child, whatever it does; a later call or start makes a new one."""
        self.running = False
        self._stop()
        self._process = None

    def _submit(self, function: Callable[..., Any], args: tuple[Any, ...], streaming: bool) -> None:
        if self.running:
            raise InputError("this worker is still busy: poll its job to the end, or stop() it")
        if getattr(function, "__module__", None) == "__main__":
            raise InputError(
                f"{function!r} lives in the running script, which a worker cannot import: "
                "move it to a module"
            )
        # Two layers, so that a job that cannot be unpickled leaves the pipe in order; the path goes
        # with every job, because the parent may have learnt of new folders since.
        job = pickle.dumps((sys.path, pickle.dumps((function, args, streaming))))
        process = self._process if self.alive else None
        process = process or self._launch()
        self.result, self.running = None, True
        # A job larger than the pipe blocks until the child reads: not in the caller's time.
        writer = threading.Thread(target=_write, args=(process.stdin, job), daemon=True)
        writer.start()

    def _launch(self) -> subprocess.Popen[bytes]:
        if self._owner == os.getpid():  # after a fork the child belongs to the other process
            self._stop()
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ONE_THREAD},
            start_new_session=True,  # Ctrl-C in a terminal reaches the whole session of the parent
        )
        _write(process.stdin, pickle.dumps(sys.path))
        self._inbox = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process, self._inbox), daemon=True)
        reader.start()
        self._process, self._owner = process, os.getpid()
        self._stop = weakref.finalize(self, _end, process, reader, os.getpid())
        return process


def _write(pipe: BinaryIO | Any, message: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):  # a dead child is reported by the reader
        pipe.write(message)
        pipe.flush()


def _read(process: subprocess.Popen[bytes], inbox: queue.SimpleQueue[tuple[str, bytes]]) -> None:
    """Move what the child says into the inbox until its pipe closes."""
    try:
        while True:
            inbox.put(pickle.load(process.stdout))  # type: ignore[arg-type]  # noqa: S301 (own child)
    except (EOFError, OSError, ValueError, pickle.UnpicklingError):
        text = f"the worker process ended by itself (exit code {process.wait()}), perhaps for "
        error = FitError(text + "want of memory: run fewer jobs or smaller ones")
        inbox.put(("death", pickle.dumps(error)))


def _end(process: subprocess.Popen[bytes], reader: threading.Thread, owner: int) -> None:
    if os.getpid() != owner:
        return
    process.kill()
    process.wait()
    reader.join(1.0)
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # the unsent rest of a job
            pipe.close()  # type: ignore[union-attr]


def _serve() -> None:
    """The child's life: jobs come in on stdin, ("message" | "result" | "error", value) go out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What user code prints must not mix with the answers: descriptor 1 becomes stderr.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source, sys.stdin = sys.stdin.buffer, io.StringIO()
    jobs: queue.SimpleQueue[tuple[list[str], bytes]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, jobs), daemon=True).start()

    def answer(kind: str, value: Any) -> None:
        answers.write(pickle.dumps((kind, pickle.dumps(value))))
        answers.flush()

    while True:
        job = jobs.get()
        try:
            sys.path[:], work = job
            function, args, streaming = pickle.loads(work)  # noqa: S301 (from the parent)
            first = (lambda message: answer("message", message),) if streaming else ()
            answer("result", function(*first, *args))
        except Exception as error:  # noqa: BLE001 (it is raised again in the parent)
            answer("error", _portable(error))


def _listen(source: BinaryIO, jobs: queue.SimpleQueue[tuple[list[str], bytes]]) -> None:
    """Jobs from the pipe, read beside the running one so that the parent's end is noticed."""
    while True:
        try:
            jobs.put(pickle.load(source))  # noqa: S301 (from the parent)
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(0)


def _portable(error: Exception) -> Exception:
    """The exception with the child's traceback as a note, or its text if it cannot travel."""
    error.add_note("in the worker:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 (made in the line before)
    except Exception:  # noqa: BLE001 (any class may break while it is pickled)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
