# SPDX-License-Identifier: MIT
"""The measurements that every peer goes through.

Each function makes one measurement over one peer and returns {metric: value}; metrics and their
units are listed in report.METRICS. They raise lab.Failed when the client program fails, prints
something else than a result, or reports errors of its own: no figure comes from a broken run.
"""

import json
import re
import time

import peers
from lab import Failed, cpu, last_line, machine_cpu, memory, need


def throughput(lab, peer, streams, seconds):
    """iperf3 from a to b. Also CPU seconds per gigabyte (10^9 bytes) for one stream."""
    address, port = peer.target(peers.IPERF)
    argv = [need("iperf3"), "-c", address, "-p", str(port), "-t", str(seconds),
            "-P", str(streams), "-J"]
    side, full, env = peer.client(argv)
    roots = peer.tunnel() + peer.servers()
    for _ in range(20):
        before, machine = cpu(roots), machine_cpu()
        done = lab.run(side, full, env=env, timeout=seconds + 30)
        after, machine_after = cpu(roots), machine_cpu()
        result = iperf_json(done)
        if "busy" not in result.get("error", ""):
            break
        time.sleep(0.1)  # the server still ends the test before
    if "error" in result or done.status:
        raise Failed("iperf3: " + result.get("error", f"exit {done.status}"))
    received = result["end"]["sum_received"]
    if not received["bytes"]:
        raise Failed("iperf3: nothing arrived")
    gigabytes = received["bytes"] / 1e9
    user = after[0] - before[0] + done.user
    system = after[1] - before[1] + done.system
    busy = sum(machine_after[:2]) - sum(machine[:2])
    values = {f"throughput_{streams}": received["bits_per_second"] / 1e9}
    if streams == 1:
        values.update(cpu_processes=(user + system) / gigabytes,
                      cpu_processes_kernel=system / gigabytes, cpu_machine=busy / gigabytes)
    return values


def iperf_json(done):
    """iperf3 prints JSON, and warnings of the program around it before or after."""
    start, end = done.out.find("{"), done.out.rfind("}")
    try:
        return json.loads(done.out[start:end + 1])
    except ValueError:
        raise Failed(f"iperf3: exit {done.status}: {last_line(done.err or done.out)}") from None


def round_trip(lab, peer, tools, count):
    """One byte there and back, `count` times over one connection."""
    address, port = peer.target(peers.RTT)
    side, full, env = peer.client([tools["rtt"], "ping", address, str(port), str(count)])
    values = rtt_values(lab.run(side, full, env=env))
    return {"rtt_median": values["median_ns"] / 1e3, "rtt_p99": values["p99_ns"] / 1e3}


def rtt_values(done):
    if done.status:
        raise Failed(f"rtt: exit {done.status}: {last_line(done.err or done.out)}")
    return json.loads(done.out[done.out.find("{"):])


def udp_round_trip(lab, peer, tools, count):
    """One byte there and back in datagrams, `count` times."""
    address, port = peer.target(peers.RTT)
    side, full, env = peer.client([tools["rtt"], "ping-udp", address, str(port), str(count)])
    values = rtt_values(lab.run(side, full, env=env))
    return {"udp_rtt_median": values["median_ns"] / 1e3, "udp_rtt_p99": values["p99_ns"] / 1e3}


UDP_PAYLOAD = 1200


def udp_goodput(lab, peer, seconds):
    """iperf3 -u from a to b as fast as the client can send: what the receiver got."""
    address, port = peer.target(peers.IPERF)
    argv = [need("iperf3"), "-c", address, "-p", str(port), "-t", str(seconds), "-u", "-b", "0",
            "-l", str(UDP_PAYLOAD), "-J", "--get-server-output"]
    side, full, env = peer.client(argv)
    roots = peer.tunnel()
    for _ in range(20):
        before = cpu(roots)
        done = lab.run(side, full, env=env, timeout=seconds + 30)
        after = cpu(roots)
        result = iperf_json(done)
        if "busy" not in result.get("error", ""):
            break
        time.sleep(0.1)  # the server still ends the test before
    if "error" in result or done.status:
        raise Failed("iperf3: " + result.get("error", f"exit {done.status}"))
    total = result["end"]["sum"]
    received = total["packets"] - total["lost_packets"]
    if received <= 0:
        raise Failed("iperf3: no datagram arrived")
    rate = received / total["seconds"]
    values = {"udp_goodput": rate * UDP_PAYLOAD * 8 / 1e6, "udp_rate": rate / 1e3,
              "udp_lost": total["lost_percent"]}
    if roots:
        values["udp_cpu"] = (sum(after) - sum(before)) / received * 1e6
    return values


def connections(lab, peer, concurrency, seconds):
    """ab against nginx, an empty file, a new connection for each request."""
    address, port = peer.target(peers.HTTP)
    side, full, env = peer.client([
        need("ab"), "-q", "-d", "-S", "-c", str(concurrency), "-t", str(seconds), "-n", "1000000",
        f"http://{address}:{port}/empty"])
    done = lab.run(side, full, env=env, timeout=seconds + 60)
    found = {key: re.search(pattern + r":\s+([\d.]+)", done.out) for key, pattern in (
        ("rate", "Requests per second"), ("complete", "Complete requests"),
        ("failed", "Failed requests"), ("bad", "Non-2xx responses"))}
    if done.status or not found["rate"]:
        raise Failed(f"ab: exit {done.status}: {last_line(done.err or done.out)}")
    for what in ("failed", "bad"):
        if found[what] and float(found[what].group(1)):
            raise Failed(f"ab: {found[what].group(1)} of {found['complete'].group(1)} requests "
                         f"{'failed' if what == 'failed' else 'got another answer than 200'}")
    return {f"connections_{concurrency}": float(found["rate"].group(1))}


def tunnel_memory(peer):
    """Memory of the tunnel's processes on both hosts, now and at its peak."""
    if not peer.tunnel():
        return {}
    now = memory(peer.tunnel())
    return {"memory_uss": now["uss"] / 2**20, "memory_rss": now["rss"] / 2**20,
            "memory_peak": now["peak"] / 2**20}
