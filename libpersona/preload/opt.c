/* SPDX-License-Identifier: MIT */
/* getsockopt(2) and setsockopt(2): lookup, lengths and pointers as Linux handles them.
 *
 * Lengths: an int is four bytes; the IP level also takes and gives one byte (an unsigned char),
 * as Linux does for compatibility with BSD, and a short IPV6_DONTFRAG is 0; else a short optlen
 * truncates a result and refuses a value with EINVAL. SO_MAX_PACING_RATE never reaches the kernel,
 * because the tag lives there. */
#include <linux/sockios.h>
#include <netinet/in.h>
#include <string.h>

#include "aside.h"
#include "netlink.h"
#include "opt.h"
#include "preload.h"
#include "real.h"
#include "udp.h"

/* Has this socket such a level at all? Linux lets an IPv6 socket have IPv4 options as well. */
static bool has_level(const struct tag *tag, int level)
{
	return level == IPPROTO_IP || (level == IPPROTO_TCP && tag->kind == TAG_TCP) ||
	       (level == IPPROTO_UDP && tag->kind == TAG_UDP) || (level == IPPROTO_IPV6 && tag->v6);
}

/* What Linux says to reading an option that a socket does not have. */
static int unknown_get(const struct tag *tag, int level)
{
	return has_level(tag, level) || tag->v6 ? -ENOPROTOOPT : -EOPNOTSUPP;
}

/* The same for setting; TCP, UDP and IPv6 copy the value before they look at the name. */
static int unknown_set(const struct tag *tag, int level, const void *value, socklen_t len)
{
	int v, r = 0;

	if (!has_level(tag, level) || level == IPPROTO_IP)
		return -ENOPROTOOPT;
	if (len >= sizeof(v))
		r = user_read(&v, value, sizeof(v));
	else if (level == IPPROTO_TCP || level == IPPROTO_UDP)
		r = -EINVAL;
	return r < 0 ? r : -ENOPROTOOPT;
}

/* The value the program reads; 0 or a negative errno. */
static int get_value(
	int fd, struct tag *tag, const struct opt *opt, size_t cap, struct opt_value *valuep)
{
	valuep->len = sizeof(int);
	valuep->i = opt->def;
	switch (opt->kind) {
	case OPT_SPECIAL:
		return opt_special_get(fd, tag, opt->level, opt->name, cap, valuep);
	case OPT_FLAG:
		valuep->i = (tag->value & (uint32_t)opt->def) != 0;
		return 0;
	case OPT_ERROR:
		return -opt->err;
	case OPT_VALUE:
	case OPT_BOOL:
		side_get(fd, opt->key, &valuep->i);
		return 0;
	default:
		return 0;
	}
}

static int give(
	int fd, int level, const struct opt_value *value, socklen_t cap, void *dst, socklen_t *lenp)
{
	socklen_t len = cap < value->len ? cap : (socklen_t)value->len;
	unsigned char byte = (unsigned char)value->i;
	const void *src = value->bytes;
	int r;

	if (level == IPPROTO_IP && value->len == sizeof(int) && cap > 0 && cap < sizeof(int) &&
		value->i >= 0 && value->i <= 255) {
		src = &byte;
		len = 1;
	}
	r = user_write(fd, lenp, &len, sizeof(len));
	return r < 0 ? r : user_write(fd, dst, src, len);
}

HOOK int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict lenp)
{
	const struct opt *opt;
	struct opt_value v = {.len = 0};
	struct tag tag;
	socklen_t cap;
	int r;

	if (tag_get(fd, &tag) < 0)
		return real(getsockopt)(fd, level, name, value, lenp);
	if (tag.kind == TAG_NETLINK)
		return ret(netlink_getsockopt(fd, &tag, level, name, value, lenp));
	opt = opt_find(&tag, level, name);
	if ((!opt && level == SOL_SOCKET) || (opt && opt->kind == OPT_NATIVE))
		return real(getsockopt)(fd, level, name, value, lenp);
	if (!opt && !has_level(&tag, level))
		return ret(unknown_get(&tag, level));
	r = user_read(&cap, lenp, sizeof(cap));
	if (r == 0 && (int)cap < 0 && level != IPPROTO_IPV6) /* there it is a large size */
		r = -EINVAL;
	if (r == 0 && !opt)
		r = unknown_get(&tag, level);
	if (r == 0)
		r = get_value(fd, &tag, opt, cap, &v);
	return ret(r < 0 ? r : give(fd, level, &v, cap, value, lenp));
}

/* Reads the program's int: four bytes, or one at the IP level. */
static int take_int(int level, int name, const void *value, socklen_t len, int *ip)
{
	unsigned char byte;
	int r;

	if (len >= sizeof(int))
		return user_read(ip, value, sizeof(int));
	*ip = 0;
	if (level == IPPROTO_IPV6 && name == IPV6_DONTFRAG)
		return 0;
	if (level != IPPROTO_IP)
		return -EINVAL;
	if (len == 0)
		return name == IP_FREEBIND || name == IP_MINTTL || name == IP_MULTICAST_TTL ||
				       name == IP_MULTICAST_LOOP || name == IP_MULTICAST_ALL
			       ? -EINVAL
			       : 0;
	r = user_read(&byte, value, 1);
	if (r == 0)
		*ip = byte;
	return r;
}

static int set_int(int fd, struct tag *tag, const struct opt *opt, int v)
{
	switch (opt->kind) {
	case OPT_ERROR:
	case OPT_CONST:
		return -opt->err;
	case OPT_FLAG:
		return udp_opt_flag(fd, tag, (uint32_t)opt->def, v != 0);
	case OPT_BOOL:
		return side_set(fd, opt->key, v != 0);
	case OPT_VALUE:
		if (v < opt->min || v > opt->max)
			return -opt->err;
		if (v == -1 && opt->min == -1) /* a hop limit's default */
			v = opt->def;
		return side_set(fd, opt->key, v);
	case OPT_IGNORE:
		return v < opt->min || v > opt->max ? -opt->err : 0;
	default:
		return 0;
	}
}

HOOK int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	const struct opt *opt;
	struct tag tag;
	int r, v;

	if (tag_get(fd, &tag) < 0)
		return real(setsockopt)(fd, level, name, value, len);
	if (tag.kind == TAG_NETLINK)
		return ret(netlink_setsockopt(fd, &tag, level, name, value, len));
	opt = opt_find(&tag, level, name);
	if ((!opt && level == SOL_SOCKET) || (opt && opt->kind == OPT_NATIVE)) {
		r = real(setsockopt)(fd, level, name, value, len);
		/* accepted sockets shall have it: look again at what the listener has */
		if (r == 0 && opt && tag.phase == TAG_LISTENING)
			side_forget(fd, SIDE_INHERIT);
		if (r == 0 && name == SO_LINGER && tag.phase == TAG_CONNECTED)
			aside_linger(fd, &tag);
		return r;
	}
	if ((int)len < 0)
		return ret(-EINVAL);
	if (!opt)
		return ret(unknown_set(&tag, level, value, len));
	if (opt->kind == OPT_SPECIAL) {
		r = opt_special_set(fd, &tag, level, name, value, len);
	} else {
		r = take_int(level, name, value, len, &v);
		if (r == 0)
			r = set_int(fd, &tag, opt, v);
	}
	if (r == 0 && opt->kind != OPT_FLAG && udp_kind(&tag))
		udp_opt_changed(fd, level, name);
	return ret(r);
}
