/* SPDX-License-Identifier: MIT */
/* Functions that would open internet sockets inside libc, where no hook sees it: the r commands
 * and the Sun RPC of old binaries. Nothing of today uses them; they fail as if the network were
 * down. Their headers are not included here, since the prototypes do not matter for failing. */
#include <netinet/in.h>
#include <string.h>

#include "preload.h"

#define DENY(result, name, value)    \
	HOOK result name(void);      \
	HOOK result name(void)       \
	{                            \
		errno = ENETUNREACH; \
		return value;        \
	}

enum { CLNT_CANTSEND = 3 }; /* RPC_CANTSEND of enum clnt_stat */

DENY(int, rcmd, -1)
DENY(int, rcmd_af, -1)
DENY(int, rexec, -1)
DENY(int, rexec_af, -1)
DENY(int, rresvport, -1)
DENY(int, rresvport_af, -1)
DENY(int, ruserok, -1)
DENY(int, ruserok_af, -1)
DENY(int, iruserok, -1)
DENY(int, iruserok_af, -1)
DENY(int, rtime, -1)
DENY(int, callrpc, CLNT_CANTSEND)
DENY(int, clnt_broadcast, CLNT_CANTSEND)
DENY(int, pmap_rmtcall, CLNT_CANTSEND)
DENY(int, pmap_set, 0)
DENY(int, pmap_unset, 0)
DENY(unsigned short, pmap_getport, 0)
DENY(void *, pmap_getmaps, NULL)
DENY(void *, clnt_create, NULL)
DENY(void *, clnttcp_create, NULL)
DENY(void *, clntudp_create, NULL)
DENY(void *, clntudp_bufcreate, NULL)
DENY(void *, svctcp_create, NULL)
DENY(void *, svcudp_create, NULL)
DENY(void *, svcudp_bufcreate, NULL)

HOOK void get_myaddress(struct sockaddr_in *sin);
HOOK void get_myaddress(struct sockaddr_in *sin)
{
	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_port = htons(111);
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}
