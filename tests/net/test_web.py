#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Web servers and proxies of the distribution: nginx, haproxy, node, Java."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import check, equal, link, main, need, test, wait_for  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def nginx(host, portspace, port, server="root html;", reuseport=False, extra="", workers=4):
    """Starts nginx in a portspace with a page that names the host; returns the process."""
    program = need("nginx")
    top = host.home / f"nginx-{portspace}-{port}"
    (top / "html").mkdir(parents=True)
    (top / "html" / "index.html").write_text(f"nginx of {host.name}/{portspace}\n")
    (top / "html" / "empty").write_text("")
    (top / "html" / "big").write_bytes(b"0123456789abcdef" * (1 << 20))
    (top / "nginx.conf").write_text(f"""
user root; # same user: others are no members
worker_processes {workers};
daemon off;
pid {top}/pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  access_log {top}/access.log;
  client_body_temp_path {top}/b; proxy_temp_path {top}/p; fastcgi_temp_path {top}/f;
  uwsgi_temp_path {top}/u; scgi_temp_path {top}/s;
  {extra}
  server {{ listen {port}{' reuseport' if reuseport else ''}; add_header X-Pid $pid always; {server} }}
}}
""")
    p = host.spawn_in(portspace, program, "-p", str(top), "-e", "stderr", "-c", "nginx.conf")
    host.wait_listen(portspace, port, p)
    return p


def pids(host, portspace, url, n):
    """The worker processes that answered n requests on new connections."""
    out = host.run_in(portspace, need("curl"), "-sS", "--fail", "-D-", "-o/dev/null", "-H",
                      "Connection: close", *[url] * n, "--next", "-sS", "-o/dev/null",
                      url, timeout=60).ok().out
    return re.findall(r"X-Pid: (\d+)", out)


@test
def test_nginx_and_curl(world):
    curl = need("curl")
    a, b = world.two()
    nginx(b, "work", 80)
    for client, address in ((a, "10.77.0.2"), (b, "127.0.0.1"), (b, "10.77.0.2")):
        r = client.run_in("work", curl, "-sS", "--fail", f"http://{address}/").ok()
        equal(r.out, "nginx of b/work\n", address)
        r = client.run_in("work", curl, "-sS", "--fail", "-o", "got", f"http://{address}/big").ok()
        equal((client.home / "got").stat().st_size, 16 << 20, "the size of the big file")


@test
def test_nginx_workers_share_one_socket(world):
    need("nginx")
    a, b = world.two()
    nginx(b, "work", 80)
    equal(len(pids(a, "work", "http://10.77.0.2/", 40)), 40, "answers to the other host")
    equal(len(pids(b, "work", "http://127.0.0.1/", 40)), 40, "answers inside")


@test
def test_nginx_workers_with_reuseport(world):
    need("nginx")
    a, b = world.two()
    nginx(b, "work", 80, reuseport=True)
    got = pids(a, "work", "http://10.77.0.2/", 60)
    equal(len(got), 60, "answers to the other host")
    check(len(set(got)) > 1, f"all connections went to one worker: {set(got)}")
    equal(len(pids(b, "work", "http://127.0.0.1/", 40)), 40, "answers inside")


@test
def test_nginx_reload_keeps_serving(world):
    curl = need("curl")
    a, b = world.two()
    p = nginx(b, "work", 80)
    log = b.home / "nginx-work-80"
    # nginx listens before it writes the file
    wait_for("nginx's pid", lambda: (log / "pid").exists() and (log / "pid").read_text().strip())
    master = int((log / "pid").read_text())
    import os
    import signal
    os.kill(master, signal.SIGHUP)
    for _ in range(20):
        a.run_in("work", curl, "-sS", "--fail", "http://10.77.0.2/").ok()
    check(p.alive(), "nginx lives on")


@test
def test_nginx_as_proxy_to_another_portspace(world):
    curl = need("curl")
    a, b = world.two()
    nginx(a, "work", 8080)
    nginx(b, "work", 80, server="location / { proxy_pass http://up; proxy_http_version 1.1; "
          "proxy_set_header Connection ''; }",
          extra="upstream up { server 10.77.0.1:8080; keepalive 8; }")
    for client in (a, b):
        for _ in range(5):
            r = client.run_in("work", curl, "-sS", "--fail", "http://10.77.0.2/").ok()
            equal(r.out, "nginx of a/work\n", "the upstream's page")
    r = a.run_in("work", curl, "-sS", "--fail", "-o", "got", "http://10.77.0.2/big").ok()
    equal((a.home / "got").read_bytes() == b"0123456789abcdef" * (1 << 20), True, "the big file")


