"""Ctrl-C while the user's tests start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest
from penstock_migrations._proving.user_tests import run_tests


def test_an_interrupt_amid_the_start_leaves_no_process_behind(tmp_path, monkeypatch):
    """It is held back until the process is known, and then stops it; afterwards Ctrl-C works as before."""
    started = []

    class Interrupted(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(psutil.Process(self.pid))
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    handler = signal.getsignal(signal.SIGINT)
    command = f"{sys.executable} -c 'import time; time.sleep(60)'"

    with pytest.raises(KeyboardInterrupt):
        run_tests(command, tmp_path, "off", changed={}, timeout=60)

    (process,) = started
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert signal.getsignal(signal.SIGINT) is handler
