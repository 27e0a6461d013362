/* SPDX-License-Identifier: MIT */
/* The portspace's own files below /etc that say how names are found: resolv.conf, hosts,
 * nsswitch.conf, host.conf, gai.conf. They are written into its runtime directory, where the shim
 * finds them for programs with resolvers of their own. Control loop only. */
#ifndef PERSONA_BROKER_ETC_H
#define PERSONA_BROKER_ETC_H

#include "core.h"

/* Writes them all, as the configuration and the table of names are now. A failure is logged: names
 * are found all the same, by the shim's own way. */
void etc_write(struct portspace *ps);

#endif