@test
def test_nginx_with_many_clients(world):
    ab = need("ab")
    a, b = world.two()
    nginx(b, "work", 80, workers=2)
    for client, address in ((a, "10.77.0.2"), (b, "127.0.0.1")):
        for options in ([], ["-k"]):
            out = client.run_in("work", ab, "-q", "-n", "2000", "-c", "50", *options,
                                f"http://{address}/empty", timeout=90).ok().out
            equal(re.findall(r"Complete requests: +(\d+)", out), ["2000"], "requests")
            equal(re.findall(r"Failed requests: +(\d+)", out), ["0"], "failed requests")


@test
def test_haproxy(world):
    curl, haproxy = need("curl", "haproxy")
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    for h in (a, b, c):
        h.start_broker()
        h.create("work", f"10.77.0.{h.number}")
    link(a, "work", b, "work")
    link(b, "work", c, "work")
    nginx(b, "work", 8080)
    nginx(c, "work", 8080)
    (b.home / "haproxy.cfg").write_text("""
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend f
  bind :80
  bind :81 process 1
  default_backend servers
backend servers
  balance roundrobin
  server own 127.0.0.1:8080 check inter 200ms
  server other 10.77.0.3:8080 check inter 200ms
""".replace("  bind :81 process 1\n", ""))
    p = b.spawn_in("work", haproxy, "-db", "-f", str(b.home / "haproxy.cfg"))
    b.wait_listen("work", 80, p)
    seen = set()

    def both():
        seen.add(a.run_in("work", curl, "-sS", "--fail", "http://10.77.0.2/").ok().out)
        return seen == {"nginx of b/work\n", "nginx of c/work\n"}

    wait_for("both servers answered through haproxy", both, 20)


@test
def test_node(world):
    node = need("node")
    a, b = world.two()
    (b.home / "server.js").write_text("""
require('http').createServer((req, res) => {
  let n = 0; req.on('data', d => n += d.length);
  req.on('end', () => res.end(`got ${n} from ${req.socket.remoteAddress}`));
}).listen(8080, '0.0.0.0');
""")
    client = """
const http = require('http'); const total = 100; let left = total, right = 0;
const agent = new http.Agent({keepAlive: true, maxSockets: 20});
for (let i = 0; i < total; i++) {
  const req = http.request({host: process.argv[2], port: 8080, method: 'POST', agent}, res => {
    let s = ''; res.on('data', d => s += d);
    res.on('end', () => { if (s.startsWith('got 100000 from ')) right++;
      if (--left === 0) { console.log(`${right} of ${total}`); agent.destroy(); } }); });
  req.on('error', e => { console.log(e.code); process.exit(1); });
  req.end(Buffer.alloc(100000)); }
"""
    for h in (a, b):
        (h.home / "client.js").write_text(client)
    p = b.spawn_in("work", node, str(b.home / "server.js"))
    b.wait_listen("work", 8080, p)
    for h, address in ((a, "10.77.0.2"), (b, "127.0.0.1"), (b, "localhost")):
        out = h.run_in("work", node, str(h.home / "client.js"), address, timeout=60).ok().out
        equal(out.strip(), "100 of 100", f"requests to {address}")
    out = a.run_in("work", node, "-e", "require('net').connect(81,'10.77.0.2')"
                   ".on('error', e => console.log(e.code))").out
    equal(out.strip(), "ECONNREFUSED", "node's error for a refused port")


@test
def test_java(world):
    javac, java = need("javac", "java")
    a, b = world.two()
    for name in ("Server", "Client"):
        (world.dir / f"{name}.java").write_text((HERE / f"{name}.java").read_text())
    world.run([javac, "-d", str(world.dir), str(world.dir / "Server.java"),
               str(world.dir / "Client.java")], timeout=120).ok()
    vm = [java, "-Xshare:auto", "-XX:+UseSerialGC", "-cp", str(world.dir)]
    p = b.spawn_in("work", *vm, "Server", "8080", name="java-server")
    b.wait_listen("work", 8080, p, timeout=60)
    for h, address in ((a, "10.77.0.2"), (b, "127.0.0.1")):
        out = h.run_in("work", *vm, "Client", address, "8080", timeout=90).ok().out
        equal(out.split(), ["50", "of", "50", "ConnectException"], f"streams to {address}")


main()
