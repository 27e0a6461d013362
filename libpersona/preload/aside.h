/* SPDX-License-Identifier: MIT */
/* Asides: what the broker must know of a stream that it carries and does not see (ask.h).
 *
 * Two things. That the program shut down writing itself: a byte behind that stays unread in the
 * broker, so that the kernel turns every end but an orderly one into ECONNRESET. And that a close
 * shall be a reset (SO_LINGER with time 0). Streams that the broker does not carry have neither.
 * Asides are sent without waiting; where there is no room for one even after SO_SNDBUF was raised
 * to the kernel's limit, the stream ends as if the program had not asked. */
#ifndef PERSONA_PRELOAD_ASIDE_H
#define PERSONA_PRELOAD_ASIDE_H

#include <stdbool.h>

#include "ask.h"
#include "tag.h"

/* Right before shutdown(SHUT_WR) of a connected stream. The tag's value is changed, not stored. */
void aside_fin(int fd, struct tag *tag);
/* SO_LINGER of a connected stream may have changed: tells the broker and stores the tag. */
void aside_linger(int fd, struct tag *tag);
/* Does SO_LINGER make a close a reset? */
bool aside_aborts(int fd);
/* The SO_SNDBUF to set where the program asks for v: a reserve for asides is left. */
static inline int sndbuf_clamp(int v)
{
	return v < 0 || v > CONNREQ_SNDBUF ? CONNREQ_SNDBUF : v;
}
/* SIOCOUTQ as the program is to see it: without the byte that stays unread. */
int aside_outq(const struct tag *tag, int outq);

#endif
