#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints a line for each signal it gets; ends with status 7 when it gets SIGUSR2 twice.

usage: signals.py            counts every signal that can be caught
       signals.py --default  leaves the stop signals alone, so that it can be stopped
"""

import os
import signal
import sys

DEFAULT = "--default" in sys.argv
LEAVE = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGSEGV, signal.SIGBUS,
         signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS, signal.SIGABRT}
if DEFAULT:
    LEAVE |= {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
wanted = {s for s in signal.valid_signals() if s not in LEAVE}
# Blocked and waited for: nothing is lost, nothing is merged with what is being printed.
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
print("ready", os.getpid(), flush=True)
second = 0
while second < 2:
    info = signal.sigwaitinfo(wanted)
    print("got", info.si_signo, flush=True)
    second += info.si_signo == signal.SIGUSR2
sys.exit(7)
