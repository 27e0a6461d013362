#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The persona command against a real broker: every subcommand, its JSON, its errors."""

import os
import pathlib
import pty
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

from persona_test import check, equal, main, need, test, _binary  # noqa: E402

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PUBLIC = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="


@test
def test_create_show_list_destroy(world):
    a = world.host("a")
    a.start_broker()
    made = a.persona("create", "work", "--address", "10.77.0.1/24,fd00:77::1/64", "--mtu", "1380",
                     "--hostname", "inside", "--host", "db=10.77.0.2", "--json").json()
    equal(made["version"], 1, "version")
    check("ok" not in made, "`ok` belongs to the protocol")
    ps = made["portspace"]
    equal((ps["name"], ps["mtu"], ps["hostname"], ps["ephemeral"]), ("work", 1380, "inside", False),
          "the portspace")
    equal(ps["addresses"], ["10.77.0.1/24", "fd00:77::1/64"], "addresses")
    check("db" in ps["hosts"], "the host entry")
    equal(a.persona("show", "work", "--json").json()["portspace"], ps, "show")
    equal(a.persona("--json", "list").json()["portspaces"][0]["public_key"], ps["public_key"],
          "list")
    equal(a.persona("pubkey", "work").ok().out, ps["public_key"] + "\n", "pubkey")
    text = a.persona("show", "work").ok().out
    for word in ("work", "10.77.0.1/24", "1380", "inside", "db", ps["public_key"]):
        check(word in text, f"{word} is in {text}")
    equal(a.persona("list", "--names").ok().out, "work\n", "names")
    a.persona("destroy", "work").ok()
    equal(a.persona("list", "--json").json()["portspaces"], [], "portspaces at the end")


@test
def test_errors_have_message_and_status(world):
    a = world.one()
    cases = (
        (["create", "work", "--address", "10.1.1.1"], 1, "work"),
        (["show", "nowhere"], 1, "nowhere"),
        (["create", "x", "--address", "10.1.1.999"], 1, "10.1.1.999"),
        (["create", "x"], 2, "--address"), (["create", "--address", "10.1.1.1"], 2, "NAME"),
        (["create", "x", "--address", "10.1.1.1", "--mtu", "12"], 2, "--mtu"),
        (["create", "x", "--address", "10.1.1.1", "--host", "db"], 2, "NAME=ADDR"),
        (["create", "x", "--address", "10.1.1.1,"], 2, "list"),
        (["show"], 2, "NAME"), (["show", "a", "b"], 2, "NAME"), (["destroy"], 2, "NAME"),
        (["list", "x"], 2, "arguments"), (["bogus"], 2, "bogus"), (["--bogus"], 2, "bogus"),
        ([], 2, "Usage"), (["link"], 2, "add, list or remove"),
        (["link", "add", "work", KEY], 2, "--allowed-ips"), (["link", "list"], 2, "NAME"),
        (["link", "remove", "work"], 2, "LINK"), (["link", "list", "nowhere"], 1, "nowhere"),
        (["link", "add", "work", KEY, "--allowed-ips", "10.1.1.1", "--keepalive", "-1"], 2,
         "--keepalive"),
        (["import", "/nonexistent"], 1, "nonexistent"), (["import", "-"], 2, "--name"),
        (["genkey", "x"], 2, "arguments"))
    for argv, code, word in cases:
        r = a.persona(*argv)
        equal(r.code, code, f"persona {argv}: {r.err}")
        check(word in r.err, f"persona {argv} says {r.err!r}")
        check(r.out == "", f"persona {argv}: nothing on standard output")


@test
def test_links_are_added_listed_and_removed(world):
    a = world.one()
    psk = a.home / "psk"
    psk.write_text(a.persona("genkey", "--preshared").ok().out)
    psk.chmod(0o600)
    made = a.persona("link", "add", "work", PUBLIC, "--endpoint", "192.0.2.9:51821",
                     "--allowed-ips", "10.77.0.2/32,10.80.0.0/16", "--preshared-key", psk,
                     "--name", "office", "--keepalive", "25", "--json").json()["link"]
    equal((made["name"], made["peer"], made["endpoint"], made["keepalive"], made["preshared"]),
          ("office", PUBLIC, "192.0.2.9:51821", 25, True), "the link")
    equal(sorted(made["allowed_ips"]), ["10.77.0.2/32", "10.80.0.0/16"], "allowed_ips")
    links = a.persona("link", "list", "work", "--json").json()["links"]
    equal([x["name"] for x in links], ["office"], "links")
    text = a.persona("link", "list", "work").ok().out
    check("office" in text and PUBLIC in text and "192.0.2.9:51821" in text, text)
    for command in (["show", "work"], ["status", "work"], ["show", "work", "--json"],
                    ["status", "--json"]):
        check(psk.read_text().strip() not in a.persona(*command).ok().out, f"no key in {command}")
    a.persona("link", "remove", "work", "office").ok()
    equal(a.persona("link", "list", "work", "--json").json()["links"], [], "links at the end")
    a.persona("link", "add", "work", PUBLIC, "--allowed-ips", "10.77.0.2").ok()
    a.persona("link", "remove", "work", PUBLIC).ok()
    equal(a.persona("link", "list", "work").ok().out, "", "an empty table")


