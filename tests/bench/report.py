# SPDX-License-Identifier: MIT
"""From values to the report: medians, spread, ratios, and whether each target is reached.

Results are {metric: {peer: [one value for each round]}}. The report is text on standard output;
the same figures, with every single value, go into the JSON file.
"""

import os
import platform
import statistics
import subprocess

BETWEEN = "Between two hosts"
INSIDE = "Client and server on one host: kernel loopback, or one portspace"
ALONE = "Persona alone"
TABLE1 = "Table 1 of the paper: the same program in four constructions"
FIGURE7 = "Figure 7 of the paper: nginx and ab by concurrency"
EITHER = None

# metric: (title, unit, digits, which way is better: 1 more, -1 less, section)
METRICS = {
    "throughput_1": ("throughput, 1 stream", "Gbit/s", 2, 1, BETWEEN),
    "throughput_4": ("throughput, 4 streams", "Gbit/s", 2, 1, BETWEEN),
    "rtt_median": ("1-byte round trip, median", "us", 1, -1, BETWEEN),
    "rtt_p99": ("1-byte round trip, p99", "us", 1, -1, BETWEEN),
    "connections_1": ("new connections, ab -c 1", "1/s", 0, 1, BETWEEN),
    "connections_3": ("new connections, ab -c 3", "1/s", 0, 1, BETWEEN),
    "connections_10": ("new connections, ab -c 10", "1/s", 0, 1, BETWEEN),
    "connections_50": ("new connections, ab -c 50", "1/s", 0, 1, BETWEEN),
    "udp_rtt_median": ("UDP 1-byte round trip, median", "us", 1, -1, BETWEEN),
    "udp_rtt_p99": ("UDP 1-byte round trip, p99", "us", 1, -1, BETWEEN),
    "udp_goodput": ("UDP goodput, 1200-byte payload", "Mbit/s", 0, 1, BETWEEN),
    "udp_rate": ("  datagrams received", "1000/s", 1, 1, BETWEEN),
    "udp_lost": ("  of those sent, lost", "%", 1, -1, BETWEEN),
    "udp_cpu": ("  tunnel's CPU for each received", "us", 2, -1, BETWEEN),
    "cpu_processes": ("CPU per GB, the processes", "s", 2, -1, BETWEEN),
    "cpu_processes_kernel": ("  of it in the kernel", "s", 2, -1, BETWEEN),
    "cpu_machine": ("CPU per GB, whole machine", "s", 2, -1, BETWEEN),
    "memory_uss": ("tunnel memory, unique", "MiB", 1, -1, BETWEEN),
    "memory_rss": ("tunnel memory, resident", "MiB", 1, -1, BETWEEN),
    "memory_peak": ("tunnel memory, peak resident", "MiB", 1, -1, BETWEEN),
    "local_throughput_1": ("throughput, 1 stream", "Gbit/s", 2, 1, INSIDE),
    "local_throughput_4": ("throughput, 4 streams", "Gbit/s", 2, 1, INSIDE),
    "local_rtt_median": ("1-byte round trip, median", "us", 1, -1, INSIDE),
    "local_rtt_p99": ("1-byte round trip, p99", "us", 1, -1, INSIDE),
    "local_connections_10": ("new connections, ab -c 10", "1/s", 0, 1, INSIDE),
    "local_udp_rtt_median": ("UDP 1-byte round trip, median", "us", 1, -1, INSIDE),
    "local_udp_rtt_p99": ("UDP 1-byte round trip, p99", "us", 1, -1, INSIDE),
    "local_udp_goodput": ("UDP goodput, 1200-byte payload", "Mbit/s", 0, 1, INSIDE),
    "local_udp_rate": ("  datagrams received", "1000/s", 1, 1, INSIDE),
    "local_cpu_processes": ("CPU per GB, the processes", "s", 2, -1, INSIDE),
    "local_cpu_processes_kernel": ("  of it in the kernel", "s", 2, -1, INSIDE),
    "local_cpu_machine": ("CPU per GB, whole machine", "s", 2, -1, INSIDE),
    "idle_streams": ("idle streams held", "", 0, 1, ALONE),
    "idle_rate": ("  opened and used once", "1/s", 0, 1, ALONE),
    "idle_uss_a": ("  broker memory each, client's host", "byte", 0, -1, ALONE),
    "idle_uss_b": ("  broker memory each, server's host", "byte", 0, -1, ALONE),
    "idle_rss_a": ("  resident growth each, client's host", "byte", 0, -1, ALONE),
    "idle_rss_b": ("  resident growth each, server's host", "byte", 0, -1, ALONE),
    "idle_kept_a": ("  kept after they closed, client's host", "byte", 0, -1, ALONE),
    "idle_kept_b": ("  kept after they closed, server's host", "byte", 0, -1, ALONE),
    "idle_again_a": ("  kept more after as many again, client's host", "byte", 0, -1, ALONE),
    "idle_again_b": ("  kept more after as many again, server's host", "byte", 0, -1, ALONE),
    "idle_cpu": ("  both brokers' CPU meanwhile", "% of a core", 2, -1, ALONE),
    "portspaces": ("portspaces on one broker", "", 0, 1, ALONE),
    "portspace_create": ("  to create one", "ms", 2, -1, ALONE),
    "portspace_destroy": ("  to destroy one", "ms", 2, -1, ALONE),
    "portspace_uss": ("  broker memory each", "KiB", 2, -1, ALONE),
    "portspace_idle_cpu": ("  broker's CPU meanwhile", "% of a core", 2, -1, ALONE),
    "portspace_list": ("  to list them all", "ms", 2, -1, ALONE),
    "portspace_run_extra": ("  persona-run in one of them, above true", "ms", 2, -1, ALONE),
    "start_run_extra": ("persona-run NAME -- true, above true", "ms", 2, -1, ALONE),
    "start_shim_extra": ("the shim alone, above true", "ms", 2, -1, ALONE),
}

