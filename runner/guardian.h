/* guardian.h - the process that answers for the notify door.
 *
 * One thread, one epoll loop: a delayed call waits in a queue, not in us, so
 * that no call holds up another's.  It shares with the runner the memory that
 * libmishap.so shares with it, and writes the same slots, counts and events.
 * When the runner dies, or the lease lapses, everything is let go at once; it
 * ends when the last process under its filters has.
 *
 *   guardian.c          the loop, listeners, the runner's word
 *   guardian_process.c  who asks: processes, threads, images, slots
 *   guardian_call.c     what is asked: arguments, paths, peers
 *   guardian_rules.c    which rules act
 *   guardian_act.c      delay, hang, kill, the answer
 *   guardian_short.c    transfers that are cut short, made here
 */
#ifndef MISHAP_RUNNER_GUARDIAN_H
#define MISHAP_RUNNER_GUARDIAN_H

#include <linux/seccomp.h>

#include "core/decide.h"
#include "core/look.h"
#include "runner/clock.h"
#include "runner/notify.h"
#include "runner/sites.h"

/* One byte each; a listener comes along with the first. */
enum guardian_word { GUARDIAN_LISTENER = 'L', GUARDIAN_QUIET = 'Q' };

#define GUARDIAN_PATH_MAX  4096
#define GUARDIAN_BUCKETS   1024	       /* a power of two */
#define GUARDIAN_FDS_MAX   65536       /* per=fd */
#define GUARDIAN_SHORT_MAX (16u << 20) /* a longer cut is cut to this */
#define GUARDIAN_SLICE_NS  (20 * NS_PER_MS)
#define GUARDIAN_REPEAT_NS NS_PER_S /* later it is another call */

/* What epoll tells about; the first member of its owner. */
struct guardian_source {
	enum {
		SOURCE_CHANNEL,
		SOURCE_LISTENER,
		SOURCE_PROCESS,
		SOURCE_IO
	} kind;
	int fd;
};

struct guardian_listener {
	struct guardian_source source;
	unsigned users; /* notices that wait for their answer */
	bool over;
};

struct guardian_counts { /* of per=thread and per=fd */
	uint32_t matched[PLAN_RULES_MAX];
	uint16_t fired[PLAN_RULES_MAX];
	uint64_t bytes[PLAN_RULES_MAX];
};

enum guardian_owner {
	OWNER_NOBODY,  /* one of ours that has yet to become the target */
	OWNER_LIBRARY, /* libmishap.so lives in it, or will: not our business */
	OWNER_NOTIFY,
};

struct guardian_process {
	struct guardian_source source; /* its pidfd */
	struct guardian_process *next;
	pid_t pid;
	int32_t own_pid; /* as it sees itself */
	enum guardian_owner owner;
	struct process *slot; /* NULL unless it is ours; or none was left */
	bool exec_pending; /* it asked for an exec: is it another image now? */
	bool exec_is_ours; /* ... and we would own that one */
	char exec_exe[SHARED_EXE_MAX];
	uint64_t exe_rules; /* rules whose exe= is this image's */
	bool had_event;
	struct guardian_counts **by_fd; /* GUARDIAN_FDS_MAX or NULL */
	unsigned users;			/* notices that wait */
	bool gone;
};

struct guardian_thread {
	struct guardian_thread *next;
	pid_t tid;
	struct guardian_process *process;
	uint32_t ordinal; /* 0: the main thread, then as they come */
	struct guardian_counts counts;
	/* A wait that a signal cut short: the same call comes again. */
	uint64_t again_until_ns, again_due_ns;
	uint64_t again_nr, again_args[6];
	struct call again_call;
	uint32_t again_hang_phases;
};

struct guardian {
	struct state *state;
	const struct plan *plan;
	const char *shared_path;
	bool wants_uring, wants_fds, wants_side; /* by any rule */
	int epoll;
	struct guardian_source channel;
	unsigned listeners;
	bool over, quiet; /* the runner is gone; the run is */
	struct seccomp_notif_sizes sizes;
	struct guardian_process *processes[GUARDIAN_BUCKETS];
	struct guardian_thread *threads[GUARDIAN_BUCKETS];
	struct notice *waiting;
};

