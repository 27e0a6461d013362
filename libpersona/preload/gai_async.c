/* SPDX-License-Identifier: MIT */
/* getaddrinfo_a(3) and relatives. libc's would ask by functions of its own that no hook sees.
 *
 * GAI_NOWAIT is the one call of the shim that makes a thread: the program asks for nothing less.
 * The state of a request is its __return, as everywhere: EAI_INPROGRESS until its answer is there.
 * One condition says that any request has ended. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "preload.h"
#include "real.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;

struct batch {
	struct sigevent sev;
	pid_t pid;
	int n;
	struct gaicb *list[];
};

static void look_up(struct gaicb *req)
{
	struct addrinfo *result = NULL;
	int r = getaddrinfo(req->ar_name, req->ar_service, req->ar_request, &result);

	pthread_mutex_lock(&lock);
	req->ar_result = result;
	__atomic_store_n(&req->__return, r, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&ended);
	pthread_mutex_unlock(&lock);
}

static void notify(const struct sigevent *sev, pid_t caller)
{
	siginfo_t info = {0};

	switch (sev->sigev_notify) {
	case SIGEV_SIGNAL:
		info.si_signo = sev->sigev_signo;
		info.si_code = SI_ASYNCNL;
		info.si_pid = caller;
		info.si_uid = getuid();
		info.si_value = sev->sigev_value;
		SYS(SYS_rt_sigqueueinfo, getpid(), sev->sigev_signo, &info);
		break;
	case SIGEV_THREAD:
		sev->sigev_notify_function(sev->sigev_value); /* this is a thread of its own */
		break;
	default:
		break;
	}
}

static void *run(void *arg)
{
	struct batch *batch = arg;

	for (int i = 0; i < batch->n; i++)
		look_up(batch->list[i]);
	notify(&batch->sev, batch->pid);
	free(batch);
	return NULL;
}

/* Signals of the program are its own threads'. */
static int start(struct batch *batch)
{
	sigset_t all, before;
	pthread_t thread;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, NULL, run, batch);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		pthread_detach(thread);
	return r;
}

HOOK int getaddrinfo_a(int mode, struct gaicb *list[restrict], int n, struct sigevent *restrict sev)
{
	struct batch *batch;

	if (mode != GAI_WAIT && mode != GAI_NOWAIT)
		return ret(-EINVAL);
	if (n < 0)
		n = 0;
	batch = calloc(1, sizeof(*batch) + (size_t)n * sizeof(struct gaicb *));
	if (!batch)
		return EAI_MEMORY;
	for (int i = 0; i < n; i++)
		if (list[i]) {
			list[i]->ar_result = NULL;
			list[i]->__return = EAI_INPROGRESS;
			batch->list[batch->n++] = list[i];
		}
	batch->pid = getpid();
	batch->sev.sigev_notify = SIGEV_NONE;
	if (mode == GAI_NOWAIT && sev)
		batch->sev = *sev;
	if (mode == GAI_WAIT) {
		run(batch);
		return 0;
	}
	if (start(batch) == 0)
		return 0;
	for (int i = 0; i < batch->n; i++)
		batch->list[i]->__return = EAI_AGAIN;
	free(batch);
	return EAI_AGAIN;
}

static bool in_progress(const struct gaicb *req)
{
	return __atomic_load_n(&req->__return, __ATOMIC_ACQUIRE) == EAI_INPROGRESS;
}

/* How many requests there are, and how many have ended. */
static int count(const struct gaicb *const list[], int n, int *endedp)
{
	int total = 0;

	*endedp = 0;
	for (int i = 0; i < n; i++)
		if (list[i]) {
			total++;
			*endedp += !in_progress(list[i]);
		}
	return total;
}

HOOK int gai_suspend(const struct gaicb *const list[], int n, const struct timespec *timeout)
{
	int r = 0, done, total;
	struct timespec due;

	if (timeout) {
		clock_gettime(CLOCK_REALTIME, &due);
		due.tv_sec += timeout->tv_sec;
		due.tv_nsec += timeout->tv_nsec;
		if (due.tv_nsec >= 1000000000) {
			due.tv_sec++;
			due.tv_nsec -= 1000000000;
		}
	}
	pthread_mutex_lock(&lock);
	total = count(list, n, &done);
	if (done == total) {
		pthread_mutex_unlock(&lock);
		return EAI_ALLDONE;
	}
	while (done == 0 && r == 0) {
		r = timeout ? pthread_cond_timedwait(&ended, &lock, &due)
			    : pthread_cond_wait(&ended, &lock);
		count(list, n, &done);
	}
	pthread_mutex_unlock(&lock);
	return done > 0 ? 0 : EAI_AGAIN;
}

/* A question that is asked cannot be taken back. */
HOOK int gai_cancel(struct gaicb *req)
{
	return in_progress(req) ? EAI_NOTCANCELED : EAI_ALLDONE;
}
