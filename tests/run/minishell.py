#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The part of an interactive shell that job control needs, on a terminal of its own.

usage: minishell.py PROGRAM ARG...

Starts the program as the foreground job of a new session whose controlling terminal is a pty, and
talks in lines: on standard output it reports
    pid N            the job
    stopped N        it was stopped by signal N (the terminal is ours again)
    exited N | killed N
    out TEXT         a line the job wrote to the terminal
and on standard input it takes
    type HEX         bytes typed on the terminal
    fg               the job gets the terminal and SIGCONT, as by a shell's fg
    hangup           the terminal goes away
"""

import fcntl
import os
import select
import signal
import sys
import termios


def say(*words):
    print(*words, flush=True)


def start_job(argv, slave):
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(slave, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        os.closerange(3, 256)
        os.execvp(argv[0], argv)
    return pid


def main():
    master, slave = os.openpty()
    if os.getsid(0) != os.getpid():
        os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    job = start_job(sys.argv[1:], slave)
    say("pid", job)
    line, command, watched = b"", b"", [master, 0, wake_r]
    while True:
        ready = select.select(watched, [], [])[0]
        if master in ready:
            data = os.read(master, 4096)
            line += data
            while b"\n" in line:
                one, line = line.split(b"\n", 1)
                say("out", one.strip().decode(errors="replace"))
        if 0 in ready:
            data = os.read(0, 4096)
            if not data:
                watched.remove(0)
            command += data
            while b"\n" in command:
                one, command = command.split(b"\n", 1)
                words = one.decode().split()
                if words[0] == "type":
                    os.write(master, bytes.fromhex(words[1]))
                elif words[0] == "fg":
                    os.tcsetpgrp(slave, job)
                    os.kill(-job, signal.SIGCONT)
                elif words[0] == "hangup":
                    watched.remove(master)
                    os.close(slave)
                    os.close(master)
        if wake_r in ready:
            os.read(wake_r, 4096)
        pid, status = os.waitpid(job, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            continue
        if os.WIFSTOPPED(status):
            os.tcsetpgrp(slave, os.getpgrp())
            say("stopped", os.WSTOPSIG(status))
        elif os.WIFSIGNALED(status):
            return say("killed", os.WTERMSIG(status))
        else:
            return say("exited", os.WEXITSTATUS(status))


main()
