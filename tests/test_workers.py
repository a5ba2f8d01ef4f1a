"""A worker keeps its time limit, survives what its jobs do, and needs nothing of the script."""

import operator
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from edgewise.errors import FitError, InputError
from edgewise.workers import Worker


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """A module that the child can import, because the parent's sys.path can."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "edgewise_test_jobs.py").write_text(
        textwrap.dedent(
            """
            import os, sys, time

            class Odd(Exception):
                def __init__(self, a, b):
                    super().__init__(f"odd {a} {b}")

            def odd():
                raise Odd(1, 2)

            def noisy(x):
                print("stray words")
                os.write(1, b"stray bytes")
                return x

            def count(send, n, pause):
                for i in range(n):
                    send(i)
                    time.sleep(pause)
                return "end"

            def torch_threads():
                import torch
                return torch.get_num_threads()
            """
        )
    )
    sys.path.insert(0, str(folder))
    import edgewise_test_jobs

    yield edgewise_test_jobs
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def shared():
    with Worker() as worker:
        worker.call(abs, 1)
        yield worker


def test_a_call_returns_what_the_function_returns(shared):
    assert shared.call(operator.add, 2, 3) == 5
    assert shared.call(operator.mul, "ab", 200_000) == "ab" * 200_000
    pid = shared.call(os.getpid)
    assert pid != os.getpid() and pid == shared.call(os.getpid)


def test_exceptions_come_back_with_their_message(shared, jobs):
    with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
        shared.call(operator.truediv, 1, 0)
    assert "in the worker" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="Odd: odd 1 2"):
        shared.call(jobs.odd)
    assert shared.call(abs, -1) == 1


def test_a_stray_print_does_not_break_the_protocol(shared, jobs):
    assert shared.call(jobs.noisy, 7) == 7
    assert shared.call(print, "words") is None


def test_the_child_has_one_torch_thread(shared, jobs):
    assert shared.call(jobs.torch_threads) == 1


def test_functions_that_cannot_travel_are_refused(shared):
    def local():
        return 0

    local.__module__ = "__main__"
    with pytest.raises(InputError, match="move it to a module"):
        shared.call(local)


def test_the_limit_is_kept_and_the_next_call_works():
    with Worker() as worker:
        worker.call(abs, 1)
        for limit in (0.0, 0.3):
            begin = time.monotonic()
            with pytest.raises(TimeoutError, match="sleep"):
                worker.call(time.sleep, 30, timeout=limit)
            assert limit <= time.monotonic() - begin < limit + 0.5
        assert worker.call(operator.add, 1, 1) == 2


def test_the_limit_is_kept_while_a_large_job_waits_for_the_child_to_start():
    with Worker() as worker:
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            worker.call(len, b"x" * 50_000_000, timeout=0.01)
        assert time.monotonic() - begin < 1.0


def test_a_killed_child_is_reported_and_replaced():
    with Worker() as worker:
        pid = worker.call(os.getpid)
        with pytest.raises(FitError, match="exit code -9"):
            worker.call(os.kill, pid, signal.SIGKILL)
        assert worker.call(os.getpid) != pid
        worker.call(os.kill, worker.call(os.getpid), signal.SIGINT)  # ignored
        assert worker.call(abs, -2) == 2


def test_two_workers_run_at_the_same_time():
    with Worker() as one, Worker() as two:
        for worker in (one, two):
            worker.call(abs, 1)
        begin = time.monotonic()
        one.start(_sleep_job().count, 1, 0.5)
        two.start(_sleep_job().count, 1, 0.5)
        assert [*one.poll(5), *two.poll(5)] == [0, 0]
        assert time.monotonic() - begin < 0.9


def _sleep_job():
    import edgewise_test_jobs

    return edgewise_test_jobs


def test_a_stream_can_be_read_and_stopped_at_a_deadline(jobs):
    with Worker() as worker:
        worker.start(jobs.count, 3, 0.0)
        assert list(worker.poll(10)) == [0, 1, 2]
        assert not worker.running and worker.result == "end"
        worker.start(jobs.count, 1000, 0.05)
        with pytest.raises(InputError, match="busy"):
            worker.call(abs, 1)
        begin = time.monotonic()
        seen = list(worker.poll(0.4))
        assert time.monotonic() - begin < 0.6
        assert worker.running and seen == list(range(len(seen))) and len(seen) >= 3
        worker.stop()
        assert worker.call(abs, -1) == 1


def test_a_script_without_a_main_guard_works_and_leaves_no_child_behind(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import operator, os\n"
        "from edgewise.workers import Worker\n"
        "worker = Worker()\n"
        "print(worker.call(os.getpid), worker.call(operator.add, 20, 22))\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and run.stderr == ""
    pid, answer = map(int, run.stdout.split())
    assert answer == 42
    assert not _alive(pid)


@pytest.mark.skipif(os.name != "posix", reason="kills a process group member by signal")
def test_the_child_ends_when_the_parent_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, time\n"
        "from edgewise.workers import Worker\n"
        "worker = Worker()\n"
        "print(worker.call(os.getpid), flush=True)\n"
        "try:\n"
        "    worker.call(time.sleep, 60, timeout=0.2)\n"
        "except TimeoutError:\n"
        "    print(worker.call(os.getpid), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    first, second = map(int, run.stdout.split())
    end = time.monotonic() + 5
    while _alive(second) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _alive(first) and not _alive(second)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
