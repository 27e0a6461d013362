#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""RIP's packets as another program sees them: the laboratory of the unit tests writes the packets
of a network with 90 portspaces, tshark reads them."""

import collections
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from persona_test import Skip, check, equal, main, need, test  # noqa: E402


def capture(w):
    program = pathlib.Path(os.environ.get("PERSONA_BUILD", "build")) / "tests/unit/test_rip_sim"
    if not program.exists():
        raise Skip("the unit tests are not built")
    path = w.dir / "rip.pcap"
    subprocess.run([program, "--pcap", path], check=True, stdout=subprocess.DEVNULL)
    return path


def fields(tshark, path, options, *names):
    """One tuple of texts for each packet."""
    command = [tshark, "-r", path, *options, "-T", "fields", "-E", "separator=;"]
    for name in names:
        command += ["-e", name]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [tuple(line.split(";")) for line in out.splitlines()]


@test
def test_tshark_has_no_complaint(w):
    tshark = need("tshark")
    path = capture(w)
    checked = ["-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    kinds = collections.Counter(fields(tshark, path, checked, "_ws.col.Protocol"))
    check(kinds[("RIPv2",)] > 1000, f"RIPv2 packets: {kinds}")
    check(kinds[("RIPng",)] > 1000, f"RIPng packets: {kinds}")
    equal(len(kinds), 2, f"kinds of packets: {kinds}")
    bad = fields(tshark, path, checked + ["-Y", "_ws.expert || _ws.malformed"],
                 "frame.number", "_ws.expert.message")
    equal(bad[:5], [], "packets that tshark complains of")


@test
def test_what_the_rfcs_ask(w):
    tshark = need("tshark")
    path = capture(w)
    v2 = set(fields(tshark, path, ["-Y", "rip && ip.dst == 224.0.0.9"],
                    "rip.version", "udp.srcport", "udp.dstport", "ip.ttl"))
    equal(v2, {("2", "520", "520", "1")}, "RIPv2 to the group")
    ng = set(fields(tshark, path, ["-Y", "ripng"],
                    "ripng.version", "udp.srcport", "udp.dstport", "ipv6.hlim"))
    equal(ng, {("1", "521", "521", "255")}, "RIPng")
    strangers = fields(tshark, path, ["-Y", "ripng && !(ipv6.src == fe80::/10)"], "frame.number")
    equal(strangers, [], "RIPng from other than link-local addresses")
    entries = [len(m.split(",")) for (m,) in fields(tshark, path, ["-Y", "rip"], "rip.metric")]
    equal(max(entries), 25, "entries of the largest RIPv2 packet")
    metrics = {int(m) for (line,) in fields(tshark, path, ["-Y", "ripng"], "ripng.rte.metric")
               for m in line.split(",")}
    check(metrics <= set(range(1, 17)) and {1, 16} <= metrics, f"metrics of RIPng: {metrics}")


main()
