/* say.h - records on standard output, whole and in order; see core/watch.h. */
#ifndef MISHAP_BPF_SAY_H
#define MISHAP_BPF_SAY_H

#include <stddef.h>

#include "core/watch.h"

/* say - append a record; body is borrowed.  seq: of the command, or 0. */
void say(__u16 type, __u64 seq, __u32 tgid, __u32 tid, __u16 phase,
	 const void *body, size_t bytes);
/* say_event - one that comes whole from the kernel. */
void say_event(const struct watch_record *record);
/* say_flush - 0, or -errno: nobody listens any more. */
int say_flush(void);
__u64 say_now_ns(void); /* CLOCK_MONOTONIC */

#endif
