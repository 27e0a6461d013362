#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Has tshark read every packet that the IP stack's unit tests send.

usage: decode_ip.py TEST ...   (test programs on iplab.h)

No packet may be malformed or have a wrong checksum, and fragments must come together. The same
packets with a damaged byte each must be noticed: else this test would see nothing."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile

FILTER = ('_ws.malformed || _ws.expert.severity >= "Error" || ip.checksum.status == 0 || '
          'udp.checksum.status == 0 || tcp.checksum.status == 0 || icmp.checksum.status == 0 || '
          'icmpv6.checksum.status == 0 || ip.fragment.error || ipv6.fragment.error || '
          'ip.fragment.overlap || ipv6.fragment.overlap')
OPTIONS = ['ip.check_checksum:TRUE', 'udp.check_checksum:TRUE', 'tcp.check_checksum:TRUE']


def tshark(pcap, expression):
    command = ['tshark', '-n', '-r', pcap, '-Y', expression]
    for option in OPTIONS:
        command += ['-o', option]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode:
        sys.exit('tshark: ' + done.stderr)
    return done.stdout.splitlines()


def damage(source, target):
    """Copies a capture with the last byte of each packet changed."""
    with open(source, 'rb') as f:
        data = bytearray(f.read())
    at, packets = 24, 0
    while at < len(data):
        length, = struct.unpack_from('=I', data, at + 8)
        at += 16 + length
        data[at - 1] ^= 0x5a
        packets += 1
    with open(target, 'wb') as f:
        f.write(data)
    return packets


def main():
    if not shutil.which('tshark'):
        print('skipped: tshark is not installed')
        return 77
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for test in sys.argv[1:]:
            pcap = os.path.join(folder, os.path.basename(test) + '.pcap')
            subprocess.run([test], env=dict(os.environ, IPLAB_PCAP=pcap), check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            packets = damage(pcap, pcap + '.damaged')
            bad = tshark(pcap, FILTER)
            noticed = tshark(pcap + '.damaged', FILTER)
            whole = tshark(pcap, 'ip.fragments || ipv6.fragments')
            total += len(whole)
            print(f'{os.path.basename(test)}: {packets} packets, {len(whole)} datagrams '
                  f'reassembled, {len(noticed)} of the damaged noticed')
            if bad:
                print('\n'.join(bad[:20]))
                return 1
            if packets < 50 or len(noticed) < packets // 3:
                print('too little was seen')
                return 1
    if total < 10:
        print('no fragments came together')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
