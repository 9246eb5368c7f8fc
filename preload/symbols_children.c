/* symbols_children.c - the symbols of libc by which a program makes a child and
 * which aren't fork(3) or posix_spawn(3): vfork, system, popen.
 *
 * They fail as fork(2) does, by their pages, so they are calls of its row.
 * Inside libc they make their child without any symbol that we stand before.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "preload/guest.h"

static struct {
	pid_t (*vfork)(void), (*fork)(void);
	int (*system)(const char *command);
	FILE *(*popen)(const char *command, const char *mode);
} real;

void symbols_children_find(void)
{
	real.vfork = (pid_t(*)(void))dlsym(RTLD_NEXT, "vfork");
	real.fork = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
	real.system = (int (*)(const char *))dlsym(RTLD_NEXT, "system");
	real.popen = (FILE * (*)(const char *, const char *))
		dlsym(RTLD_NEXT, "popen");
}

/* vfork(2) returns twice to who called it, so no frame of ours may be left:
 * symbols_vfork_X.S jumps to it.  What a rule wants after the call would find
 * its parent's memory changed; fork(2), which POSIX allows in its place, is
 * made for that here. */
struct vfork_answer vfork_asked(void)
{
	struct flight flight = { .call = { .id = CALL_fork } };
	pid_t pid = -1;

	symbols_ready();
	if (LIKELY(!guest_state->armed_call[CALL_fork]))
		return (struct vfork_answer){ .go = real.vfork };
	if (hook_before(&flight)) {
		if (!flight.acts || !flight.call.after)
			return (struct vfork_answer){ .go = real.vfork };
		pid = real.fork();
	}
	return (struct vfork_answer){ .ret = hook_after(&flight, pid) };
}

EXPORT int system(const char *command)
{
	struct flight flight = { .call = { .id = CALL_fork } };
	int ret = -1;

	symbols_ready();
	if (LIKELY(!guest_state->armed_call[CALL_fork]))
		return real.system(command);
	if (hook_before(&flight))
		ret = real.system(command);
	return (int)hook_after(&flight, ret);
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	struct flight flight = { .call = { .id = CALL_fork } };
	intptr_t ret = -1;

	symbols_ready();
	if (LIKELY(!guest_state->armed_call[CALL_fork]))
		return real.popen(command, mode);
	if (hook_before(&flight)) {
		FILE *stream = real.popen(command, mode);

		ret = stream ? (intptr_t)stream : -1;
	}
	ret = hook_after(&flight, ret);
	return ret == -1 ? NULL : (FILE *)ret;
}
