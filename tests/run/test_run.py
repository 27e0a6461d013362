#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""persona-run as a process: exit status, signals, job control, daemons, lifetime, the seal."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

from persona_test import (PYTHON, SCALE, Skip, check, equal, main, real_root, test,  # noqa: E402
                          wait_for, _binary)

SIGNALS = str(HERE / "signals.py")
RAW_SOCKET = ("import ctypes,os,sys\n"
              "l=ctypes.CDLL(None,use_errno=True)\n"
              "nr={'x86_64':41,'aarch64':198}[os.uname().machine]\n"
              "r=l.syscall(nr,2,2,0)\n"
              "print(r if r<0 else 'open', ctypes.get_errno() if r<0 else 0)\n")


def inits(host, name="work"):
    return host.status(name)["inits"]


def names(host):
    return [p["name"] for p in host.control({"version": 1, "op": "list"})["portspaces"]]


def python(host, code, *args, name="work", **kw):
    return host.run_in(name, PYTHON, "-c", code, *args, **kw)


# exit status

@test
def test_the_exit_status_is_the_programs(world):
    a = world.one()
    for status in (0, 1, 3, 125, 255):
        equal(a.run_in("work", "sh", "-c", f"exit {status}").code, status, "exit status")


@test
def test_it_dies_of_the_programs_signal(world):
    a = world.one()
    for name in ("KILL", "TERM", "SEGV", "ABRT", "PIPE", "HUP"):
        r = a.run_in("work", "sh", "-c", f"ulimit -c 0; kill -{name} $$")
        equal(r.code, -getattr(signal, f"SIG{name}"), f"end by SIG{name}")


@test
def test_a_program_that_cannot_run_is_126_or_127(world):
    a = world.one()
    plain = a.home / "plain"
    plain.write_text("text")
    for program, code in (("no-such-program", 127), ("/no/such/dir/program", 127),
                          (str(plain), 126), ("/tmp", 126)):
        r = a.run_in("work", program)
        equal(r.code, code, program)
        check(program in r.err, f"the message names the program: {r.err!r}")


@test
def test_its_own_errors_are_125_with_a_reason(world):
    a = world.one()
    for argv, text in ((["nowhere", "--", "true"], "nowhere"), (["--bogus", "work", "true"], "--bogus"),
                       (["work"], "program is missing"), ([], "--new"),
                       (["--address", "10.9.9.9", "work", "--", "true"], "other addresses")):
        r = a.run(_binary("persona-run"), *argv)
        equal(r.code, 125, f"persona-run {argv}")
        check(text in r.err, f"persona-run {argv} says {r.err!r}")


@test
def test_help_teaches_by_example(world):
    a = world.host("a")
    for program in ("persona-run", "persona", "persona-broker"):
        r = a.run(_binary(program), "--help").ok()
        check(r.out.count(f"{program} ") >= 3 and "Examples" in r.out, r.out)
        check(re.search(r"\d+\.\d+\.\d+", a.run(_binary(program), "--version").ok().out), program)


# what the program gets

@test
def test_standard_streams_and_arguments_pass_through(world):
    a = world.one()
    r = a.run_in("work", "sh", "-c", "cat; echo err >&2; printf '%s|' \"$@\"", "x", "a b", "", "-c",
                 stdin=b"in\n")
    equal(r.out, "in\na b||-c|", "standard output")
    equal(r.err, "err\n", "standard error")


@test
def test_the_environment_names_the_portspace_and_keeps_the_users_preload(world):
    a = world.one()
    code = "import os;print(os.environ['PERSONA_PORTSPACE_DIR']);print(os.environ['LD_PRELOAD'])"
    # libm: a library that everybody has and that changes nothing
    r = python(a, code, env={"LD_PRELOAD": "libm.so.6"}).ok()
    where, preload = r.out.split("\n")[:2]
    check(where.startswith(a.env["PERSONA_RUNTIME_DIR"] + "/ps/"), where)
    check(pathlib.Path(where, "info").is_file(), "the info file is there")
    first, second = preload.split(":")
    check(first.startswith("/") and first.endswith("/libpersona-preload.so"), first)
    equal(second, "libm.so.6", "the user's preload")


