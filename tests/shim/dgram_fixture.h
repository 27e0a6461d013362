/* SPDX-License-Identifier: MIT */
/* The datagram part of the test broker: RUNTIME/dgram with the real codec, a network with
 * destinations that behave in a known way.
 *
 * Own addresses and loopback reach the portspace's sockets, or ECONNREFUSED. 224.9.9.9 and ff02::99
 * reach the sockets that joined. Destinations 10.9.0.N (and fd09::N):
 *   1 echoes, with ttl 61, tos 4 and interface 2; ICMP echo requests are answered
 *   2 ECONNREFUSED (port unreachable)    5 nothing    6 EHOSTUNREACH (time exceeded, by 10.9.0.254)
 *   8 EMSGSIZE with the MTU 1300, from the broker itself
 *   9 answers with what the head said, as text    10 an error for the error queue alone
 *   11 two datagrams with a refusal between them
 * connect(2) to 10.99.0.0/16 is ENETUNREACH. */
#ifndef TESTS_SHIM_DGRAM_FIXTURE_H
#define TESTS_SHIM_DGRAM_FIXTURE_H

#include "fixture.h"

/* Serves the listening socket until the process gets SIGTERM. */
void dgram_fixture_run(struct fixture *f, int listener);

#endif
