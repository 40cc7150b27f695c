"""What processes of this machine have worked, and their children."""

import os
import subprocess
import sys
import time

from dure.backends.processor_time import processor_time_s

WORK = "import time; print(flush=True)\nwhile time.process_time() < 0.3: pass\nprint(flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORK!r}])"


def test_what_its_children_work_is_its_own() -> None:
    own = processor_time_s(os.getpid())
    assert own is not None
    assert abs(own - time.process_time()) < 0.2
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        spent = processor_time_s(process.pid)
        assert spent is not None
        assert spent >= 0.29
        time.sleep(0.3)
        still = processor_time_s(process.pid)
        os.killpg(process.pid, 9)
    assert still is not None
    assert still - spent <= 0.02, "it sleeps"


def test_nothing_is_known_of_nobody() -> None:
    assert processor_time_s(0) is None
    assert processor_time_s(2**22 + 1) is None
