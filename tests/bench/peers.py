# SPDX-License-Identifier: MIT
"""The peers: ways from a client on host a to a server on host b.

Each peer is brought up once for the whole run and stays up; the measurements then take turns. All
have the same interface, so a measurement does not know what it runs over:

    up()             starts what the peer needs; raises lab.Failed with the reason
    client(argv)     (side, argv, environment) that runs the unmodified client program
    target(port)     (address, port) the client must name to reach the server's port
    tunnel()         pids of the processes that carry the traffic ([]: the kernel alone)
    servers()        pids of the server programs
    describe()       one line: version and configuration

Servers: one iperf3, one nginx and one `rtt serve` on host b, used by every peer but Persona, whose
servers run inside the portspace (the same programs with the same arguments).
"""

import json
import os
import re

from lab import ADDRESS, WIREGUARD, Failed, call, last_line, need, processes, tree

IPERF, RTT, HTTP = 5201, 7001, 8080
PORTS = (IPERF, RTT, HTTP)

NGINX = """daemon off; worker_processes 2; pid {dir}/{name}.pid; error_log {dir}/{name}.err;
{user}
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {dir}/{name}.t1; proxy_temp_path {dir}/{name}.t2;
  fastcgi_temp_path {dir}/{name}.t3; uwsgi_temp_path {dir}/{name}.t4;
  scgi_temp_path {dir}/{name}.t5;
  server {{ listen {port} backlog=4096; root {dir}/www; }}
}}
"""


class Servers:
    """iperf3, rtt and nginx on one host; `wrap` makes argv run inside something."""

    def __init__(self, lab, tools, name, side="b", wrap=None, env=None):
        self.lab, self.tools, self.name, self.side, self.env = lab, tools, name, side, env
        self.wrap = wrap or (lambda argv: argv)
        self.procs = []

    def up(self):
        lab, name = self.lab, self.name
        os.makedirs(lab.path("www"), exist_ok=True)
        os.chmod(lab.dir, 0o755)
        with open(lab.path("www", "empty"), "w", encoding="ascii"):
            pass
        user = "user root;" if os.geteuid() == 0 else ""
        with open(lab.path(name + "-nginx.conf"), "w", encoding="ascii") as f:
            f.write(NGINX.format(dir=lab.dir, name=name, port=HTTP, user=user))
        for what, argv in (
                ("iperf3", [need("iperf3"), "-s", "-p", str(IPERF), "--forceflush"]),
                ("rtt", [self.tools["rtt"], "serve", "0.0.0.0", str(RTT)]),
                ("rtt-udp", [self.tools["rtt"], "serve-udp", "0.0.0.0", str(RTT)]),
                ("nginx", [need("nginx"), "-e", lab.path(name + ".err"),
                           "-c", lab.path(name + "-nginx.conf")])):
            self.procs.append(lab.start(self.side, f"{name}-{what}", self.wrap(argv),
                                        env=self.env))
        lab.until(f"{name}: iperf3 server", proc=self.procs[0],
                  check=lambda: "listening" in lab.log(f"{name}-iperf3"))

    def pids(self):
        return [p.pid for p in self.procs]


class Peer:
    name = "?"
    datagrams = True  # carries UDP

    def __init__(self, lab, tools, servers):
        self.lab, self.tools, self._servers = lab, tools, servers
        self.procs = []

    def up(self):
        pass

    def client(self, argv):
        return ("a", argv, None)

    def target(self, port):
        return (ADDRESS["b"], port)

    def tunnel(self):
        return [p.pid for p in self.procs]

    def servers(self):
        return self._servers.pids()

    def describe(self):
        return ""

    def check(self):
        """Waits until one byte makes its way there and back, and nginx answers."""
        def works():
            for port, argv in ((RTT, [self.tools["rtt"], "ping"]), (HTTP, None)):
                address, mapped = self.target(port)
                argv = argv + [address, str(mapped), "1"] if argv else [
                    need("ab"), "-q", "-n", "1", f"http://{address}:{mapped}/empty"]
                side, full, env = self.client(argv)
                done = self.lab.run(side, full, env=env, timeout=10)
                if done.status:
                    raise Failed(f"{os.path.basename(argv[0])}: {last_line(done.err or done.out)}")
            return True
        self.lab.until(self.name, works, timeout=20)


class Plain(Peer):
    """No tunnel: kernel TCP over the veth pair, nothing encrypted."""
    name = "plain"

    def describe(self):
        return "kernel TCP over the same veth, no encryption"