@test
def test_only_the_users_descriptors_reach_the_program(world):
    a = world.one()
    r = python(a, "import os; print(sorted(os.listdir('/proc/self/fd')))").ok()
    # 3 is the directory being listed
    equal(r.out.strip(), "['0', '1', '2', '3']", "descriptors")


@test
def test_signal_mask_and_dispositions_are_the_users(world):
    a = world.one()
    code = ("import signal,subprocess,sys\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK,[signal.SIGUSR1])\n"
            "signal.signal(signal.SIGHUP,signal.SIG_IGN)\n"
            "signal.signal(signal.SIGPIPE,signal.SIG_DFL)\n"
            "p=subprocess.run(sys.argv[1:]+['grep','-E','Sig(Blk|Ign)','/proc/self/status'],"
            "restore_signals=False,stdout=subprocess.PIPE,text=True)\n"
            "print(p.stdout)\n")
    outside = a.run(PYTHON, "-c", code).ok().out
    inside = a.run(PYTHON, "-c", code, _binary("persona-run"), "work", "--").ok().out
    check("SigBlk:\t0000000000000200" in outside, outside)
    equal(inside, outside, "mask and ignored signals")


@test
def test_the_program_is_a_member_from_its_first_instruction(world):
    a = world.one()
    for _ in range(20):
        r = a.run_in("work", _binary("persona"), "show", "work")
        check(r.code == 0, f"a member may see its own portspace: {r.err}")
        r = a.run_in("work", _binary("persona"), "list")
        check(r.code == 1, "a member may not list the others")


# signals

def signal_lines(process):
    return [int(n) for n in re.findall(r"^got (\d+)$", process.output(), re.M)]


@test
def test_each_signal_to_the_frontend_reaches_the_program_once(world):
    a = world.one()
    p = a.spawn_in("work", PYTHON, SIGNALS)
    p.until("ready")
    sent = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1,
            signal.SIGWINCH, signal.SIGALRM, signal.SIGTSTP, signal.SIGCONT, signal.SIGIO,
            signal.SIGRTMIN + 3]
    for n, s in enumerate(sent):
        os.kill(p.pid, s)
        wait_for(f"signal {s}", lambda n=n: len(signal_lines(p)) > n)
    os.kill(p.pid, signal.SIGUSR2)
    wait_for("the first SIGUSR2", lambda: signal.SIGUSR2 in signal_lines(p))
    os.kill(p.pid, signal.SIGUSR2)
    p.expect(7)
    equal(signal_lines(p), [int(s) for s in sent] + [int(signal.SIGUSR2)] * 2, "signals")


@test
def test_sigterm_ends_both(world):
    a = world.one()
    p = a.spawn_in("work", PYTHON, "-c", "import time; print('is','up', flush=True); time.sleep(600)")
    p.until("is up")
    os.kill(p.pid, signal.SIGTERM)
    p.expect(-signal.SIGTERM)
    wait_for("the init ends", lambda: not inits(a))


@test
def test_a_killed_frontend_is_a_hangup_for_the_program(world):
    a = world.one()
    p = a.spawn_in("work", PYTHON, SIGNALS)
    p.until("ready")
    pid = int(re.search(r"ready (\d+)", p.output()).group(1))
    os.kill(p.pid, signal.SIGKILL)
    p.wait()
    wait_for("SIGHUP and SIGCONT",
             lambda: {int(signal.SIGHUP), int(signal.SIGCONT)} <= set(signal_lines(p)))
    check(len(inits(a)) == 1, "the init stays as long as the program does")
    for n in (1, 2):
        os.kill(pid, signal.SIGUSR2)
        wait_for("SIGUSR2", lambda n=n: signal_lines(p).count(signal.SIGUSR2) == n)
    wait_for("the init ends", lambda: not inits(a))


