# SPDX-License-Identifier: MIT
"""Portspaces below others, for the tests of inheritance, nesting and gateways."""

from persona_test import PYTHON, link, need

PORT = 51821  # ListenPort when not given

# A web server that answers with the text and the peer's address.
WEB = """
import http.server, socketserver
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ('%s ' + self.client_address[0]).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class S(http.server.ThreadingHTTPServer):
    def server_bind(self):  # without the look-up of the host's name
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = 'test', self.server_address[1]
        print('bound', flush=True)
S(('%s', %d), H).serve_forever()
"""


def nest(a, b, name, above, network, above_network, **settings):
    """Makes the portspace `name` on both hosts below `above` and links the two inside it."""
    hosts = (a, b)
    for h in hosts:
        h.persona("create", name, "--address", f"{network}.{h.number}", "--super", above,
                  *[x for k, v in settings.items() for x in (f"--{k}", v)]).ok()
    for me, other in (hosts, hosts[::-1]):
        me.persona("link", "add", name, other.pubkey(name),
                   "--allowed-ips", f"{network}.{other.number}/32",
                   "--endpoint", f"{above_network}.{other.number}:{PORT}").ok()


def fetch(h, portspace, url):
    curl = need("curl")
    return h.run_in(portspace, curl, "-sS", "--max-time", "20", url).ok().out


def serve(h, portspace, text, port=80, address=""):
    """A web server in a portspace."""
    p = h.spawn_in(portspace, PYTHON, "-c", WEB % (text, address, port),
                   name=f"{h.name}-{portspace}-web")
    h.wait_listen(portspace, port, p)
    return p


ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print('bound', flush=True)
while True:
    data, peer = s.recvfrom(65536)
    s.sendto(sys.argv[3].encode() + b' ' + peer[0].encode() + b' ' + data, peer)
"""


def echo(h, portspace, port, text="MARKER", address="0.0.0.0"):
    """A UDP server in a portspace (None: of the host) that answers with the text, the peer's
    address and what it got."""
    argv = (PYTHON, "-c", ECHO, address, str(port), text)
    p = h.spawn_in(portspace, *argv) if portspace else h.spawn(*argv)
    return p.until("bound")


ASK = """
import socket, sys
peer, size, want = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), sys.argv[4].encode()
s = socket.socket(socket.AF_INET6 if ':' in peer[0] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
s.connect(peer)  # so that errors are told
for i in range(4):  # the first ones may be lost while a link comes up
    data = b'x' * size
    try:
        s.send(data)
        got, source = s.recvfrom(65536)
    except TimeoutError:
        continue
    except OSError as e:
        import errno
        print(errno.errorcode[e.errno])
        sys.exit()
    text, _, rest = got.partition(b' ')
    address, _, rest = rest.partition(b' ')
    print(source == peer and text == want and rest == data, *([address.decode()] if
          len(sys.argv) > 5 else []))
    break
else:
    print('nothing')
"""


def ask(h, portspace, address, port, size=10, text="MARKER", source=False):
    """'True' when the echo answers; with `source` also the address it saw; else an errno or
    'nothing'."""
    argv = (PYTHON, "-c", ASK, address, str(port), str(size), text, *(["x"] if source else []))
    return h.run_in(portspace, *argv).ok().out.strip()


def serve_host(h, text, port, address=""):
    """A web server of the host itself."""
    return h.spawn(PYTHON, "-c", WEB % (text, address, port),
                   name=f"{h.name}-host-web").until("bound")


def family(world, *options):
    """Hosts a and b, linked in `work`; b has `child` below work with its own network, which a's
    `friend` is in."""
    a, b = world.two()
    for h, name, extra in ((a, "friend", ("--super", "work")), (b, "child", options)):
        h.persona("create", name, "--address", f"10.88.0.{h.number}", *extra).ok()
    for me, mine, other, theirs in ((a, "friend", b, "child"), (b, "child", a, "friend")):
        me.persona("link", "add", mine, other.pubkey(theirs), "--allowed-ips",
                   f"10.88.0.{other.number}/32", "--endpoint",
                   f"10.77.0.{other.number}:51821").ok()
    return a, b


def host_child(world, *options):
    """Hosts a and b; `child` on b inherits the host's services, `friend` on a is its peer."""
    a, b = world.host("a"), world.host("b")
    for h in (a, b):
        h.start_broker()
    a.persona("create", "friend", "--address", "10.88.0.1").ok()
    b.persona("create", "child", "--address", "10.88.0.2", "--inherit", "root", *options).ok()
    link(a, "friend", b, "child")
    return a, b