class Wireguard(Peer):
    """wireguard-go on both hosts, a TUN device each, MTU 1420."""
    name = "wireguard-go"

    def up(self):
        lab = self.lab
        if not os.path.exists("/dev/net/tun"):
            raise Failed("/dev/net/tun is missing")
        # Both daemons share /run/wireguard, so the devices need different names.
        dev = {side: f"{WIREGUARD}{os.getpid()}{side}" for side in "ab"}
        pub = {}
        for side in "ab":
            private = call("wg", "genkey")
            fd = os.open(lab.path(f"wg-{side}.key"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w", encoding="ascii") as f:
                f.write(private)
            proc = lab.start(side, f"wireguard-{side}", [need("wireguard-go"), "-f", dev[side]],
                             env={"LOG_LEVEL": "error"})
            self.procs.append(proc)
            socket = f"/var/run/wireguard/{dev[side]}.sock"
            lab.until("wireguard-go", lambda path=socket: os.path.exists(path), proc=proc)
            lab.call(side, "wg", "set", dev[side], "private-key", lab.path(f"wg-{side}.key"),
                     "listen-port", "51900")
            pub[side] = lab.call(side, "wg", "show", dev[side], "public-key").strip()
        for side, other, mine, its in (("a", "b", 1, 2), ("b", "a", 2, 1)):
            lab.call(side, "wg", "set", dev[side], "peer", pub[other], "allowed-ips",
                     f"198.18.0.{its}/32", "endpoint", f"{ADDRESS[other]}:51900")
            lab.call(side, "ip", "address", "add", f"198.18.0.{mine}/24", "dev", dev[side])
            lab.call(side, "ip", "link", "set", dev[side], "mtu", "1420", "up")

    def target(self, port):
        return ("198.18.0.2", port)

    def describe(self):
        text = call("wireguard-go", "--version").split()
        return f"wireguard-go {text[1]}, MTU 1420, ChaCha20-Poly1305, no pre-shared key"


NEBULA = """pki: {{ca: {dir}/nebula-ca.crt, cert: {dir}/nebula-{side}.crt, key: {dir}/nebula-{side}.key}}
static_host_map: {{"198.18.1.{its}": ["{address}:4242"]}}
lighthouse: {{am_lighthouse: false}}
listen: {{host: 0.0.0.0, port: 4242}}
tun: {{dev: {dev}, mtu: 1300}}
logging: {{level: error}}
firewall:
  outbound: [{{port: any, proto: any, host: any}}]
  inbound: [{{port: any, proto: any, host: any}}]
"""


class Nebula(Peer):
    """nebula on both hosts, each other's static host; cipher and MTU as by default."""
    name = "nebula"

    def up(self):
        lab = self.lab
        call("nebula-cert", "ca", "-name", "bench", "-duration", "48h",
             "-out-crt", lab.path("nebula-ca.crt"), "-out-key", lab.path("nebula-ca.key"))
        for side, other, mine, its in (("a", "b", 1, 2), ("b", "a", 2, 1)):
            call("nebula-cert", "sign", "-name", side, "-ip", f"198.18.1.{mine}/24",
                 "-ca-crt", lab.path("nebula-ca.crt"), "-ca-key", lab.path("nebula-ca.key"),
                 "-out-crt", lab.path(f"nebula-{side}.crt"),
                 "-out-key", lab.path(f"nebula-{side}.key"))
            with open(lab.path(f"nebula-{side}.yml"), "w", encoding="ascii") as f:
                f.write(NEBULA.format(dir=lab.dir, side=side, its=its, address=ADDRESS[other],
                                      dev=f"neb{side}"))
            self.procs.append(lab.start(side, f"nebula-{side}", [
                need("nebula"), "-config", lab.path(f"nebula-{side}.yml")]))

    def target(self, port):
        return ("198.18.1.2", port)

    def describe(self):
        text = call("nebula", "-version").split()
        return f"nebula {text[-1]}, MTU 1300, AES-256-GCM (its default)"


class Openvpn(Peer):
    """OpenVPN on both hosts: UDP, TLS with the other's certificate known, AES-256-GCM."""
    name = "openvpn"

    def up(self):
        lab = self.lab
        prints = {}
        for side in "ab":
            call("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={side}",
                 "-keyout", lab.path(f"ovpn-{side}.key"), "-out", lab.path(f"ovpn-{side}.pem"))
            text = call("openssl", "x509", "-in", lab.path(f"ovpn-{side}.pem"), "-noout",
                        "-fingerprint", "-sha256")
            prints[side] = text.strip().partition("=")[2]
        for side, other, role in (("b", "a", "--tls-server"), ("a", "b", "--tls-client")):
            mine, its = (2, 1) if side == "b" else (1, 2)
            self.procs.append(lab.start(side, f"openvpn-{side}", [
                need("openvpn"), role, "--dev", f"ovpn{side}", "--dev-type", "tun",
                "--proto", "udp", "--remote", ADDRESS[other], "--local", ADDRESS[side],
                "--ifconfig", f"198.18.2.{mine}", f"198.18.2.{its}", "--topology", "p2p",
                "--dh", "none", "--cert", lab.path(f"ovpn-{side}.pem"),
                "--key", lab.path(f"ovpn-{side}.key"), "--peer-fingerprint", prints[other],
                "--data-ciphers", "AES-256-GCM", "--cipher", "AES-256-GCM", "--verb", "1"]))

    def target(self, port):
        return ("198.18.2.2", port)

    def describe(self):
        text = self.lab.run(None, [need("openvpn"), "--version"]).out.split()
        return f"OpenVPN {text[1]}, UDP, AES-256-GCM, P-256 certificates, MTU 1500"


STUNNEL = """foreground = yes
debug = warning
pid =
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
sslVersion = TLSv1.3
ciphersuites = TLS_AES_256_GCM_SHA384
"""


class Stunnel(Peer):
    """stunnel on both hosts: TLS 1.3, AES-256-GCM, the server's certificate verified."""
    name = "stunnel"
    datagrams = False

    def up(self):
        lab = self.lab
        call("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=persona-bench",
             "-keyout", lab.path("tls.key"), "-out", lab.path("tls.pem"))
        server = client = STUNNEL
        server += f"cert = {lab.path('tls.pem')}\nkey = {lab.path('tls.key')}\n"
        client += f"client = yes\nverifyPeer = yes\nCAfile = {lab.path('tls.pem')}\n"
        for port in PORTS:
            server += f"[s{port}]\naccept = {ADDRESS['b']}:{self._far(port)}\n" \
                      f"connect = 127.0.0.1:{port}\n"
            client += f"[c{port}]\naccept = 127.0.0.1:{self._near(port)}\n" \
                      f"connect = {ADDRESS['b']}:{self._far(port)}\n"
        for side, text in (("b", server), ("a", client)):
            with open(lab.path(f"stunnel-{side}.conf"), "w", encoding="ascii") as f:
                f.write(text)
            self.procs.append(lab.start(side, f"stunnel-{side}",
                                        [need("stunnel4"), lab.path(f"stunnel-{side}.conf")]))

    @staticmethod
    def _far(port):
        return port + 2000

    @staticmethod
    def _near(port):
        return port + 3000

    def target(self, port):
        return ("127.0.0.1", self._near(port))

    def describe(self):
        text = self.lab.run(None, [need("stunnel4"), "-version"])
        version = re.search(r"stunnel ([\d.]+)", text.out + text.err)
        return f"stunnel {version.group(1) if version else '?'}, TLS 1.3, " \
               "TLS_AES_256_GCM_SHA384, P-256 certificate of the server verified, resumption on"


class Ssh(Peer):
    """ssh -L through an sshd of our own with throwaway keys; ciphers as they are by default."""
    name = "ssh"
    datagrams = False

    SSHD = """Port 4022
ListenAddress {address}
HostKey {dir}/ssh-host
AuthorizedKeysFile {dir}/ssh-user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
LogLevel ERROR
"""

    def up(self):
        lab = self.lab
        for key in ("ssh-host", "ssh-user"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", lab.path(key))
        with open(lab.path("sshd.conf"), "w", encoding="ascii") as f:
            f.write(self.SSHD.format(address=ADDRESS["b"], dir=lab.dir))
        with open(lab.path("ssh-host.pub"), encoding="ascii") as f:
            public = " ".join(f.read().split()[:2])
        with open(lab.path("ssh-known"), "w", encoding="ascii") as f:
            f.write(f"[{ADDRESS['b']}]:4022 {public}\n")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # sshd refuses to start without
        self.procs.append(lab.start("b", "sshd",
                                    [need("sshd"), "-D", "-e", "-f", lab.path("sshd.conf")]))
        lab.until("sshd", lambda: ":4022 " in lab.call("b", "ss", "-Hltn"), proc=self.procs[0])
        forwards = []
        for port in PORTS:
            forwards += ["-L", f"127.0.0.1:{port + 4000}:127.0.0.1:{port}"]
        self.procs.append(lab.start("a", "ssh", [
            need("ssh"), "-F", "none", "-N", "-p", "4022", "-i", lab.path("ssh-user"),
            "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes",
            "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={lab.path('ssh-known')}",
            *forwards, ADDRESS["b"]]))

    def target(self, port):
        return ("127.0.0.1", port + 4000)

    def describe(self):
        version = self.lab.run(None, [need("ssh"), "-V"])
        conf = self.lab.run(None, [need("ssh"), "-F", "none", "-G", "host"]).out
        cipher = re.search(r"^ciphers ([^,\s]+)", conf, re.M)
        return f"{(version.err or version.out).split(',')[0]}, default cipher " \
               f"{cipher.group(1) if cipher else '?'}, one connection with -L for each port"


class Persona(Peer):
    """A portspace on each host, one link between them, the default seal."""
    name = "persona"
    overlay = {"a": "10.77.0.1", "b": "10.77.0.2"}

    def __init__(self, lab, tools, build, tag="", port=51821):
        super().__init__(lab, tools, None)
        self.build, self.tag, self.port = build, tag, port
        self.broker = {}

    def env(self, side):
        # One letter each: socket paths are short (RUNDIR_RUNTIME_MAX).
        env = {f"PERSONA_{kind}_DIR": self.lab.path(self.tag + side, kind[0])
               for kind in ("RUNTIME", "STATE", "CONFIG")}
        env["PATH"] = self.build.path_env()
        return env

    def wrap(self, argv, name="work"):
        return [self.build.run, name, "--", *argv]

    def persona(self, side, *argv):
        return self.lab.call(side, self.build.persona, *argv, env=self.env(side))

    def start_broker(self, side):
        """The broker of that host, with directories of its own."""
        os.makedirs(self.lab.path(self.tag + side), mode=0o700)
        proc = self.lab.start(side, f"broker-{self.tag}{side}", [
            self.build.broker, "--listen", f"{ADDRESS[side]}:{self.port}"], env=self.env(side))
        control = self.control(side)
        self.lab.until("broker", lambda: os.path.exists(control), proc=proc)
        self.broker[side] = proc
        self.procs.append(proc)

    def control(self, side):
        return os.path.join(self.env(side)["PERSONA_RUNTIME_DIR"], "control")

    def start_pair(self):
        """A broker and a portspace on each host, and the link between them."""
        for side in "ab":
            self.start_broker(side)
            self.persona(side, "create", "work", "--address", self.overlay[side])
        for side, other in (("a", "b"), ("b", "a")):
            key = self.persona(other, "pubkey", "work").strip()
            self.persona(side, "link", "add", "work", key, "--endpoint",
                         f"{ADDRESS[other]}:{self.port}", "--allowed-ips",
                         self.overlay[other] + "/32")

    def down(self):
        for proc in self.procs:
            self.lab.stop(proc)

    def up(self):
        self.build.check()
        self.start_pair()
        self._servers = Servers(self.lab, self.tools, "persona", "b", self.wrap, self.env("b"))
        self._servers.up()

    def client(self, argv):
        return ("a", self.wrap(argv), self.env("a"))

    def target(self, port):
        return (self.overlay["b"], port)

    def servers(self):
        return self._servers.pids()

    def describe(self):
        status = json.loads(self.persona("a", "status", "--json"))
        broker = status.get("broker", status)
        members = tree(self._servers.pids())
        return f"broker {broker.get('version', '?')}, {broker.get('workers', '?')} workers, " \
               f"default seal, {len(members & set(processes()))} server processes inside"


class Loopback(Peer):
    """Client and server on host a, kernel TCP over lo."""
    name = "loopback"

    def up(self):
        self._servers = Servers(self.lab, self.tools, "loopback", "a")
        self._servers.up()

    def target(self, port):
        return ("127.0.0.1", port)

    def describe(self):
        return "kernel TCP over lo, one host"


class Inside(Loopback):
    """Client and server in one portspace on host a."""
    name = "portspace"

    def __init__(self, lab, tools, persona):
        super().__init__(lab, tools, None)
        self.persona = persona

    def up(self):
        self._servers = Servers(self.lab, self.tools, "portspace", "a", self.persona.wrap,
                                self.persona.env("a"))
        self._servers.up()

    def client(self, argv):
        return self.persona.client(argv)

    def tunnel(self):
        return [self.persona.broker["a"].pid]

    def describe(self):
        return "client and server in one portspace of host a"


PEERS = (Plain, Wireguard, Nebula, Openvpn, Stunnel, Ssh, Persona)
