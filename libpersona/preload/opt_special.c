/* SPDX-License-Identifier: MIT */
/* Options whose value is computed from the tag, the portspace or the state of the connection. */
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "aside.h"
#include "opt.h"
#include "preload.h"
#include "udp.h"

/* TCP's view of a socket, as TCP_INFO counts states. */
enum tcp_state {
	STATE_ESTABLISHED = 1,
	STATE_SYN_SENT = 2,
	STATE_FIN_WAIT2 = 5,
	STATE_CLOSE = 7,
	STATE_CLOSE_WAIT = 8,
	STATE_LISTEN = 10
};

enum {
	SNDBUF_TCP_DEFAULT = 16384, /* tcp_wmem[1] */
	SNDBUF_MAX = 212992,	    /* wmem_max */
	SNDBUF_MIN = 4608,
	MAXSEG_UNCONNECTED = 536,
	HEADERS_V4 = 40,
	HEADERS_V6 = 60,
	MAXSEG_MIN = 88,
	MAXSEG_MAX = 32767,
	FIN_TIMEOUT_S = 60,
	TTL_DEFAULT = 64,
	RETRANSMISSIONS_MAX = 255,
	RTO_MAX_S = 120,
	ECN_MASK = 3 /* the kernel's own bits of a stream's traffic class */
};

static const char *const congestion[] = {"cubic", "reno"};

static bool remote_loopback(int fd, const struct info *info)
{
	struct endpoint local, peer;

	return names_of(fd, info, &local, &peer) == 0 && addr_is_loopback(&peer.addr);
}

/* MTU of the path to the peer. */
static int path_mtu(int fd)
{
	const struct shim_info *si = info_get();

	if (!si)
		return 1280;
	return remote_loopback(fd, &si->info) ? 65535 : si->info.mtu;
}

static int max_segment(int fd, const struct tag *tag)
{
	int v;

	if (tag->phase == TAG_CONNECTED)
		return path_mtu(fd) - (tag->v6 ? HEADERS_V6 : HEADERS_V4);
	return side_get(fd, SIDE_MAXSEG, &v) && v ? v : MAXSEG_UNCONNECTED;
}

static enum tcp_state tcp_state(int fd, const struct tag *tag)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};
	struct timespec now = {0};

	switch (tag->phase) {
	case TAG_LISTENING:
		return STATE_LISTEN;
	case TAG_CONNECTING:
		return STATE_SYN_SENT;
	case TAG_CONNECTED:
		SYS(SYS_ppoll, &p, 1, &now, NULL, 0);
		if (p.revents & POLLHUP)
			return tag->value & CONNECTED_WRSHUT ? STATE_CLOSE : STATE_CLOSE_WAIT;
		if (p.revents & POLLRDHUP)
			return STATE_CLOSE_WAIT;
		return tag->value & CONNECTED_WRSHUT ? STATE_FIN_WAIT2 : STATE_ESTABLISHED;
	default:
		return STATE_CLOSE;
	}
}

static void fill_tcp_info(int fd, const struct tag *tag, struct opt_value *valuep)
{
	struct tcp_info ti = {.tcpi_state = (uint8_t)tcp_state(fd, tag)};
	int mss = max_segment(fd, tag);

	ti.tcpi_rto = 200000;
	ti.tcpi_ato = 40000;
	ti.tcpi_snd_mss = ti.tcpi_rcv_mss = ti.tcpi_advmss = (uint32_t)mss;
	ti.tcpi_pmtu = (uint32_t)path_mtu(fd);
	ti.tcpi_snd_ssthresh = 0x7fffffff;
	ti.tcpi_snd_cwnd = 10;
	ti.tcpi_reordering = 3;
	ti.tcpi_rcv_space = 14600;
	ti.tcpi_pacing_rate = ti.tcpi_max_pacing_rate = UINT64_MAX;
	valuep->len = sizeof(ti) < sizeof(valuep->bytes) ? sizeof(ti) : sizeof(valuep->bytes);
	memcpy(valuep->bytes, &ti, valuep->len);
}

/* SO_ERROR: what became of a connect, once; then the kernel's own. */
static int take_error(int fd, struct tag *tag)
{
	int err = connect_check(fd, tag), native = 0;
	socklen_t len = sizeof(native);

	if (tag->phase == TAG_CONNECTING)
		return 0;
	SYS(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &native, &len);
	if (tag->phase != TAG_FAILED)
		return native;
	if (tag->value != FAILED_SETTLED) {
		tag->value = 0;
		tag_set(fd, tag);
	}
	return err;
}

