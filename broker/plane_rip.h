/* SPDX-License-Identifier: MIT */
/* RIP in the packet plane: between rip.h, the portspace's sockets and the core's table.
 *
 * Model: while the configuration says so there is one speaker for each portspace, which has the
 * ports 520 and 521 and is a member of the groups of RIPv2 and RIPng. RIPv2 speaks from the first
 * IPv4 address of the portspace, if it has one, RIPng from the link-local one, if the portspace has
 * IPv6 addresses. What it learns goes into the core's table at once. The plane's thread only. */
#ifndef PERSONA_BROKER_PLANE_RIP_H
#define PERSONA_BROKER_PLANE_RIP_H

#include "plane_priv.h"

/* Starts, changes or stops RIP as the configuration and the links are now. */
void plane_rip_update(struct plane_ps *pps);
/* The link is there. */
void plane_rip_link_new(struct plane_link *pl);
/* The link is about to go. */
void plane_rip_link_gone(struct plane_link *pl);
/* Stops it: others are told, what was learned is withdrawn. While the links are still there. */
void plane_rip_stop(struct plane_ps *pps);

#endif
