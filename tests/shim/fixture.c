/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdmsg.h"
#include "sockname.h"

enum { LEASE_FIRST = 40000, LEASE_COUNT = 64, CHOSEN_FIRST = 33000 };

static void add_address(struct info *info, const char *text)
{
	prefix_parse(text, &info->addr[info->naddr++]);
}

static int write_file(const struct fixture *f, const char *name, const void *data, size_t len)
{
	char path[160];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	n = write(fd, data, len);
	close(fd);
	return n == (ssize_t)len ? 0 : -EIO;
}

int fixture_make(struct fixture *f)
{
	static const char resolv[] =
		"nameserver 10.9.0.53\nnameserver fd09::53\nsearch corp.example lab.example\n";
	static const char hosts[] = "10.9.0.1 alpha\n";
	uint8_t buf[INFO_MAX];
	char path[128];
	int n;

	strcpy(f->runtime, "/tmp/pshim-XXXXXX");
	if (!mkdtemp(f->runtime))
		return -errno;
	snprintf(path, sizeof(path), "%s/ps", f->runtime);
	mkdir(path, 0700);
	snprintf(f->dir, sizeof(f->dir), "%s/ps/7", f->runtime);
	mkdir(f->dir, 0700);
	f->info = (struct info){.portspace = 7, .nworkers = FIXTURE_WORKERS, .mtu = 1420};
	strcpy(f->info.name, "test");
	strcpy(f->info.hostname, "testbox");
	memcpy(f->info.secret, "0123456789abcdef", 16);
	add_address(&f->info, "10.0.0.1/24");
	add_address(&f->info, "fd00::1/64");
	f->next_lease = LEASE_FIRST;
	n = info_encode(&f->info, buf, sizeof(buf));
	if (n < 0 || write_file(f, "info", buf, (size_t)n) < 0 ||
		write_file(f, "resolv.conf", resolv, sizeof(resolv) - 1) < 0 ||
		write_file(f, "hosts", hosts, sizeof(hosts) - 1) < 0)
		return -EIO;
	return 0;
}

static void remove_files(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[512];

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
			unlink(path);
		}
	if (d)
		closedir(d);
	rmdir(dir);
}

void fixture_remove(struct fixture *f)
{
	char ps[128];

	remove_files(f->dir);
	snprintf(ps, sizeof(ps), "%s/ps", f->runtime);
	remove_files(ps);
	remove_files(f->runtime);
}

int fixture_listen(struct fixture *f, const char *name, int type)
{
	char path[128];
	int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", f->runtime, name);
	fdmsg_listen(path, type, 1024, &fd);
	return fd;
}

bool fixture_is_own(const struct fixture *f, const struct addr *a)
{
	for (int i = 0; i < f->info.naddr; i++)
		if (addr_equal(&f->info.addr[i].addr, a))
			return true;
	return addr_is_loopback(a);
}

/* Does a socket with this inode exist? */
static bool alive(uint64_t inode)
{
	FILE *file = fopen("/proc/net/unix", "re");
	char line[512];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		unsigned long n;

		found = sscanf(line, "%*s %*s %*s %*s %*s %*s %lu", &n) == 1 && n == inode;
	}
	if (file)
		fclose(file);
	return found;
}

static void drop_dead(struct fixture *f)
{
	for (size_t i = 0; i < f->nports;)
		if (alive(f->ports[i].inode))
			i++;
		else
			f->ports[i] = f->ports[--f->nports];
}

/* Would the two share packets? */
static bool overlap(const struct port *a, const struct port *b)
{
	bool a4 = addr_is_v4(&a->local.addr), b4 = addr_is_v4(&b->local.addr);
	bool a_all = addr_equal(&a->local.addr, &addr_any6) && !(a->flags & ASK_V6ONLY);
	bool b_all = addr_equal(&b->local.addr, &addr_any6) && !(b->flags & ASK_V6ONLY);

	if (a->proto != b->proto || a->local.port != b->local.port)
		return false;
	if (a_all || b_all)
		return true;
	if (a4 != b4)
		return false;
	return addr_is_any(&a->local.addr) || addr_is_any(&b->local.addr) ||
	       addr_equal(&a->local.addr, &b->local.addr);
}

