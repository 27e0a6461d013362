#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Has tshark read RIP's packets of a network with 90 portspaces in virtual time.

usage: decode_rip.py TEST_RIP_SIM

tshark may have no complaint, and ports, hop limits, sources and sizes must be what RFC 2453 and
RFC 2080 ask for. The same packets with a damaged byte each must be noticed."""
import collections
import os
import shutil
import subprocess
import sys
import tempfile

from decode_ip import damage

COMPLAINTS = "_ws.malformed || _ws.expert"
CHECKED = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]


def fields(pcap, expression, *names):
    """One tuple of texts for each packet that the expression selects."""
    command = ["tshark", "-n", "-r", pcap, "-Y", expression, *CHECKED, "-T", "fields",
               "-E", "separator=;"]
    for name in names:
        command += ["-e", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode:
        sys.exit("tshark: " + done.stderr)
    return [tuple(line.split(";")) for line in done.stdout.splitlines()]


def equal(got, wanted, what):
    if got != wanted:
        sys.exit(f"{what}: got {got}, wanted {wanted}")


def main():
    if not shutil.which("tshark"):
        print("skipped: tshark is not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        pcap = os.path.join(folder, "rip.pcap")
        subprocess.run([sys.argv[1], "--pcap", pcap], check=True, stdout=subprocess.DEVNULL)
        kinds = collections.Counter(fields(pcap, "frame", "_ws.col.Protocol"))
        print(kinds)
        equal(sorted(kinds), [("RIPng",), ("RIPv2",)], "kinds of packets")
        if min(kinds.values()) < 1000:
            sys.exit("too little was seen")
        equal(fields(pcap, COMPLAINTS, "frame.number", "_ws.expert.message")[:5], [],
              "packets that tshark complains of")
        equal(set(fields(pcap, "rip && ip.dst == 224.0.0.9",
                         "rip.version", "udp.srcport", "udp.dstport", "ip.ttl")),
              {("2", "520", "520", "1")}, "RIPv2 to its group")
        equal(set(fields(pcap, "ripng",
                         "ripng.version", "udp.srcport", "udp.dstport", "ipv6.hlim")),
              {("1", "521", "521", "255")}, "RIPng")
        equal(fields(pcap, "ripng && !(ipv6.src == fe80::/10)", "frame.number"), [],
              "RIPng from other than link-local addresses")
        equal(max(len(m.split(",")) for (m,) in fields(pcap, "rip", "rip.metric")), 25,
              "entries of the largest RIPv2 packet")
        metrics = {int(m) for (line,) in fields(pcap, "ripng", "ripng.rte.metric")
                   for m in line.split(",")}
        if not {1, 2, 16} <= metrics <= set(range(1, 17)):
            sys.exit(f"metrics of RIPng: {metrics}")
        packets = damage(pcap, pcap + ".damaged")
        noticed = fields(pcap + ".damaged", COMPLAINTS, "frame.number")
        print(f"{len(noticed)} of {packets} damaged packets noticed")
        if len(noticed) < packets // 3:
            sys.exit("tshark notices nothing")
    return 0


sys.exit(main())
