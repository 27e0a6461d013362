/* SPDX-License-Identifier: MIT */
#include "tcpstat.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

int tcpstat_get(int fd, struct tcpstat *statp)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	*statp = (struct tcpstat){
		.all_acked = info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0,
		.in_flight = info.tcpi_unacked > 0 && info.tcpi_snd_wnd > 0,
		.ack_ms = info.tcpi_last_ack_recv,
		.unanswered = info.tcpi_probes,
	};
	return 0;
}
