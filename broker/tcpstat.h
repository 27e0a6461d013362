/* SPDX-License-Identifier: MIT */
/* What the kernel knows of the sending side of a TCP connection. A file of its own because
 * linux/tcp.h, which has all of struct tcp_info, does not go with netinet/tcp.h. */
#ifndef PERSONA_BROKER_TCPSTAT_H
#define PERSONA_BROKER_TCPSTAT_H

#include <stdbool.h>
#include <stdint.h>

struct tcpstat {
	bool all_acked;	    /* the peer has acknowledged everything that was written */
	bool in_flight;	    /* something was sent and is not acknowledged, into an open window */
	uint32_t ack_ms;    /* milliseconds since the last acknowledgment */
	uint8_t unanswered; /* probes of a closed window without an answer */
};

int tcpstat_get(int fd, struct tcpstat *statp); /* 0 or negative errno */

#endif