static int send_buffer(int fd, const struct tag *tag)
{
	int v = SNDBUF_TCP_DEFAULT;
	socklen_t len = sizeof(v);

	if (tag->kind != TAG_TCP || !side_get(fd, SIDE_SNDBUF, &v)) {
		if (tag->kind != TAG_TCP || tag->phase == TAG_CONNECTED)
			SYS(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDBUF, &v, &len);
		return v;
	}
	v = v > SNDBUF_MAX || v < 0 ? 2 * SNDBUF_MAX : 2 * v;
	return v < SNDBUF_MIN ? SNDBUF_MIN : v;
}

static int bound_device(int fd, struct opt_value *valuep, size_t cap)
{
	struct ask_if found;
	int index = 0, r;

	valuep->len = 0;
	if (!side_get(fd, SIDE_BINDIF, &index) || index == 0)
		return 0;
	if (cap < IFNAMSIZ)
		return -EINVAL;
	r = ifs_find(NULL, (unsigned)index, &found);
	if (r < 0)
		return r;
	memcpy(valuep->bytes, found.name, sizeof(found.name));
	valuep->len = strlen(found.name) + 1;
	return 0;
}

static int peer_name(int fd, const struct tag *tag, size_t cap, struct opt_value *valuep)
{
	const struct shim_info *si = info_get();
	struct endpoint local, peer;
	struct sockaddr_storage ss;

	if (tag->phase != TAG_CONNECTED || !si || names_of(fd, &si->info, &local, &peer) < 0)
		return -ENOTCONN;
	valuep->len = endpoint_to_sockaddr(&peer, tag->v6 ? AF_INET6 : AF_INET, &ss);
	if (valuep->len > cap)
		return -EINVAL;
	memcpy(valuep->bytes, &ss, valuep->len);
	return 0;
}