METRICS.update({
    "table1_tcp_latency": ("TCP latency", "us", 2, -1, TABLE1),
    "table1_tcp_throughput": ("TCP throughput", "Mbit/s", 1, 1, TABLE1),
    "table1_udp_latency": ("UDP latency", "us", 2, -1, TABLE1),
    "table1_udp_throughput": ("UDP throughput", "Mbit/s", 1, 1, TABLE1),
})
METRICS.update({f"figure7_connections_{_n}": (f"ab -c {_n}", "1/s", 0, 1, FIGURE7)
                for _n in range(1, 11)})

# (metric, own column, comparison, factor, other column or None for an absolute limit, text)
TARGETS = []
for _n in (1, 4):
    TARGETS += [
        (f"throughput_{_n}", "persona", ">=", 10, "wireguard-go"),
        (f"throughput_{_n}", "persona", ">=", 1.5, "stunnel"),
        (f"throughput_{_n}", "persona", ">=", 0.4, "plain"),
    ]
TARGETS += [
    ("rtt_median", "persona", "<", 1, "stunnel"),
    ("rtt_median", "persona", "<=", 0.5, "wireguard-go"),
    ("connections_10", "persona", ">=", 3, "wireguard-go"),
    ("connections_10", "persona", ">", 1, "stunnel"),
    ("connections_10", "persona", ">", 1, "nebula"),
    ("connections_10", "persona", ">", 1, "openvpn"),
    ("connections_10", "persona", ">", 1, "ssh"),
    ("connections_10", "persona", ">", 1, "plain"),
    ("udp_rtt_median", "persona", "<=", 0.5, "wireguard-go"),
    ("udp_goodput", "persona", ">=", 3, "wireguard-go"),
    ("udp_goodput", "persona", ">=", 3, "nebula"),
    ("udp_goodput", "persona", ">=", 3, "openvpn"),
    ("local_throughput_1", "portspace", ">", 1, "loopback"),
    ("local_throughput_4", "portspace", ">", 1, "loopback"),
    ("local_rtt_median", "portspace", "<", 1, "loopback"),
    ("idle_streams", "persona", ">=", 10000, None),
    ("idle_uss_a", "persona", "<=", 1024, None),
    ("idle_uss_b", "persona", "<=", 1024, None),
    ("portspaces", "persona", ">=", 1000, None),
    ("start_run_extra", "persona", "<=", 15, None),
    ("start_shim_extra", "persona", "<=", 2, None),
]