static bool conflict(const struct fixture *f, const struct port *want)
{
	for (size_t i = 0; i < f->nports; i++) {
		const struct port *p = &f->ports[i];

		if (p->inode == want->inode || !overlap(p, want))
			continue;
		if (p->flags & want->flags & ASK_REUSEPORT)
			continue;
		if (p->flags & want->flags & ASK_REUSEADDR && !p->listening && !want->listening)
			continue;
		return true;
	}
	return false;
}

static int do_bind(struct fixture *f, const struct ask_request *req, struct port **portp)
{
	struct port want = {
		.proto = req->proto, .flags = req->flags, .local = req->local, .inode = req->inode};

	drop_dead(f);
	if (f->nports == FIXTURE_PORTS)
		return EADDRINUSE;
	if (want.local.port == 0)
		for (want.local.port = CHOSEN_FIRST; conflict(f, &want); want.local.port++)
			;
	if (conflict(f, &want))
		return EADDRINUSE;
	*portp = &f->ports[f->nports++];
	**portp = want;
	return 0;
}

static int do_listen(struct fixture *f, const struct ask_request *req, struct ask_reply *rep)
{
	struct sockname_listen l = {.member = -1};
	char file[SOCKNAME_FILE_MAX];
	struct port *p = NULL;
	bool again;
	int r;

	for (size_t i = 0; i < f->nports; i++)
		if (f->ports[i].inode == req->inode)
			p = &f->ports[i];
	again = p && p->listening;
	if (!p) {
		r = do_bind(f, req, &p);
		if (r)
			return r;
	}
	p->listening = true;
	p->flags = req->flags;
	if (conflict(f, p)) {
		p->listening = false;
		return EADDRINUSE;
	}
	l.local = p->local;
	l.v6only = req->flags & ASK_V6ONLY;
	if (req->flags & ASK_REUSEPORT)
		l.member = (int)(p - f->ports);
	snprintf(p->path, sizeof(p->path), "%s/%s", f->dir, sockname_file(&l, file));
	rep->port = p->local.port;
	memcpy(rep->path, p->path, sizeof(rep->path));
	if (!again)
		unlink(p->path); /* an earlier owner's */
	return 0;
}

int fixture_find(struct fixture *f, uint8_t proto, const struct endpoint *dst, char *path)
{
	struct port want = {.proto = proto, .local = *dst};
	size_t n = f->nports;

	drop_dead(f);
	n = f->nports;
	for (size_t k = 0; k < n; k++) {
		struct port *p = &f->ports[(k + f->turn) % n];

		if (p->listening && overlap(p, &want)) {
			memcpy(path, p->path, ASK_PATH_MAX);
			f->turn++;
			return 0;
		}
	}
	return -ECONNREFUSED;
}

/* alpha is 10.9.0.1, its alias "www.alpha"; dual has both families, six only IPv6. */
static int do_name(const struct ask_request *req, struct ask_reply *rep)
{
	static const struct {
		const char *name;
		int err;
	} failing[] = {{"nodata", ENODATA}, {"again", EAGAIN}, {"broken", EIO}};
	char name_buf[ASK_NAME_MAX];
	const char *name = name_buf;

	snprintf(name_buf, sizeof(name_buf), "%s", req->name);
	if (name_buf[0] && name_buf[strlen(name_buf) - 1] == '.')
		name_buf[strlen(name_buf) - 1] = '\0';
	for (size_t i = 0; i < sizeof(failing) / sizeof(*failing); i++)
		if (strcmp(name, failing[i].name) == 0)
			return failing[i].err;
	if (strcmp(name, "alpha") == 0 || strcmp(name, "www.alpha") == 0) {
		addr_parse("10.9.0.1", &rep->addr[rep->naddr++]);
		name = "alpha";
	} else if (strcmp(name, "dual") == 0 || strcmp(name, "six") == 0) {
		addr_parse("fd09::1", &rep->addr[rep->naddr++]);
		if (*name == 'd')
			addr_parse("10.9.0.1", &rep->addr[rep->naddr++]);
	} else {
		return ENOENT;
	}
	snprintf(rep->name, sizeof(rep->name), "%s", name);
	return 0;
}

