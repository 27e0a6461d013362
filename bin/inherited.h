/* SPDX-License-Identifier: MIT */
/* Descriptors that a program must not bring into a portspace: sockets of the base network. */
#ifndef PERSONA_BIN_INHERITED_H
#define PERSONA_BIN_INHERITED_H

/* Closes every open descriptor of this process that is a socket of another family than AF_UNIX or
 * an io_uring, with a warning on standard error that names it; 0, 1 and 2 become /dev/null. Returns
 * how many, or a negative errno when the list of descriptors cannot be read. Call before the
 * process makes itself non-dumpable. */
int inherited_close_foreign(const char *program);

#endif