for _what in ("tcp", "udp"):
    TARGETS += [
        (f"table1_{_what}_latency", "portspace", "<=", 1.015, "bare"),
        (f"table1_{_what}_latency", "inheritance", "<=", 1.002, "below"),
        (f"table1_{_what}_throughput", "portspace", ">=", 0.999, "bare"),
        (f"table1_{_what}_throughput", "inheritance", ">=", 0.998, "below"),
    ]

COMPARE = {">=": lambda x, y: x >= y, "<=": lambda x, y: x <= y,
           ">": lambda x, y: x > y, "<": lambda x, y: x < y}


def machine():
    """What a reader needs to place the figures."""
    model = "?"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    flags = {"aes", "vaes", "avx2", "avx512f"}
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        have = sorted(flags & set(f.read().split()))
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "flags": have,
            "kernel": platform.release(), "libc": " ".join(platform.libc_ver()),
            "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
            "system": _os_release(), "versions": _versions()}


def _os_release():
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "?")
    except OSError:
        return "?"


def _versions():
    found = {}
    for name, argv in (("iperf3", ["iperf3", "--version"]), ("nginx", ["nginx", "-v"]),
                       ("ab", ["ab", "-V"]), ("openssl", ["openssl", "version"])):
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False,
                                  env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
            found[name] = (done.stdout or done.stderr).splitlines()[0].strip()
        except (OSError, IndexError):
            found[name] = "not found"
    return found


def summary(results):
    """{metric: {column: {median, min, max, count}}}"""
    return {metric: {column: {"median": statistics.median(v), "min": min(v), "max": max(v),
                              "count": len(v)} for column, v in columns.items() if v}
            for metric, columns in results.items()}


def figure7(summed):
    """{column: {concurrency: requests per second}}"""
    series = {}
    for metric, columns in summed.items():
        if metric.startswith("figure7_connections_"):
            for column, stats in columns.items():
                series.setdefault(column, {})[int(metric.rpartition("_")[2])] = stats["median"]
    return series


def ratios(summed, own):
    """{metric: {other column: own median / its median}}"""
    found = {}
    for metric, columns in summed.items():
        if own in columns:
            mine = columns[own]["median"]
            found[metric] = {name: mine / c["median"] for name, c in columns.items()
                             if name != own and c["median"]}
    return found


def targets(summed, asked):
    """[{target, wanted, found, verdict}]; verdict is reached, missed or not measured. `asked` has
    the numbers that were tried: one below the target's says nothing about the target."""
    rows = []
    for metric, own, comparison, factor, other in TARGETS:
        title, unit = METRICS[metric][0].strip(), METRICS[metric][1]
        mine = summed.get(metric, {}).get(own)
        base = summed.get(metric, {}).get(other) if other else None
        wanted = f"{comparison} {factor:g} " + (f"x {other}" if other else unit)
        section = " (local)" if METRICS[metric][4] is INSIDE else ""
        if METRICS[metric][4] is TABLE1:
            section = f", {own}"
        row = {"target": title + section, "wanted": wanted.strip(), "metric": metric}
        comparable = not other or (base and base["median"])
        if not mine or not comparable or asked.get(metric, factor) < factor:
            row.update(found=None, verdict="not measured")
        else:
            value = mine["median"] / base["median"] if other else mine["median"]
            row.update(found=value, digits=3 if METRICS[metric][4] is TABLE1 else 2, verdict="reached" if COMPARE[comparison](value, factor)
                       else "missed")
        rows.append(row)
    return rows