@test
def test_private_keys_come_from_safe_places_only(world):
    a = world.host("a")
    a.start_broker()
    file = a.home / "key"
    file.write_text(KEY + "\n")
    file.chmod(0o644)
    r = a.persona("create", "x", "--address", "10.1.1.1", "--private-key", file)
    check(r.code == 1 and "chmod 600" in r.err, r.err)
    file.chmod(0o600)
    one = a.persona("create", "x", "--address", "10.1.1.1", "--private-key", file, "--json").json()
    two = a.persona("create", "y", "--address", "10.1.1.2", "--private-key", "-", "--json",
                    stdin=a.persona("genkey").ok().out.encode()).json()
    check(one["portspace"]["public_key"] != two["portspace"]["public_key"], "different keys")
    wg = pathlib.Path("/usr/bin/wg")
    if wg.exists():
        public = subprocess.run([wg, "pubkey"], input=KEY, capture_output=True, text=True)
        equal(one["portspace"]["public_key"], public.stdout.strip(), "the public key")
    r = a.persona("create", "z", "--address", "10.1.1.3", "--private-key", "-", stdin=b"rubbish\n")
    check(r.code == 1 and "not a key" in r.err, r.err)


@test
def test_genkey_makes_different_keys_and_no_broker(world):
    a = world.host("a")
    keys = {a.persona("genkey").ok().out for _ in range(4)}
    keys |= {a.persona("genkey", "--preshared", "--json").json()["key"] + "\n" for _ in range(4)}
    equal(len(keys), 8, "different keys")
    check(all(re.fullmatch(r"[A-Za-z0-9+/]{43}=\n", k) for k in keys), f"{keys}")
    out = a.home / "out"
    with open(out, "wb") as f:
        r = subprocess.run(a.argv([_binary("persona"), "genkey"]), env=a.env, stdout=f,
                           stderr=subprocess.PIPE, text=True)
    check("other users may read" in r.stderr, r.stderr)
    equal(a.persona("version", "--json").json()["broker"], None, "the broker's version")
    check(not pathlib.Path(a.env["PERSONA_RUNTIME_DIR"]).exists(), "no broker was started")


@test
def test_import_takes_wg_quick_files_and_runs_no_hook(world):
    a = world.host("a")
    a.start_broker()
    mark = a.home / "hook-ran"
    conf = a.home / "office.conf"
    conf.write_text(f"[Interface]\nPrivateKey = {KEY}\nAddress = 10.66.0.2/24\nMTU = 1300\n"
                    f"PostUp = touch {mark}\nPreUp = touch {mark}\n\n[Peer]\n"
                    f"PublicKey = {PUBLIC}\nAllowedIPs = 10.66.0.0/24\n"
                    "Endpoint = 192.0.2.9:51820\nPersistentKeepalive = 25\n")
    conf.chmod(0o644)
    r = a.persona("import", conf)
    r.ok()
    check("PostUp" in r.err and "PreUp" in r.err, f"a warning names the hooks: {r.err!r}")
    check("other users may read" in r.err, f"a warning about the file: {r.err!r}")
    check(not mark.exists(), "no hook ran")
    ps = a.persona("show", "office", "--json").json()["portspace"]
    equal((ps["mtu"], ps["addresses"], len(ps["links"])), (1300, ["10.66.0.2/24"], 1), "office")
    again = a.persona("import", "-", "--name", "second", "--json", stdin=conf.read_bytes()).json()
    equal(again["portspace"]["public_key"], ps["public_key"], "the same key")
    check(len(again["warnings"]) >= 2, "warnings in JSON")
    equal(a.persona("import", conf).code, 1, "the name is taken")


