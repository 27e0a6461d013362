# SPDX-License-Identifier: MIT
"""The bench's laboratory: two hosts, the processes on them, and what those processes cost.

Model: a host is a network namespace of its own ("a" has the clients, "b" the servers); one veth
pair joins them, with the kernel's defaults and no shaping. Every process is started in a session
of its own. Cleaning up needs no bookkeeping to be right: whatever still runs in one of the two
namespaces was started here, so it is killed, and then the namespaces are deleted.

Invariant: nothing outside the two namespaces and the work directory is changed.
"""

import ctypes
import glob
import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
TICK = os.sysconf("SC_CLK_TCK")
PREFIX = "persona-bench-"  # of namespaces and work directories; our pid comes next
WIREGUARD = "pbw"  # of WireGuard devices, the same
ADDRESS = {"a": "192.0.2.1", "b": "192.0.2.2"}
NOFILE = 200_000  # 10,000 streams need two descriptors each in a broker, and room is needed


class Failed(Exception):
    """A measurement could not be made; the text says why."""


class Done:
    """A process that has ended: its output, its CPU time and that of its waited-for children."""

    def __init__(self, status, out, err, usages):
        self.status = os.waitstatus_to_exitcode(status)
        self.out = out
        self.err = err
        self.user = sum(usage.ru_utime for usage in usages)
        self.system = sum(usage.ru_stime for usage in usages)


