/* SPDX-License-Identifier: MIT */
/* What the read and send families share: how a result of AF_UNIX becomes TCP's. */
#ifndef PERSONA_PRELOAD_STREAM_H
#define PERSONA_PRELOAD_STREAM_H

#include <stddef.h>
#include <sys/types.h>

/* A read family call returned 0 although bytes were asked for. Returns 0 for an end of stream, or
 * -1 with errno ECONNRESET when the broker reported a reset. Descriptors that are no sockets of
 * the portspace give 0. */
ssize_t stream_end(int fd);
/* A read family call failed with errno set. Returns what TCP's would return. */
ssize_t stream_read_error(int fd);
/* A send family call failed with errno set; flags are its flags. Returns -1 with TCP's errno, or 1
 * when the call is to be repeated without an address. */
int stream_send_error(int fd, int flags);

#endif