@test
def test_status_shows_broker_and_portspaces(world):
    a = world.one()
    reply = a.persona("status", "--json").json()
    equal(reply["broker"]["runtime_dir"], a.env["PERSONA_RUNTIME_DIR"], "runtime_dir")
    equal([p["name"] for p in reply["portspaces"]], ["work"], "portspaces")
    text = a.persona("status").ok().out
    check(str(reply["broker"]["pid"]) in text and "work" in text, text)
    version = a.persona("version").ok().out
    check("persona " in version and "persona-broker " in version, version)


def on_terminal(host, *argv, **env):
    """What the command writes to a terminal."""
    master, slave = pty.openpty()
    p = subprocess.Popen(host.argv([_binary("persona"), *argv]), env={**host.env, **env},
                         stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    out = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        out += data
    os.close(master)
    equal(p.wait(), 0, "exit status")
    return out


@test
def test_colours_are_for_terminals_without_no_color(world):
    a = world.one()
    check(b"\033[" in on_terminal(a, "list", TERM="xterm"), "colours on a terminal")
    check(b"\033[" not in on_terminal(a, "list", TERM="xterm", NO_COLOR="1"), "NO_COLOR")
    check(b"\033[" not in on_terminal(a, "list", TERM="dumb"), "a dumb terminal")
    check("\033[" not in a.persona("list", env={"TERM": "xterm"}).ok().out, "a pipe")
    check(b"\033[" not in on_terminal(a, "list", "--json", TERM="xterm"), "JSON")


@test
def test_a_full_disk_is_an_error(world):
    a = world.one()
    with open("/dev/full", "wb") as full:
        for argv in (["list"], ["show", "work", "--json"], ["genkey"], ["--help"]):
            r = subprocess.run(a.argv([_binary("persona"), *argv]), env=a.env, stdout=full,
                               stderr=subprocess.PIPE)
            equal(r.returncode, 1, f"persona {argv}")


@test
def test_every_command_has_help_with_an_example_or_its_use(world):
    a = world.host("a")
    listing = a.persona("--help").ok().out
    equal(a.persona("help").ok().out, listing, "persona help")
    commands = re.findall(r"^  (\w+) +\w", listing.split("Examples")[0], re.M)
    sources = {p.stem[4:] for p in (HERE.parent.parent / "bin").glob("cmd_*.c")}
    equal(sources - set(commands), set(), f"commands that are missing in {commands}")
    for c in commands:
        text = a.persona(c, "--help").ok().out
        check(text.startswith(f"Usage: persona {c}"), text)


@test
def test_completion_offers_commands_options_and_names(world):
    bash = need("bash")
    a = world.one()
    where = HERE.parent.parent / "bin" / "completion"

    def complete(line):
        words = line.split(" ")
        script = (f". {where / words[0]}; COMP_WORDS=({' '.join(repr(w) for w in words)}); "
                  f"COMP_CWORD={len(words) - 1}; COMP_LINE={line!r}; COMP_POINT={len(line)}; "
                  f"f=$(complete -p {words[0]} | sed 's/.*-F \\([^ ]*\\).*/\\1/'); "
                  f"$f {words[0]} {words[-1]!r} {words[-2]!r}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        path = os.path.dirname(_binary("persona")) + ":" + a.env["PATH"]
        r = a.run(bash, "--norc", "-c", script, env={"PATH": path})
        return set(r.ok().out.split())

    check({"create", "destroy", "link"} <= complete("persona "), "commands")
    equal(complete("persona st"), {"status"}, "a command's beginning")
    equal(complete("persona show "), {"work"}, "names")
    check("--allowed-ips" in complete("persona link add --"), "options")
    equal(complete("persona link l"), {"list"}, "subcommands of link")
    equal(complete("persona-run w"), {"work"}, "names for persona-run")
    check({"--new", "--address"} <= complete("persona-run --"), "options of persona-run")
    equal(complete("persona-run --seal = s"), {"sealed", "shim"}, "seals")
    equal(complete("persona-run --seal = shim w"), {"work"}, "names behind --seal=shim")
    equal(complete("persona-run --address = 10.1.1.1 w"), {"work"}, "names behind --address=")
    check("persona-run" in complete("persona-run work persona-r"), "programs behind the name")
    check("persona-run" in complete("persona-run --new -- persona-r"), "programs behind --")
    check("--listen" in complete("persona-broker --"), "options of persona-broker")


main()
