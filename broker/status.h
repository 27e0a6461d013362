/* SPDX-License-Identifier: MIT */
/* The objects of the control protocol (docs/PROTOCOL.md, section 2) as JSON. No key but public ones
 * ever gets in. All return a new reference, NULL when out of memory. Control loop only. */
#ifndef PERSONA_BROKER_STATUS_H
#define PERSONA_BROKER_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "core_priv.h"

/* What the broker says of itself. */
struct status_broker {
	uint64_t started_ms; /* CLOCK_MONOTONIC */
	unsigned workers;
	const struct endpoint *listen; /* nlisten of them; owned by the caller */
	size_t nlisten;
};

json_t *status_broker(const struct core *core, const struct status_broker *broker);
/* `detail` adds what only `status` shows. */
json_t *status_link(struct link *link, bool detail);
json_t *status_links(struct portspace *ps, bool detail);
json_t *status_portspace(struct portspace *ps, bool detail);

#endif
