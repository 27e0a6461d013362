#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A model of the WireGuard handshake, of its cookies and of its transport messages, from the
whitepaper and the RFCs, on nothing but hashlib and hmac. Prints wireguard.json, so

    python3 tests/vectors/wireguard.py | cmp - tests/vectors/wireguard.json

The primitives are checked against the published vectors of RFC 7748, RFC 8439 and
draft-irtf-cfrg-xchacha-03 before they are used."""

import hashlib
import hmac
import json
import struct

P = 2**255 - 19


def x25519(scalar, point):
    """RFC 7748 section 5, the ladder."""
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k = int.from_bytes(k, "little")
    u = int.from_bytes(point, "little") & (2**255 - 1)
    x2, z2, x3, z3, swapped = 1, 0, u, 1, 0
    for bit in range(254, -1, -1):
        now = k >> bit & 1
        if now != swapped:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swapped = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb)**2 % P, u * (da - cb)**2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swapped:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def public(private):
    return x25519(private, b"\x09" + bytes(31))


def rounds(state):
    """Ten double rounds of ChaCha20, RFC 8439 section 2.3."""
    s = list(state)

    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = s[x] + s[y] & 0xffffffff
            t = s[z] ^ s[x]
            s[z] = (t << n | t >> 32 - n) & 0xffffffff

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return s


def start(key, rest):
    return struct.unpack("<16I", b"expand 32-byte k" + key + rest)


def stream(key, nonce, block):
    state = start(key, struct.pack("<I", block) + nonce)
    return struct.pack("<16I", *(a + b & 0xffffffff for a, b in zip(rounds(state), state)))


def hchacha20(key, nonce):
    out = rounds(start(key, nonce))
    return struct.pack("<8I", *out[:4], *out[12:])


def poly1305(key, text):
    r = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
    total = 0
    for i in range(0, len(text), 16):
        total = (total + int.from_bytes(text[i:i + 16] + b"\1", "little")) * r % (2**130 - 5)
    return (total + int.from_bytes(key[16:], "little") & 2**128 - 1).to_bytes(16, "little")


def seal(key, nonce, plain, ad):
    """AEAD_CHACHA20_POLY1305, RFC 8439 section 2.8."""
    pad = b"".join(stream(key, nonce, 1 + i) for i in range((len(plain) + 63) // 64))
    text = bytes(a ^ b for a, b in zip(plain, pad))
    full = ad + bytes(-len(ad) % 16) + text + bytes(-len(text) % 16)
    full += struct.pack("<QQ", len(ad), len(text))
    return text + poly1305(stream(key, nonce, 0)[:32], full)


def xseal(key, nonce, plain, ad):
    return seal(hchacha20(key, nonce[:16]), bytes(4) + nonce[16:], plain, ad)


def aead(key, counter, plain, ad):
    return seal(key, bytes(4) + struct.pack("<Q", counter), plain, ad)


def blake(data):
    return hashlib.blake2s(data).digest()


def mac(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def kdf(n, key, data):
    secret = hmac.new(key, data, hashlib.blake2s).digest()
    out, last = [], b""
    for i in range(n):
        last = hmac.new(secret, last + bytes([i + 1]), hashlib.blake2s).digest()
        out.append(last)
    return out


def check():
    a = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    b = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    assert x25519(a, public(b)).hex() == \
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert hchacha20(bytes(range(32)), bytes.fromhex("000000090000004a0000000031415927")).hex() == \
        "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
    text = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
            b"future, sunscreen would be it.")
    ad = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    assert seal(bytes(range(0x80, 0xa0)), bytes.fromhex("070000004041424344454647"), text,
                ad)[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    assert xseal(bytes(range(0x80, 0xa0)), bytes(range(0x40, 0x58)), text, ad)[-16:].hex() == \
        "c0875924c1c7987947deafd8780acf49"


class Handshake:
    """Section 5.4: one side's view is the other's, so one object makes both messages."""

    def __init__(self, v):
        self.v = v
        self.si, self.sr = v["init_static"], v["resp_static"]
        self.c = blake(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
        self.h = blake(blake(self.c + b"WireGuard v1 zx2c4 Jason@zx2c4.com") + public(self.sr))

    def mix(self, data):
        self.h = blake(self.h + data)

    def initiation(self, stamp):
        e = self.v["init_ephemeral"]
        out = struct.pack("<II", 1, self.v["init_index"]) + public(e)
        self.mix(public(e))
        self.c, = kdf(1, self.c, public(e))
        self.c, k = kdf(2, self.c, x25519(e, public(self.sr)))
        static = aead(k, 0, public(self.si), self.h)
        self.mix(static)
        self.c, k = kdf(2, self.c, x25519(self.si, public(self.sr)))
        when = aead(k, 0, stamp, self.h)
        self.mix(when)
        return out + static + when

    def response(self):
        e = self.v["resp_ephemeral"]
        out = struct.pack("<III", 2, self.v["resp_index"], self.v["init_index"]) + public(e)
        self.mix(public(e))
        self.c, = kdf(1, self.c, public(e))
        self.c, = kdf(1, self.c, x25519(e, public(self.v["init_ephemeral"])))
        self.c, = kdf(1, self.c, x25519(e, public(self.si)))
        self.c, t, k = kdf(3, self.c, self.v["psk"])
        self.mix(t)
        empty = aead(k, 0, b"", self.h)
        self.mix(empty)
        return out + empty

    def keys(self):
        return kdf(2, self.c, b"")


def macs(message, receiver_public, cookie):
    message += mac(blake(b"mac1----" + receiver_public), message)
    return message + (mac(cookie, message) if cookie else bytes(16))


def data(index, key, counter, packet):
    padded = packet + bytes(-len(packet) % 16)
    return struct.pack("<IIQ", 4, index, counter) + aead(key, counter, padded, b"")


def packet(length, number):
    """What wg_world.h makes."""
    out = bytearray((number + i) & 255 for i in range(length))
    out[0], out[2:4], out[20:24] = 0x45, struct.pack(">H", length), struct.pack("<I", number)
    return bytes(out)


def tai64n(wall_ns):
    """In steps of 2^24 ns, as our side makes them."""
    seconds, nanoseconds = divmod(wall_ns >> 24 << 24, 10**9)
    return struct.pack(">QI", 2**62 + 10 + seconds, nanoseconds)


def vector(psk, label):
    v = {name: blake(b"%s %s" % (label, name.encode())) for name in
         ("init_static", "init_ephemeral", "resp_static", "resp_ephemeral", "init_ephemeral2")}
    v.update(psk=psk, init_index=0xcafe0001, init_index2=0xcafe0002, resp_index=0x80000007)
    v.update(cookie_secret=blake(label + b" secret"), cookie_nonce=blake(label + b" nonce")[:24])
    out = {k: x.hex() if isinstance(x, bytes) else x for k, x in v.items()}

    # The first initiation is answered with a cookie; the second, 7 s later, with a response.
    seconds = 1700000000
    stamp, stamp2 = tai64n(seconds * 10**9), tai64n((seconds + 7) * 10**9)
    first = macs(Handshake(v).initiation(stamp), public(v["resp_static"]), None)
    source = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1]) + struct.pack(">H", 51820)
    cookie = mac(v["cookie_secret"], source)
    reply = struct.pack("<II", 3, v["init_index"]) + v["cookie_nonce"] + xseal(
        blake(b"cookie--" + public(v["resp_static"])), v["cookie_nonce"], cookie, first[-32:-16])
    again = dict(v, init_index=v["init_index2"], init_ephemeral=v["init_ephemeral2"])
    hs = Handshake(again)
    second = macs(hs.initiation(stamp2), public(v["resp_static"]), cookie)
    response = macs(hs.response(), public(v["init_static"]), None)
    to_resp, to_init = hs.keys()
    out.update(start_s=seconds, timestamp=stamp.hex(), timestamp2=stamp2.hex(),
               initiation=first.hex(), cookie=cookie.hex(), cookie_reply=reply.hex(),
               initiation2=second.hex(), response=response.hex(),
               init_to_resp=to_resp.hex(), resp_to_init=to_init.hex(),
               data=[data(v["resp_index"], to_resp, 0, packet(100, 1)).hex(),
                     data(v["resp_index"], to_resp, 1, packet(64, 2)).hex(),
                     data(v["init_index2"], to_init, 0, packet(41, 3)).hex()],
               keepalive=data(v["resp_index"], to_resp, 2, b"").hex())
    return out


def main():
    check()
    print(json.dumps({
        "origin": "Printed by wireguard.py in this directory.",
        "vectors": [vector(bytes(32), b"none"), vector(blake(b"a pre-shared key"), b"psk")]
    }, indent=1))


main()
