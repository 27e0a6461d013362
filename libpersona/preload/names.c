/* SPDX-License-Identifier: MIT */
/* getsockname(2) and getpeername(2): both overlay addresses are in the kernel's socket names.
 *
 * A connecting socket carries source and destination in its own abstract name; an accepted one
 * finds the same, seen from the other side, in its peer's name (sockname.h). Before a connection
 * the tag has the bound address. */
#include <netinet/in.h>
#include <string.h>

#include "netlink.h"
#include "preload.h"
#include "real.h"
#include "sockname.h"
#include "udp.h"

static bool decode(long call, int fd, const struct info *info, struct sockname *namep)
{
	struct sockaddr_un sun;
	socklen_t len = sizeof(sun);

	if (SYS(call, fd, &sun, &len) < 0 || len > sizeof(sun))
		return false;
	return sockname_decode(&sun, len, info->portspace, info->secret, namep);
}

int names_of(int fd, const struct info *info, struct endpoint *localp, struct endpoint *peerp)
{
	struct sockname name;

	if (decode(SYS_getsockname, fd, info, &name)) {
		*localp = name.src;
		*peerp = name.dst;
		return 0;
	}
	if (decode(SYS_getpeername, fd, info, &name)) {
		*localp = name.dst;
		*peerp = name.src;
		return 0;
	}
	return -ENOTCONN;
}

/* A connecting socket of the kind "local" was handed to the broker after all when its peer is a
 * stream.N (connect.c). */
bool names_carried(int fd, const struct info *info)
{
	struct sockaddr_un sun, prefix;
	socklen_t len = sizeof(sun);
	struct sockname name;

	if (decode(SYS_getsockname, fd, info, &name) && name.kind == SOCKNAME_CLIENT)
		return true;
	if (SYS(SYS_getpeername, fd, &sun, &len) < 0 || len > sizeof(sun))
		return false;
	if (sockname_decode(&sun, len, info->portspace, info->secret, &name))
		return name.kind == SOCKNAME_RELAY;
	return runtime_path("stream.", &prefix) != 0 &&
	       strncmp(sun.sun_path, prefix.sun_path, strlen(prefix.sun_path)) == 0;
}

/* Linux shows an IPv4 address on an IPv6 socket in its mapped form. */
static int give(int fd, const struct tag *tag, const struct endpoint *ep, struct sockaddr *addr,
	socklen_t *lenp)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(ep, tag->v6 ? AF_INET6 : AF_INET, &ss);

	return len == 0 ? -EINVAL : user_write_sockaddr(fd, addr, lenp, &ss, len);
}

HOOK int getsockname(int fd, __SOCKADDR_ARG addr, socklen_t *restrict lenp)
{
	const struct shim_info *si;
	struct endpoint local, peer;
	struct tag tag;

	if (tag_get(fd, &tag) < 0)
		return real(getsockname)(fd, addr.__sockaddr__, lenp);
	if (tag.kind == TAG_NETLINK)
		return ret(netlink_name(fd, &tag, false, addr.__sockaddr__, lenp));
	si = info_get();
	if (!si)
		return ret(-ENOBUFS);
	if (udp_kind(&tag)) {
		int r = udp_names(fd, &tag, &local, &peer);

		return ret(r < 0 ? r : give(fd, &tag, &local, addr.__sockaddr__, lenp));
	}
	if (tag.phase < TAG_CONNECTING || names_of(fd, &si->info, &local, &peer) < 0)
		tag_local(&tag, &si->info, &local);
	return ret(give(fd, &tag, &local, addr.__sockaddr__, lenp));
}

HOOK int getpeername(int fd, __SOCKADDR_ARG addr, socklen_t *restrict lenp)
{
	const struct shim_info *si;
	struct endpoint local, peer;
	struct tag tag;

	if (tag_get(fd, &tag) < 0)
		return real(getpeername)(fd, addr.__sockaddr__, lenp);
	if (tag.kind == TAG_NETLINK)
		return ret(netlink_name(fd, &tag, true, addr.__sockaddr__, lenp));
	si = info_get();
	if (tag.phase == TAG_CONNECTED && udp_kind(&tag)) {
		int r = udp_names(fd, &tag, &local, &peer);

		if (r == 0 && peer.port == 0)
			r = -ENOTCONN;
		return ret(r < 0 ? r : give(fd, &tag, &peer, addr.__sockaddr__, lenp));
	}
	if (tag.phase != TAG_CONNECTED || !si || names_of(fd, &si->info, &local, &peer) < 0)
		return ret(-ENOTCONN);
	return ret(give(fd, &tag, &peer, addr.__sockaddr__, lenp));
}