enum notice_stage {
	STAGE_DELAY,
	STAGE_HANG,
	STAGE_KILL,
	STAGE_DYING, /* a fatal signal is under way: no answer */
	STAGE_CALL,
	STAGE_IO, /* a short transfer waits for its descriptor */
};

/* One call that was asked about, from there to its answer. */
struct notice {
	struct guardian_source source; /* of the transfer; see fd */
	struct notice *next;
	struct guardian *guardian;
	struct guardian_listener *listener;
	struct guardian_process *process;
	struct guardian_thread *thread;
	uint64_t id, nr, args[6];
	const struct call_kernel *row;
	struct call call; /* pointers are the target's */
	pid_t tid;
	int fd; /* a copy of call.fd's; -1: not asked for yet, or none */
	bool has_objects, checked, passed, ended, acts;
	uint64_t objects;
	uint32_t hang_phases;
	enum notice_stage stage;
	uint64_t due_ns, wake_ns;
	uint64_t look_ns; /* for signals; 0: it has only just come */
};

/* guardian.c */
_Noreturn void guardian_main(const struct notify_input *input, int channel);
/* May anything act?  Neither over, nor quiet, nor lapsed. */
bool guardian_holds(const struct guardian *guardian, uint64_t now_ns);
int guardian_watch(struct guardian *guardian, struct guardian_source *source,
		   uint32_t events);

/* guardian_process.c.  NULL: it is gone, or nothing is known of it. */
struct guardian_thread *guardian_thread_of(struct guardian *guardian,
					   pid_t tid);
void guardian_exec_seen(struct notice *notice);
void guardian_process_gone(struct guardian *guardian,
			   struct guardian_process *process);
void guardian_process_release(struct guardian_process *process);
/* At the end of the run: no slot stays in an exec that came to pass. */
void guardian_processes_settle(struct guardian *guardian);
struct guardian_counts *guardian_fd_counts(struct guardian_process *process,
					   int fd);
void guardian_fd_forget(struct guardian_process *process, unsigned first,
			unsigned last);
/* A field of /proc/TID/status as a number; false: it isn't there. */
bool guardian_status(pid_t tid, const char *field, int base,
		     uint64_t *ret_value);

/* guardian_call.c */
void notice_fill(struct notice *notice);
/* Copy from and to the target.  Bytes, or -errno; all or nothing is the
 * caller's to check. */
long notice_copy(const struct notice *notice, void *to, const void *from,
		 size_t n);
long notice_write(const struct notice *notice, void *to, const void *from,
		  size_t n);
/* Is it still asked?  Then what was read of it was its own. */
bool notice_is_valid(const struct notice *notice);
int notice_fd(struct notice *notice); /* a copy of call.fd's, or -1 */
void notice_ask_nonblocking(struct notice *notice);
/* A bit per rule whose object selectors match. */
uint64_t notice_objects(struct notice *notice, unsigned rule);

/* guardian_rules.c */
bool notice_judge(struct notice *notice); /* true: something acts */

/* guardian_act.c.  notice_advance: true: it was answered, or can't be. */
bool notice_advance(struct notice *notice, uint64_t now_ns);
void notice_continue(const struct notice *notice);
void notice_respond(const struct notice *notice, int64_t result, int error);
bool notice_resume(struct notice *notice); /* of a call that comes again */

/* guardian_short.c */
enum short_can { SHORT_NO_MATCH, SHORT_CAN, SHORT_CANNOT };
enum short_can notice_can_short(struct notice *notice, uint64_t len_max);
/* true: it was answered; false: its descriptor isn't ready. */
bool notice_short(struct notice *notice);

/* guardian_net.c - as net_applies() and net_act() in preload/net.h. */
bool notice_net_applies(struct notice *notice, const struct plan_rule *rule);
void notice_net_act(struct notice *notice);

#endif