def table(rows):
    """Aligns a list of rows of text; the first column to the left, the others to the right."""
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  " + "  ".join(
        cell.ljust(w) if i == 0 else cell.rjust(w)
        for i, (cell, w) in enumerate(zip(row, widths))).rstrip() for row in rows)


def _cell(stats, digits):
    if not stats:
        return "-"
    text = f"{stats['median']:.{digits}f}"
    if stats["count"] > 1:
        text += f" ({stats['min']:.{digits}f}..{stats['max']:.{digits}f})"
    return text


def _section(summed, section, own, order):
    metrics = [m for m in METRICS if METRICS[m][4] is section and summed.get(m)]
    if not metrics:
        return ""
    columns = [c for c in order if any(c in summed[m] for m in metrics)]
    text = f"\n{section}: median (lowest..highest)\n"
    text += table([["", *columns, ""]] + [
        [METRICS[m][0], *(_cell(summed[m].get(c), METRICS[m][2]) for c in columns), METRICS[m][1]]
        for m in metrics]) + "\n"
    others = [c for c in columns if c != own]
    found = ratios(summed, own)
    compared = {m: found[m] for m in metrics if found.get(m)}
    if compared and others:
        text += f"\n{own} : each peer, ratio of the medians (better is "
        text += "above 1.00 where more is better [+], below where less is [-])\n"
        text += table([["", *others]] + [
            [f"[{'+' if METRICS[m][3] > 0 else '-'}] {METRICS[m][0]}",
             *(f"{r[c]:.2f}" if c in r else "-" for c in others)]
            for m, r in compared.items()]) + "\n"
    return text


def text(run):
    """The whole report. `run` is what run.py collected (and writes as JSON)."""
    m = run["machine"]
    out = [f"Machine: {m['cpu']}, {m['cores']} cores ({' '.join(m['flags'])}), "
           f"{m['memory_mib']} MiB, Linux {m['kernel']}, {m['system']}, {m['libc']}",
           "Programs: " + "; ".join(m["versions"].values()),
           f"Rounds: {run['rounds']}, in turn; {run['settings']['seconds']} s for each transfer "
           f"and each ab run, {run['settings']['round_trips']} round trips",
           "Other load before each round: " + ", ".join(
               f"{p:.0f} %" for p in run["busy_before"]) + " of all cores"
           + ("  <-- not a quiet machine" if any(p > 5 for p in run["busy_before"]) else "")]
    out += ["Peers:"] + [f"  {name}: {what}" for name, what in run["peers"].items()]
    summed = run["summary"]
    out.append(_section(summed, BETWEEN, "persona",
                        ("plain", "wireguard-go", "nebula", "openvpn", "stunnel", "ssh", "persona")))
    out.append(_section(summed, INSIDE, "portspace", ("loopback", "portspace")))
    out.append(_section(summed, TABLE1, "portspace",
                        ("bare", "portspace", "below", "inheritance")))
    out.append(_section(summed, FIGURE7, "persona",
                        ("plain", "wireguard-go", "persona", "inheritance")))
    out.append(_section(summed, ALONE, "persona", ("persona",)))
    out.append("Targets")
    out.append(table([["", "wanted", "found", ""]] + [
        [t["target"], t["wanted"], "-" if t["found"] is None else f"{t['found']:.{t['digits']}f}",
         t["verdict"]] for t in run["targets"]]))
    if run["notes"]:
        out += ["\nNotes"] + [f"  {n}" for n in run["notes"]]
    if run["failures"]:
        out.append("\nNot measured, and why")
        out += [f"  {f}" for f in run["failures"]]
    return "\n".join(part for part in out if part)