def need(program):
    """The absolute path of a program, also one in sbin."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Failed(f"{program} is not installed")
    return path


def raise_limits():
    """Allows NOFILE descriptors, or as many as the hard limit has where it may not be raised.
    Returns how many that are. Children inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (max(hard, NOFILE), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return limit
        except (ValueError, PermissionError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Lab:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir="/tmp")
        self.ns = {side: f"{PREFIX}{os.getpid()}-{side}" for side in "ab"}
        self.made = []
        self.running = []

    def __enter__(self):
        try:
            adopt_orphans()
            sweep()
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _make(self):
        veth = {side: f"pb{os.getpid()}{side}" for side in "ab"}
        for side in "ab":
            call("ip", "netns", "add", self.ns[side])
            self.made.append(side)
        call("ip", "link", "add", veth["a"], "netns", self.ns["a"], "type", "veth",
             "peer", "name", veth["b"], "netns", self.ns["b"])
        for side in "ab":
            ip = ["ip", "-n", self.ns[side]]
            call(*ip, "address", "add", ADDRESS[side] + "/24", "dev", veth[side])
            call(*ip, "link", "set", veth[side], "up")
            call(*ip, "link", "set", "lo", "up")
            # Thousands of short connections each second: room for their source ports, for all
            # alike. The servers' ports are below the range.
            self.call(side, "sysctl", "-qw", "net.ipv4.ip_local_port_range=16384 65535",
                      "net.ipv4.tcp_tw_reuse=1", "net.core.somaxconn=4096")

    def argv(self, side, argv):
        """What to execute so that argv runs on that host (None: on the machine itself)."""
        if side is None:
            return [need(argv[0]), *argv[1:]]
        return [need("ip"), "netns", "exec", self.ns[side], *argv]

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def call(self, side, *argv, env=None):
        """Runs a short command of the setup; its standard output."""
        done = self.run(side, argv, env=env, timeout=60)
        if done.status:
            raise Failed(f"{' '.join(argv)}: exit {done.status}: {last_line(done.err or done.out)}")
        return done.out

    def start(self, side, name, argv, env=None, stdin=subprocess.DEVNULL):
        """Starts a process that stays; its output goes to NAME.log. Returns the Popen."""
        with open(self.path(name + ".log"), "ab") as log:
            proc = subprocess.Popen(self.argv(side, argv), stdin=stdin, stdout=log,
                                    stderr=subprocess.STDOUT, env=environment(env),
                                    start_new_session=True, cwd=self.dir)
        self.running.append(proc)
        return proc

    def run(self, side, argv, env=None, timeout=120):
        """Runs a process to its end. Returns Done; raises Failed only on a timeout."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            proc = subprocess.Popen(self.argv(side, argv), stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=err, env=environment(env), start_new_session=True,
                                    cwd=self.dir)
            self.running.append(proc)
            pidfd = os.pidfd_open(proc.pid)
            late = not select.select([pidfd], [], [], timeout)[0]
            os.close(pidfd)
            if late:
                kill_session(proc.pid)
            _, status, usage = os.wait4(proc.pid, 0)
            proc.returncode = os.waitstatus_to_exitcode(status)
            usages = [usage] + reap(proc.pid)
            self.running.remove(proc)
            if late:
                raise Failed(f"{' '.join(argv[:6])} …: no end after {timeout} s")
            out.seek(0)
            err.seek(0)
            return Done(status, out.read().decode(errors="replace"),
                        err.read().decode(errors="replace"), usages)

    def until(self, what, check, timeout=15, proc=None):
        """Waits until check() is true (it may raise Failed while it is not)."""
        deadline = time.monotonic() + timeout
        why = ""
        while time.monotonic() < deadline:
            try:
                if check():
                    return
            except Failed as err:
                why = f": {err}"
            if proc and proc.poll() is not None:
                raise Failed(f"{what}: process ended with {proc.returncode}{why}")
            time.sleep(0.05)
        raise Failed(f"{what}: not ready after {timeout} s{why}")

    def log(self, name):
        try:
            with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def stop(self, proc):
        """Ends a process that start() returned, politely first, and waits for it."""
        if proc not in self.running:
            return
        self.running.remove(proc)
        if proc.poll() is None:
            proc.terminate()
            try:
                proc.wait(5)
            except subprocess.TimeoutExpired:
                pass
        kill_session(proc.pid)
        proc.wait()
        reap(proc.pid)

    def close(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second ^C must not leave anything behind
        for proc in list(reversed(self.running)):
            self.stop(proc)
        for side in self.made:
            remove_namespace(self.ns[side])
        self.made = []
        shutil.rmtree(self.dir, ignore_errors=True)


def call(*argv):
    done = subprocess.run([need(argv[0]), *argv[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(argv)}: {last_line(done.stderr or done.stdout)}")
    return done.stdout


def environment(extra):
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD" and not k.startswith("PERSONA")}
    env.update(LC_ALL="C", PATH=os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin")
    env.update(extra or {})
    return env


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"


def kill_session(sid):
    """Kills the processes of a session that start() or run() made."""
    for stat in processes().values():
        if stat["session"] == sid:
            kill(stat["pid"])


def adopt_orphans():
    """Makes this process the parent of its descendants' orphans (prctl(2), subreaper). A program
    that ends before its children, as persona-run does, would take their CPU time with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def reap(sid, timeout=5):
    """Waits for the adopted processes of a session; what each of them used."""
    usages = []
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        mine = [p["pid"] for p in processes().values()
                if p["session"] == sid and p["ppid"] == os.getpid()]
        if not mine:
            break
        for pid in mine:
            done, _, usage = os.wait4(pid, os.WNOHANG)
            if done:
                usages.append(usage)
        time.sleep(0.005)
    return usages


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def remove_namespace(name):
    """Kills what still runs in a namespace of ours, and deletes it."""
    for _ in range(50):
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True,
                              check=False).stdout.split()
        if not pids:
            break
        for pid in pids:
            kill(int(pid))
        time.sleep(0.02)
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def alive(pid):
    """Whether this process exists and has not ended (a zombie has)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sweep():
    """Removes what an earlier bench left that was killed before it could clean up."""
    for line in call("ip", "netns", "list").splitlines():
        name = line.split()[0] if line.strip() else ""
        if _orphan(name, PREFIX):
            remove_namespace(name)
    for path in glob.glob(f"/tmp/{PREFIX}*"):
        if _orphan(os.path.basename(path), PREFIX):
            shutil.rmtree(path, ignore_errors=True)
    for path in glob.glob(f"/var/run/wireguard/{WIREGUARD}*.sock"):
        if _orphan(os.path.basename(path).replace("a.", "-").replace("b.", "-"), WIREGUARD):
            os.unlink(path)


def _orphan(name, prefix):
    owner = name.removeprefix(prefix).split("-")[0]
    return name.startswith(prefix) and owner.isdigit() and not alive(owner)


# What processes cost. All of it from /proc; CPU times are those the scheduler counted.

def processes():
    """{pid: its parent, session, CPU times} of all; times include waited-for children."""
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"/proc/{entry.name}/stat", encoding="utf-8", errors="replace") as f:
                rest = f.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(entry.name)] = {
            "pid": int(entry.name), "ppid": int(rest[1]), "session": int(rest[3]),
            "user": (int(rest[11]) + int(rest[13])) / TICK,
            "system": (int(rest[12]) + int(rest[14])) / TICK,
        }
    return found


def tree(roots, table=None):
    """The pids of these processes and of all their descendants."""
    table = table or processes()
    wanted = {pid for pid in roots if pid in table}
    grew = True
    while grew:
        more = {pid for pid, stat in table.items() if stat["ppid"] in wanted} - wanted
        wanted |= more
        grew = bool(more)
    return wanted


def cpu(roots):
    """(user, system) seconds used so far by the trees of these processes, ended children too."""
    table = processes()
    pids = tree(roots, table)
    return (sum(table[p]["user"] for p in pids), sum(table[p]["system"] for p in pids))


def machine_cpu():
    """(user, kernel, idle) seconds of the whole machine; kernel has interrupts in it."""
    with open("/proc/stat", encoding="ascii") as f:
        v = [int(x) / TICK for x in f.readline().split()[1:9]]
    return (v[0] + v[1], v[2] + v[5] + v[6], v[3] + v[4])


def memory(roots):
    """Bytes of the trees of these processes: resident, unique, proportional, peak resident."""
    total = {"rss": 0, "uss": 0, "pss": 0, "peak": 0}
    for pid in tree(roots):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as f:
                rollup = fields(f.readlines()[1:])
            with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as f:
                status = fields(line for line in f if line.startswith("VmHWM"))
        except (FileNotFoundError, ProcessLookupError, IndexError):
            continue
        total["rss"] += rollup["Rss"]
        total["pss"] += rollup["Pss"]
        total["uss"] += rollup["Private_Clean"] + rollup["Private_Dirty"]
        total["peak"] += status.get("VmHWM", 0)
    return total


def fields(lines):
    """'Name:  123 kB' lines as {name: bytes}."""
    pairs = (line.split() for line in lines)
    return {p[0].rstrip(":"): int(p[1]) * 1024 for p in pairs if len(p) >= 2}


def settled_memory(roots, timeout=10):
    """memory(), once three readings in a row agree within a page or two (the work is over)."""
    last = []
    deadline = time.monotonic() + timeout
    while True:
        last = (last + [memory(roots)])[-3:]
        spread = max(m["uss"] for m in last) - min(m["uss"] for m in last)
        if (len(last) == 3 and spread <= 8192) or time.monotonic() > deadline:
            return last[-1]
        time.sleep(0.2)
