/* SPDX-License-Identifier: MIT */
/* Is the path of a carrier still there?
 *
 * Model: idle, the kernel's keepalive finds out; with an OPEN or an answer under way,
 * TCP_USER_TIMEOUT. But that option also ends a connection whose peer answers every probe and only
 * keeps its window closed (tcp_probe_timer in Linux), so a reader that pauses for longer would lose
 * its stream. While a stream's bytes are under way for more than a tick it is therefore switched
 * off, and we look at the kernel's counters ourselves: a slow reader still acknowledges.
 * References: RFC 9293 section 3.8.6.1 (probing must go on as long as it is answered), tcp(7). */
#include "carrier_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tcpstat.h"

enum { ACK_MS = 1500 /* an acknowledgment that old was here before the last tick */ };

static void set_timeout(struct carrier *c, int ms)
{
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

void carrier_be_patient(struct carrier *c, bool patient)
{
	if (c->patient == patient)
		return;
	c->patient = patient;
	c->stuck = 0;
	set_timeout(c, patient ? 0 : CARRIER_USER_TIMEOUT_MS);
}

bool carrier_check(struct carrier *c)
{
	struct tcpstat stat;

	if (!c->unsure || c->dead || tcpstat_get(c->fd, &stat) < 0)
		return true;
	if (stat.all_acked) {
		c->unsure = false;
		carrier_be_patient(c, false);
		return true;
	}
	carrier_be_patient(c, true);
	if (stat.in_flight && stat.ack_ms > ACK_MS)
		c->stuck++; /* one more second without an acknowledgment */
	else
		c->stuck = 0;
	/* Probes become rare, so their answers alone may be old on a living path. */
	if (c->stuck < CARRIER_USER_TIMEOUT_MS / 1000 &&
		(stat.unanswered < CARRIER_PROBES || stat.ack_ms < CARRIER_USER_TIMEOUT_MS))
		return true;
	carrier_lose(c, ETIMEDOUT);
	return false;
}
