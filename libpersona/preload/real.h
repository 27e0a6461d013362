/* SPDX-License-Identifier: MIT */
/* The next definition of a hooked function: real(read)(fd, buf, n).
 *
 * Model: resolved with dlsym(RTLD_NEXT) once, by the constructor, so that no hook takes the
 * loader's locks later (after fork from a threaded program that would deadlock). A call that comes
 * before the constructor gets a raw system call for the functions that allocators and loaders use
 * (REAL_EARLY) and a dlsym for the others. */
#ifndef PERSONA_PRELOAD_REAL_H
#define PERSONA_PRELOAD_REAL_H

#include "hooks.h"

enum real_index {
#define X(result, name, params) REAL_##name,
	REAL_ALL(X)
#undef X
		REAL_COUNT
};

#define X(result, name, params) typedef result real_##name##_fn params;
REAL_ALL(X)
#undef X

#define real(name) ((real_##name##_fn *)real_get(REAL_##name))

void *real_get(enum real_index index); /* never NULL for what libc has */
void real_resolve_all(void);

#endif