/* The question comes back with the code that its first letter says, and "a" has an address. */
static int do_dns(const struct ask_request *req, struct ask_reply *rep)
{
	static const uint8_t record[] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 9, 0, 1};
	static uint8_t answer[ASK_QUERY_MAX + sizeof(record)];
	char letter = (char)req->query[13];

	if (letter == 'z')
		return EAGAIN; /* no server answers */
	memcpy(answer, req->query, req->nquery);
	answer[2] = 0x85;
	answer[3] = letter == 'n' ? 3 : letter == 's' ? 2 : letter == 'r' ? 5 : 0;
	rep->answer = answer;
	rep->nanswer = req->nquery;
	if (letter == 'a' || letter == 'w') {
		answer[7] = 1;
		memcpy(answer + req->nquery, record, sizeof(record));
		rep->nanswer = (uint16_t)(req->nquery + sizeof(record));
	}
	return 0;
}

static void add_if(struct ask_reply *rep, const char *name, uint32_t flags, uint32_t mtu)
{
	struct ask_if *i = &rep->ifs[rep->nif++];

	snprintf(i->name, sizeof(i->name), "%s", name);
	i->index = rep->nif;
	i->flags = flags;
	i->mtu = mtu;
}

static int answer(struct fixture *f, const struct ask_request *req, struct ask_reply *rep)
{
	struct port *p = NULL;
	struct addr alpha;
	int r;

	switch (req->op) {
	case ASK_BIND:
		r = do_bind(f, req, &p);
		rep->port = p ? p->local.port : 0;
		return r;
	case ASK_LISTEN:
		return do_listen(f, req, rep);
	case ASK_LEASE:
		rep->port = f->next_lease;
		rep->count = LEASE_COUNT;
		f->next_lease = (uint16_t)(f->next_lease + LEASE_COUNT);
		return 0;
	case ASK_LOCAL:
		return -fixture_find(f, req->proto, &req->local, rep->path);
	case ASK_NAME:
		return do_name(req, rep);
	case ASK_ADDR:
		addr_parse("10.9.0.1", &alpha);
		strcpy(rep->name, "alpha");
		return addr_equal(&alpha, &req->local.addr) ? 0 : ENOENT;
	case ASK_IFS:
		rep->count = 2;
		if (req->first == 0) {
			add_if(rep, "lo", IFF_UP | IFF_RUNNING | IFF_LOOPBACK, 65536);
			add_if(rep, "link1", IFF_UP | IFF_RUNNING | IFF_POINTOPOINT | IFF_NOARP,
				1420);
		}
		return 0;
	case ASK_DNS:
		return do_dns(req, rep);
	default: /* RUNTIME/dgram answers the others */
		return EPROTO;
	}
}

void fixture_answer(struct fixture *f, int ask)
{
	uint8_t in[ASK_MAX], out[ASK_REPLY_MAX];
	int sock = accept4(ask, NULL, NULL, SOCK_CLOEXEC), fd, n;
	struct ask_request req;
	struct ask_reply rep = {0};
	ssize_t r;

	if (sock < 0)
		return;
	r = fdmsg_recv(sock, in, sizeof(in), &fd);
	if (r > 0 && ask_decode_request(in, (size_t)r, &req) == 0) {
		rep.op = req.op;
		rep.err = answer(f, &req, &rep);
		n = ask_encode_reply(&rep, out, sizeof(out));
		if (n > 0)
			fdmsg_send(sock, out, (size_t)n, -1);
	}
	if (fd >= 0)
		close(fd);
	close(sock);
}