static int get_socket(int fd, struct tag *tag, int name, size_t cap, struct opt_value *valuep)
{
	valuep->len = sizeof(int);
	switch (name) {
	case SO_DOMAIN:
		valuep->i = tag->v6 ? AF_INET6 : AF_INET;
		return 0;
	case SO_PROTOCOL:
		valuep->i = IPPROTO_TCP;
		return 0;
	case SO_ERROR:
		valuep->i = take_error(fd, tag);
		return 0;
	case SO_REUSEPORT:
		valuep->i = tag->reuseport;
		return 0;
	case SO_SNDBUF:
		valuep->i = send_buffer(fd, tag);
		return 0;
	case SO_BINDTODEVICE:
		return bound_device(fd, valuep, cap);
	case SO_BINDTOIFINDEX:
		valuep->i = 0;
		side_get(fd, SIDE_BINDIF, &valuep->i);
		return 0;
	case SO_PEERCRED:
		/* TCP knows no process at the other end */
		valuep->cred = (struct ucred){.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
		valuep->len = sizeof(valuep->cred);
		return 0;
	case SO_PEERNAME:
		return peer_name(fd, tag, cap, valuep);
	case SO_MAX_PACING_RATE:
		valuep->len = cap >= sizeof(uint64_t) ? sizeof(uint64_t) : sizeof(uint32_t);
		memset(valuep->bytes, 0xff, valuep->len);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int get_tcp(int fd, struct tag *tag, int name, struct opt_value *valuep)
{
	int v = 0;

	valuep->len = sizeof(int);
	switch (name) {
	case TCP_NODELAY:
		valuep->i = side_get(fd, SIDE_NODELAY, &v) ? v : tag->nodelay;
		return 0;
	case TCP_MAXSEG:
		valuep->i = max_segment(fd, tag);
		return 0;
	case TCP_QUICKACK:
		valuep->i = side_get(fd, SIDE_QUICKACK, &v) ? v : 1;
		return 0;
	case TCP_DEFER_ACCEPT:
		valuep->i = side_get(fd, SIDE_DEFER_ACCEPT, &v) ? v : 0;
		return 0;
	case TCP_LINGER2:
		valuep->i = side_get(fd, SIDE_LINGER2, &v) ? v : FIN_TIMEOUT_S;
		return 0;
	case TCP_CONGESTION:
		side_get(fd, SIDE_CONGESTION, &v);
		memset(valuep->bytes, 0, 16);
		memcpy(valuep->bytes, congestion[v & 1], strlen(congestion[v & 1]));
		valuep->len = 16;
		return 0;
	case TCP_INFO:
		connect_check(fd, tag);
		fill_tcp_info(fd, tag, valuep);
		return 0;
	case TCP_ULP:
		valuep->len = 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int get_ip(int fd, struct tag *tag, int name, struct opt_value *valuep)
{
	valuep->len = name == IP_OPTIONS ? 0 : sizeof(int);
	valuep->i = 0;
	switch (name) {
	case IP_MTU:
		valuep->i = path_mtu(fd);
		return tag->phase == TAG_CONNECTED ? 0 : -ENOTCONN;
	case IP_TOS:
		side_get(fd, SIDE_TOS, &valuep->i);
		return 0;
	case IP_TTL:
		valuep->i = TTL_DEFAULT;
		side_get(fd, SIDE_TTL, &valuep->i);
		return 0;
	default: /* IP_OPTIONS, IP_TRANSPARENT */
		return 0;
	}
}

static int get_ip6(int fd, struct tag *tag, int name, struct opt_value *valuep)
{
	valuep->len = sizeof(int);
	valuep->i = 0;
	switch (name) {
	case IPV6_V6ONLY:
		valuep->i = tag->v6only;
		return 0;
	case IPV6_MTU:
		valuep->i = path_mtu(fd);
		return tag->phase == TAG_CONNECTED ? 0 : -ENOTCONN;
	case IPV6_TCLASS:
		side_get(fd, SIDE_TCLASS, &valuep->i);
		return 0;
	case IPV6_UNICAST_HOPS:
		valuep->i = TTL_DEFAULT;
		side_get(fd, SIDE_UNICAST_HOPS, &valuep->i);
		return 0;
	default: /* IPV6_TRANSPARENT */
		return 0;
	}
}

int opt_special_get(
	int fd, struct tag *tag, int level, int name, size_t cap, struct opt_value *valuep)
{
	int r = udp_kind(tag) ? udp_opt_get(fd, tag, level, name, cap, valuep) : 1;

	if (r != 1)
		return r;
	switch (level) {
	case SOL_SOCKET:
		return get_socket(fd, tag, name, cap, valuep);
	case IPPROTO_TCP:
		return get_tcp(fd, tag, name, valuep);
	case IPPROTO_IP:
		return get_ip(fd, tag, name, valuep);
	default:
		return get_ip6(fd, tag, name, valuep);
	}
}

/* Flags in the tag may change while the broker does not write it. */
static int set_flag(int fd, struct tag *tag, bool *flag, bool v)
{
	*flag = v;
	return tag_set(fd, tag);
}

/* Without CAP_NET_RAW a device can be chosen once. */
static int set_device_index(int fd, int index)
{
	int old = 0;

	if (side_get(fd, SIDE_BINDIF, &old) && old != 0)
		return -EPERM;
	return index < 0 ? -EINVAL : side_set(fd, SIDE_BINDIF, index);
}

static int set_device(int fd, const void *value, size_t len)
{
	char name[IFNAMSIZ] = {0};
	struct ask_if found;
	int r = user_read(name, value, len < sizeof(name) - 1 ? len : sizeof(name) - 1);

	if (r < 0)
		return r;
	if (!name[0])
		return set_device_index(fd, 0);
	r = ifs_find(name, 0, &found);
	return r < 0 ? r : set_device_index(fd, (int)found.index);
}

static int set_send_buffer(int fd, const struct tag *tag, int v)
{
	int r = side_set(fd, SIDE_SNDBUF, v);

	if (tag->kind == TAG_TCP)
		v = sndbuf_clamp(v);
	/* Before that it would open the gate. */
	if (r == 0 && (tag->phase == TAG_CONNECTED || tag->kind != TAG_TCP))
		r = (int)SYS(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v));
	return r;
}

static int set_socket(int fd, struct tag *tag, int name, int v)
{
	switch (name) {
	case SO_REUSEPORT:
		if (tag->phase == TAG_CONNECTING)
			return 0;
		return set_flag(fd, tag, &tag->reuseport, v != 0);
	case SO_SNDBUF:
		return set_send_buffer(fd, tag, v);
	case SO_BINDTOIFINDEX:
		return set_device_index(fd, v);
	case SO_MAX_PACING_RATE:
		return 0;
	default: /* SO_DOMAIN SO_PROTOCOL SO_ERROR SO_PEERCRED SO_PEERNAME can only be read */
		return -ENOPROTOOPT;
	}
}

static int set_congestion(int fd, const void *value, size_t len)
{
	char name[16] = {0};
	int r = user_read(name, value, len < sizeof(name) - 1 ? len : sizeof(name) - 1);

	if (r < 0)
		return r;
	if (len == 0)
		return -EINVAL;
	for (int i = 0; i < 2; i++)
		if (strcmp(name, congestion[i]) == 0)
			return side_set(fd, SIDE_CONGESTION, i);
	return -ENOENT;
}

/* TCP_DEFER_ACCEPT is kept as a number of retransmissions: what reads back is rounded up. */
static int retransmission_time(int seconds)
{
	int step = 1, time = 0;

	for (int n = 0; n < RETRANSMISSIONS_MAX && time < seconds; n++) {
		time += step;
		step = 2 * step > RTO_MAX_S ? RTO_MAX_S : 2 * step;
	}
	return time;
}

static int set_tcp(int fd, struct tag *tag, int name, int v)
{
	switch (name) {
	case TCP_NODELAY:
		/* the tag is the broker's while it decides */
		if (tag->phase == TAG_CONNECTING)
			return side_set(fd, SIDE_NODELAY, v != 0);
		side_forget(fd, SIDE_NODELAY);
		return set_flag(fd, tag, &tag->nodelay, v != 0);
	case TCP_MAXSEG:
		if (v && (v < MAXSEG_MIN || v > MAXSEG_MAX))
			return -EINVAL;
		return side_set(fd, SIDE_MAXSEG, v);
	case TCP_QUICKACK:
		return side_set(fd, SIDE_QUICKACK, v != 0);
	case TCP_DEFER_ACCEPT:
		return side_set(fd, SIDE_DEFER_ACCEPT, retransmission_time(v));
	case TCP_LINGER2:
		if (v < 0)
			return side_set(fd, SIDE_LINGER2, -1);
		return side_set(fd, SIDE_LINGER2, v > 120 ? 120 : v ? v : FIN_TIMEOUT_S);
	default: /* TCP_INFO can only be read */
		return -ENOPROTOOPT;
	}
}

static int traffic_class(const struct tag *tag, int v)
{
	return tag->kind == TAG_TCP ? v & 0xff & ~ECN_MASK : v & 0xff;
}

static int set_ip(int fd, const struct tag *tag, int name, int v)
{
	switch (name) {
	case IP_TOS:
		return side_set(fd, SIDE_TOS, traffic_class(tag, v));
	case IP_TTL:
		if (v == -1)
			side_forget(fd, SIDE_TTL);
		else if (v < 1 || v > 255)
			return -EINVAL;
		return v == -1 ? 0 : side_set(fd, SIDE_TTL, v);
	default: /* IP_TRANSPARENT */
		return v ? -EPERM : 0;
	}
}

static int set_ip6(int fd, struct tag *tag, int name, int v)
{
	switch (name) {
	case IPV6_V6ONLY:
		if (tag->phase != TAG_FRESH)
			return -EINVAL;
		return set_flag(fd, tag, &tag->v6only, v != 0);
	case IPV6_MTU:
		return v && v < 1280 ? -EINVAL : 0;
	case IPV6_TCLASS:
		if (v < -1 || v > 255)
			return -EINVAL;
		return side_set(fd, SIDE_TCLASS, v < 0 ? 0 : traffic_class(tag, v));
	case IPV6_UNICAST_HOPS:
		if (v < -1 || v > 255)
			return -EINVAL;
		if (v == -1)
			side_forget(fd, SIDE_UNICAST_HOPS);
		return v == -1 ? 0 : side_set(fd, SIDE_UNICAST_HOPS, v);
	default: /* IPV6_TRANSPARENT */
		return v ? -EPERM : 0;
	}
}

/* The options whose value is no int; 1 for all others. */
static int set_bytes(int fd, int level, int name, const void *value, size_t len)
{
	if (level == SOL_SOCKET && name == SO_BINDTODEVICE)
		return set_device(fd, value, len);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return set_congestion(fd, value, len);
	if (level == IPPROTO_TCP && name == TCP_ULP)
		return -ENOENT;
	if (level == IPPROTO_IP && name == IP_OPTIONS)
		return len > 40 ? -EINVAL : len > 0 ? -EPERM : 0;
	if (level == IPPROTO_IP && name == IP_MTU)
		return -ENOPROTOOPT;
	return 1;
}

/* An int, at the IP level also one byte. */
static int read_value(int level, int name, const void *value, size_t len, int *vp)
{
	unsigned char byte;
	int r;

	*vp = 0;
	if (len >= sizeof(int))
		return user_read(vp, value, sizeof(int));
	if (level != IPPROTO_IP)
		return -EINVAL;
	if (len == 0)
		return name == IP_TTL || name == IP_TRANSPARENT ? -EINVAL : 0;
	r = user_read(&byte, value, 1);
	if (r == 0)
		*vp = byte;
	return r;
}

int opt_special_set(int fd, struct tag *tag, int level, int name, const void *value, size_t len)
{
	int v, r = udp_kind(tag) ? udp_opt_set(fd, tag, level, name, value, len) : 1;

	if (r == 1)
		r = set_bytes(fd, level, name, value, len);
	if (r == 1)
		r = read_value(level, name, value, len, &v);
	else
		return r;
	if (r < 0)
		return r;
	switch (level) {
	case SOL_SOCKET:
		return set_socket(fd, tag, name, v);
	case IPPROTO_TCP:
		return set_tcp(fd, tag, name, v);
	case IPPROTO_IP:
		return set_ip(fd, tag, name, v);
	default:
		return set_ip6(fd, tag, name, v);
	}
}