# job control

class Shell:
    def __init__(self, host, *argv):
        command = host.in_argv("work", argv)
        self.popen = subprocess.Popen([PYTHON, str(HERE / "minishell.py"), *command],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      bufsize=1, env=host.env, cwd=str(host.home),
                                      start_new_session=True)
        host.world._cleanup.append(self.popen.stdout.close)
        host.world._cleanup.append(self.popen.stdin.close)
        host.world._cleanup.append(self.popen.wait)
        host.world._cleanup.append(self.popen.kill)
        self.lines = []

    def until(self, pattern):
        """Reads lines until one matches; the match. The deadline is the test's."""
        signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(
            AssertionError(f"no {pattern!r} in {self.lines}")))
        signal.alarm(int(20 * SCALE))
        try:
            for line in self.popen.stdout:
                self.lines.append(line.rstrip("\n"))
                m = re.fullmatch(pattern, self.lines[-1])
                if m:
                    return m
        finally:
            signal.alarm(0)
        raise AssertionError(f"no {pattern!r} in {self.lines}")

    def tell(self, text):
        self.popen.stdin.write(text + "\n")


def state(pid):
    return re.search(r"^State:\s+(\S)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]


@test
def test_keys_of_the_terminal_reach_the_program_once(world):
    a = world.one()
    shell = Shell(a, PYTHON, SIGNALS)
    shell.until("out ready .*")
    shell.tell("type 03")
    shell.until(f"out (\\^C)?got {signal.SIGINT:d}")
    shell.tell("type 1c")
    shell.until(f"out (\\^\\\\)?got {signal.SIGQUIT:d}")
    shell.tell("type 03")
    shell.until(f"out (\\^C)?got {signal.SIGINT:d}")
    got = [line for line in shell.lines if "got" in line]
    equal(len(got), 3, f"signals in {got}")


@test
def test_control_z_stops_and_fg_continues(world):
    a = world.one()
    shell = Shell(a, PYTHON, SIGNALS, "--default")
    job = int(shell.until(r"pid (\d+)")[1])
    program = int(shell.until(r"out ready (\d+)")[1])
    for _ in range(3):
        shell.tell("type 1a")
        equal(int(shell.until(r"stopped (\d+)")[1]), signal.SIGTSTP, "the stop signal")
        equal(state(program), "T", "the program's state")
        shell.tell("fg")
        shell.until(f"out (\\^Z)?got {signal.SIGCONT:d}")
        wait_for("both run", lambda: state(job) != "T" and state(program) != "T")
    for _ in range(2):
        os.kill(job, signal.SIGUSR2)
        shell.until(f"out got {signal.SIGUSR2:d}")
    equal(int(shell.until(r"exited (\d+)")[1]), 7, "exit status")


@test
def test_a_late_continue_does_not_undo_the_next_stop(world):
    a = world.one()
    shell = Shell(a, PYTHON, SIGNALS, "--default")
    job = int(shell.until(r"pid (\d+)")[1])
    program = int(shell.until(r"out ready (\d+)")[1])
    init = int(re.search(r"^PPid:\s+(\d+)", pathlib.Path(
        f"/proc/{program}/status").read_text(), re.M)[1])
    shell.tell("type 1a")
    shell.until(rf"stopped {signal.SIGTSTP:d}")
    os.kill(init, signal.SIGSTOP)  # it gets no processor for a while
    wait_for("init waits", lambda: state(init) == "T")
    shell.tell("fg")
    shell.until(f"out (\\^Z)?got {signal.SIGCONT:d}")
    wait_for("the frontend runs and has relayed it", lambda: state(job) == "S")
    shell.tell("type 1a")
    wait_for("the program stops", lambda: state(program) == "T")
    os.kill(init, signal.SIGCONT)
    shell.until(rf"stopped {signal.SIGTSTP:d}")
    equal(state(program), "T", "the program's state")
    shell.tell("fg")
    shell.until(f"out (\\^Z)?got {signal.SIGCONT:d}")


@test
def test_stops_from_elsewhere_are_relayed_both_ways(world):
    a = world.one()
    shell = Shell(a, PYTHON, SIGNALS, "--default")
    job = int(shell.until(r"pid (\d+)")[1])
    program = int(shell.until(r"out ready (\d+)")[1])
    os.kill(program, signal.SIGSTOP)  # the program alone
    equal(int(shell.until(r"stopped (\d+)")[1]), signal.SIGSTOP, "the stop signal")
    os.kill(program, signal.SIGCONT)  # and on
    wait_for("the frontend follows", lambda: state(job) != "T")
    shell.until(f"out got {signal.SIGCONT:d}")
    os.kill(job, signal.SIGTSTP)  # the frontend alone
    equal(int(shell.until(r"stopped (\d+)")[1]), signal.SIGTSTP, "the stop signal")
    equal(state(program), "T", "the program's state")
    os.kill(job, signal.SIGCONT)
    shell.until(f"out got {signal.SIGCONT:d}")
    wait_for("both run", lambda: state(job) != "T" and state(program) != "T")


@test
def test_the_terminals_end_is_a_hangup(world):
    a = world.one()
    shell = Shell(a, "cat")
    job = int(shell.until(r"pid (\d+)")[1])
    wait_for("the program runs", lambda: inits(a))
    shell.tell("hangup")
    # cat sees the end of its terminal or SIGHUP, whichever is first
    shell.until(r"(killed 1|exited \d+)")
    check(not pathlib.Path(f"/proc/{job}").exists(), "the frontend is gone")
    wait_for("the init ends", lambda: not inits(a))


# daemons and lifetime

DAEMON = ("import os,sys,time\n"
          "if os.fork(): os._exit(0)\n"
          "os.setsid()\n"
          "if os.fork(): os._exit(0)\n"
          "null=os.open('/dev/null',os.O_RDWR)\n"
          "[os.dup2(null,fd) for fd in (0,1,2)]\n"
          "open(sys.argv[1]+'.pid','w').write(str(os.getpid()))\n"
          "os.rename(sys.argv[1]+'.pid',sys.argv[1])\n"
          "time.sleep(600)\n")


def start_daemon(host, name="work", **kw):
    note = host.home / "daemon"
    note.unlink(missing_ok=True)
    # run() reads the pipes to their end: it returns although the daemon and init stay
    python(host, DAEMON, str(note), name=name, **kw).ok()
    wait_for("the daemon", note.exists)
    return int(note.read_text())


@test
def test_daemons_keep_the_membership(world):
    a = world.one()
    daemon = start_daemon(a)
    one = wait_for("the init", lambda: inits(a))
    equal(len(one), 1, "inits")
    check("PPid:\t%d\n" % one[0]["pid"] in pathlib.Path(f"/proc/{daemon}/status").read_text(),
          "the init is the daemon's parent now")
    r = a.persona("destroy", "work")
    check(r.code == 1, "a portspace with a daemon inside is in use")
    os.kill(daemon, signal.SIGKILL)
    wait_for("the init ends with the daemon", lambda: not inits(a))
    a.persona("destroy", "work").ok()


@test
def test_orphans_are_reaped(world):
    a = world.one()
    code = ("import os,sys,time\n"
            "for _ in range(50):\n"
            "    if os.fork()==0:\n"
            "        if os.fork(): os._exit(0)\n"
            "        os._exit(0)\n"
            "    os.wait()\n"
            "print('all','made',flush=True); sys.stdin.read()\n")
    p = a.spawn_in("work", PYTHON, "-c", code, stdin=subprocess.PIPE)
    p.until("all made")
    init = inits(a)[0]["pid"]

    def children():
        return pathlib.Path(f"/proc/{init}/task/{init}/children").read_text().split()

    wait_for("only the program is left", lambda: len(children()) == 1)
    p.popen.stdin.close()
    p.expect(0)


@test
def test_a_portspace_is_free_when_persona_run_returns(world):
    a = world.host("a")
    a.start_broker()
    for _ in range(15):
        a.create("once", "10.77.0.9")
        a.run_in("once", "true").ok()
        a.persona("destroy", "once").ok()


@test
def test_an_unnamed_portspace_ends_with_its_last_process(world):
    a = world.host("a")
    a.start_broker()
    r = a.run_in(None, _binary("persona-run"), "--version").ok()
    check("persona-run" in r.out, r.out)
    wait_for("it is gone", lambda: names(a) == [])
    note = a.home / "daemon"
    a.run_in(None, PYTHON, "-c", DAEMON, str(note), options=("--address", "10.5.5.5")).ok()
    wait_for("the daemon", note.exists)
    equal(len(names(a)), 1, "portspaces while a daemon is inside")
    ps = a.control({"version": 1, "op": "list"})["portspaces"][0]
    check(ps["ephemeral"], "it is ephemeral")
    equal([p.split("/")[0] for p in ps["addresses"]], ["10.5.5.5"], "its addresses")
    os.kill(int(note.read_text()), signal.SIGKILL)
    wait_for("it is gone", lambda: names(a) == [])


@test
def test_an_address_with_a_name_makes_the_portspace(world):
    a = world.host("a")
    a.start_broker()
    for _ in range(2):
        a.run_in("lab", "true", options=("--address", "10.8.8.8/24")).ok()
        equal(names(a), ["lab"], "portspaces")


@test
def test_members_are_members_again_after_a_new_broker(world):
    a = world.one()
    code = ("import subprocess,sys\n"
            "for line in sys.stdin:\n"
            "    r=subprocess.run([sys.argv[1],'show','work'],stdout=subprocess.DEVNULL)\n"
            "    print('show',r.returncode,flush=True)\n")
    p = a.spawn_in("work", PYTHON, "-c", code, _binary("persona"), stdin=subprocess.PIPE)
    wait_for("the init", lambda: inits(a))
    before = inits(a)[0]["pid"]
    for _ in range(2):
        a.broker.may_end = True
        a.kill_broker()
        a.start_broker()
        one = wait_for("the init enters again", lambda: inits(a))
        equal([i["pid"] for i in one], [before], "inits")
    p.popen.stdin.write(b"now\n")
    p.popen.stdin.flush()
    p.until("show 0")
    p.popen.stdin.close()
    p.expect(0)


@test
def test_an_unnamed_portspace_survives_its_broker(world):
    a = world.host("a")
    a.start_broker()
    p = a.spawn_in(None, PYTHON, SIGNALS, options=("--address", "10.5.5.5"))
    p.until("ready")
    before = names(a)
    equal(len(before), 1, "portspaces")
    a.broker.may_end = True
    a.kill_broker()
    a.start_broker()
    wait_for("the init enters again", lambda: names(a) == before and inits(a, before[0]))
    for n in (1, 2):
        os.kill(p.pid, signal.SIGUSR2)
        wait_for("SIGUSR2", lambda n=n: signal_lines(p).count(signal.SIGUSR2) == n)
    p.expect(7)
    wait_for("it is gone", lambda: names(a) == [])


@test
def test_init_starts_no_broker(world):
    a = world.one()
    p = a.spawn_in("work", PYTHON, SIGNALS)
    p.until("ready")
    a.broker.may_end = True
    a.kill_broker()
    for n in (1, 2):
        os.kill(p.pid, signal.SIGUSR2)
        wait_for("SIGUSR2", lambda n=n: signal_lines(p).count(signal.SIGUSR2) == n)
    p.expect(7)
    check(a.control({"version": 1, "op": "ping"}, missing_ok=True) is None, "no broker runs")


# the seal

@test
def test_sealed_is_the_default_and_shim_warns(world):
    a = world.one()
    r = python(a, RAW_SOCKET).ok()
    equal(r.out.split(), ["-1", "13"], "a raw socket call in a sealed portspace")
    equal(r.err, "", "warnings")
    r = python(a, RAW_SOCKET, seal="shim").ok()
    equal(r.out.split(), ["open", "0"], "a raw socket call with the shim alone")
    check(r.err.count("\n") == 1 and "warning" in r.err, f"one line of warning: {r.err!r}")


@test
def test_status_tells_the_seal(world):
    a = world.one()
    for seal in ("sealed", "shim"):
        p = a.spawn_in("work", PYTHON, SIGNALS, seal=seal)
        p.until("ready")
        one = inits(a)
        equal([i["seal"] for i in one], [seal], "the seal")
        check(one[0]["command"][1] == SIGNALS, f"the command: {one[0]['command']}")
        check(seal in a.persona("status", "work").ok().out, "for people too")
        os.kill(p.pid, signal.SIGKILL)
        p.wait()
        pid = int(re.search(r"ready (\d+)", p.output()).group(1))
        os.kill(pid, signal.SIGKILL)
        wait_for("the init ends", lambda: not inits(a))


@test
def test_internet_descriptors_do_not_come_in(world):
    a = world.one()
    listener = socket.create_server(("127.0.0.1", 0))
    local, other = socket.socketpair()
    code = ("import os,sys\n"
            "for fd in map(int,sys.argv[1:]):\n"
            "    try: print(os.readlink('/proc/self/fd/%d'%fd).split(':')[0])\n"
            "    except OSError as e: print('closed')\n")
    for seal in ("sealed", "shim"):
        argv = a.in_argv("work", [PYTHON, "-c", code, "0", str(listener.fileno()),
                                  str(local.fileno())], seal=seal)
        r = subprocess.run(argv, env=a.env, stdin=listener, capture_output=True, text=True,
                           pass_fds=(listener.fileno(), local.fileno()), timeout=30 * SCALE)
        equal(r.stdout.split(), ["/dev/null", "closed", "socket"], f"descriptors with {seal}")
        for fd in (0, listener.fileno()):
            check(f"descriptor {fd} is an IPv4 socket" in r.stderr, r.stderr)
    listener.close()
    local.close()
    other.close()


@test
def test_a_sealed_member_cannot_end_its_init(world):
    a = world.one()
    code = ("import os,signal\n"
            "def parent(p): return int(open('/proc/%d/stat'%p).read().rsplit(')',1)[1].split()[1])\n"
            "init=parent(os.getpid())\n"
            "for pid,s in ((init,9),(init,19),(-init,9),(init,15)):\n"
            "    try: os.kill(pid,s); print('sent')\n"
            "    except OSError as e: print(e.errno)\n")
    equal(python(a, code).ok().out.split(), ["1"] * 4, "errors of kill")


@test
def test_libpersona_tells_where_it_runs(world):
    a = world.one()
    library = pathlib.Path(_binary("persona")).parent.parent / "libpersona" / "libpersona.so.0"
    if not library.exists():
        raise Skip(f"{library} is not built")
    code = ("import ctypes,sys\n"
            "l=ctypes.CDLL(sys.argv[1])\n"
            "p=ctypes.c_void_p()\n"
            "r=l.persona_self(ctypes.byref(p))\n"
            "l.persona_self_name.restype=ctypes.c_char_p\n"
            "print(r,l.persona_seal(),l.persona_self_name(p).decode() if r==0 else '-')\n")
    equal(python(a, code, str(library)).ok().out.split(), ["0", "1", "work"], "sealed")
    equal(python(a, code, str(library), seal="shim").ok().out.split(), ["0", "0", "work"], "shim")
    equal(a.run(PYTHON, "-c", code, str(library)).ok().out.split(), ["-2", "0", "-"], "outside")


@test
def test_an_ordinary_user_can_do_it_all(world):
    real_root()
    a = world.one(user="nobody")
    code = ("import os\n"
            "def parent(p): return int(open('/proc/%d/stat'%p).read().rsplit(')',1)[1].split()[1])\n"
            "init=parent(os.getpid())\n"
            "import ctypes\n"
            "l=ctypes.CDLL(None,use_errno=True)\n"
            "def listable():\n"
            "    try: os.listdir('/proc/%d/fd'%init); return 'open'\n"
            "    except PermissionError: return 'denied'\n"
            "fd=l.syscall(434,init,0)\n"
            "print(os.getuid(),listable(),l.syscall(438,fd,5,0),l.ptrace(16,init,0,0))\n")
    for seal in ("sealed", "shim"):
        # the init's control connection is out of its members' reach
        equal(python(a, code, seal=seal).ok().out.split(), ["65534", "denied", "-1", "-1"], seal)
    equal(a.run_in("work", "sh", "-c", "exit 9").code, 9, "exit status")
    a.persona("destroy", "work").ok()


# starting the broker

def ping(host):
    return host.control({"version": 1, "op": "ping"}, missing_ok=True)


def end_daemon(world, host):
    reply = ping(host)
    if reply:
        os.kill(reply["broker"]["pid"], signal.SIGKILL)


@test
def test_the_broker_is_started_once_for_many(world):
    a = world.host("a")
    a.env["PERSONA_LISTEN"] = f"{a.address}:51821,[2001:db8::1]:51821"
    world._cleanup.append(lambda: end_daemon(world, a))
    runs = [a.spawn_in(None, "true", options=("--address", f"10.4.0.{n}")) for n in range(1, 7)]
    for r in runs:
        r.expect(0)
    broker = ping(a)["broker"]
    equal(sorted(broker["listen"]), sorted(a.env["PERSONA_LISTEN"].split(",")), "PERSONA_LISTEN")
    log = pathlib.Path(a.env["PERSONA_RUNTIME_DIR"], "broker.log")
    check("runs in" not in log.read_text(), f"only one was started: {log.read_text()}")
    equal(log.stat().st_mode & 0o777, 0o600, "mode of broker.log")
    pid = broker["pid"]
    equal(os.readlink(f"/proc/{pid}/cwd"), "/", "its working directory")
    equal(os.getsid(pid) in [os.getsid(r.pid) for r in runs if r.alive()], False, "its session")
    check("PPid:\t1\n" in pathlib.Path(f"/proc/{pid}/status").read_text()
          or os.getpid() != 1, "its parent")
    equal(os.readlink(f"/proc/{pid}/fd/0"), "/dev/null", "its standard input")
    equal(os.readlink(f"/proc/{pid}/fd/2"), str(log), "its standard error")


@test
def test_a_broker_that_cannot_start_is_explained(world):
    a = world.host("a")
    a.env["PERSONA_LISTEN"] = "nonsense"
    r = a.run_in(None, "true")
    equal(r.code, 125, "exit status")
    check("broker cannot start" in r.err and "broker.log" in r.err, r.err)
    r = a.persona("list")
    equal(r.code, 1, "exit status of persona")


@test
def test_a_runtime_directory_of_others_is_refused(world):
    a = world.host("a")
    pathlib.Path(a.env["PERSONA_RUNTIME_DIR"]).mkdir(mode=0o700)
    pathlib.Path(a.env["PERSONA_RUNTIME_DIR"]).chmod(0o777)
    r = a.run_in(None, "true")
    equal(r.code, 125, "exit status")
    check("others cannot write" in r.err, r.err)


main()
