/* SPDX-License-Identifier: MIT */
/* How the broker's objects (docs/PROTOCOL.md, section 2) look to people. Members that are missing
 * or of another type are shown as "-": the broker may be older or newer. All print on standard
 * output and return 0 or -ENOMEM. */
#ifndef PERSONA_BIN_VIEW_H
#define PERSONA_BIN_VIEW_H

#include <jansson.h>

int view_portspaces(const json_t *array);	 /* a table, one line each */
int view_portspace(const json_t *portspace);	 /* all about one */
int view_links(const json_t *array, int indent); /* a table; nothing when there is none */
int view_broker(const json_t *broker);		 /* two lines */
int view_status(const json_t *portspace);	 /* links with counters, processes, ports */
int view_services(const json_t *array);		 /* who answers each port: persona ports */

#endif
