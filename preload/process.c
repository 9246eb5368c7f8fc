/* process.c - our slot, and the creation paths of threads and children. */
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "core/slot.h"
#include "preload/guest.h"

_Thread_local struct thread guest_thread;
bool guest_by_symbols;

/* What glibc has and musl hasn't, or the other way round. */
extern char __libc_single_threaded __attribute__((weak));
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void),
			     void *) __attribute__((weak));
extern HIDDEN void *__dso_handle;

static const char nobody_knows;
const char *guest_single_threaded = &nobody_knows;
int (*thread_create_real)(pthread_t *, const pthread_attr_t *,
			  void *(*)(void *), void *);

/* Zero in the child of a fork, and in nobody else: madvise(2). */
static uint32_t *wiped_on_fork;
static int32_t pid_kept; /* whose memory this is, as long as that isn't wiped */

static int32_t own_pid(void)
{
	return (int32_t)sys0(SYS_getpid);
}

/* ---- slots ------------------------------------------------------------ */

void process_check_in(struct state *state)
{
	struct process *slot = slot_of_exec(state, own_pid());

	if (&__libc_single_threaded)
		guest_single_threaded = &__libc_single_threaded;

	if (slot) {
		slot->path = slot_offspring(slot->path, BY_EXEC, 0);
		atomic_store(&slot->sites, SITES_UNTRIED);
	} else {
		slot = slot_claim(state);
		if (!slot)
			return;
		slot_fill(slot, own_pid(), rng_mix(guest_plan.header->seed),
			  clock_ns(), PROCESS_LIVE);
	}
	guest_thread.stream = slot->path;
	guest_process = slot;
}

void process_publish_exe(const char *name)
{
	size_t n = strlen(name);

	if (n >= sizeof(guest_process->exe))
		n = sizeof(guest_process->exe) - 1;
	memset(guest_process->exe, 0, sizeof(guest_process->exe));
	memcpy(guest_process->exe, name, n);
}

/* ---- forks ------------------------------------------------------------ */

static void fork_comes(void)
{
	if (!guest_process)
		return;
	thread_stream();
	guest_thread.forks++;
	BUMP(guest_process->children);
}

static void forked(uint64_t kind)
{
	struct thread *thread = &guest_thread;
	struct process *parent = guest_process, *slot;
	uint64_t path = slot_offspring(thread->stream, kind, thread->forks);

	pid_kept = own_pid();
	*wiped_on_fork = 1;
	memset(thread, 0, sizeof(*thread));
	thread->stream = path;
	fdcount_forget_all();
	object_forget_all();
	slot = parent ? slot_claim(guest_state) : NULL;
	if (slot) {
		slot_fill(slot, own_pid(), path, clock_ns(), PROCESS_CLAIMED);
		memcpy(slot->exe, parent->exe, sizeof(slot->exe));
		atomic_store(&slot->sites, PEEK(parent->sites));
		atomic_store(&slot->sites_patched, PEEK(parent->sites_patched));
		atomic_store(&slot->sites_left, PEEK(parent->sites_left));
		atomic_store(&slot->status, PROCESS_LIVE);
	}
	guest_process = slot;
}

/* fork(3) tells us; clone(2) by hand doesn't, and is noticed later. */
static void fork_came(void)
{
	if (*wiped_on_fork == 0)
		forked(BY_FORK);
}

/* glibc's pthread_atfork() is linked into whoever calls it. */
static void watch_forks(void)
{
	int (*atfork)(void (*)(void), void (*)(void), void (*)(void));

	if (__register_atfork) {
		__register_atfork(fork_comes, NULL, fork_came, &__dso_handle);
		return;
	}
	atfork = (int (*)(void (*)(void), void (*)(void), void (*)(void)))dlsym(
		RTLD_DEFAULT, "pthread_atfork");
	if (atfork)
		atfork(fork_comes, NULL, fork_came);
}

void process_watch_forks(void)
{
	long page = sys6(SYS_mmap, 0, SHARED_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page < 0 && page > -4096)
		return;
	if (sys3(SYS_madvise, page, SHARED_PAGE, MADV_WIPEONFORK) < 0) {
		sys3(SYS_munmap, page, SHARED_PAGE, 0);
		return;
	}
	wiped_on_fork = (uint32_t *)page;
	pid_kept = own_pid();
	*wiped_on_fork = 1;
	watch_forks();
}

int32_t process_of_memory(void)
{
	return wiped_on_fork && *wiped_on_fork ? pid_kept : own_pid();
}

bool process_is_ours(void)
{
	if (LIKELY(PEEK(guest_process->pid) == own_pid()))
		return true;
	if (!wiped_on_fork || *wiped_on_fork)
		return false; /* vfork: this memory is our parent's */
	forked(BY_CLONE);
	return guest_process != NULL;
}

/* ---- exec ------------------------------------------------------------- */

struct process *process_exec_begins(void)
{
	struct process *slot;

	if (!guest_process)
		return NULL;
	if (process_is_ours()) {
		atomic_store(&guest_process->status, PROCESS_EXECING);
		return guest_process;
	}
	if (!guest_process)
		return NULL;
	fork_comes();
	slot = slot_claim(guest_state);
	if (slot)
		slot_fill(slot, own_pid(),
			  slot_offspring(guest_thread.stream, BY_FORK,
					 guest_thread.forks),
			  clock_ns(), PROCESS_EXECING);
	return slot;
}

void process_exec_failed(struct process *process)
{
	if (process && process == guest_process) {
		atomic_store(&process->status, PROCESS_LIVE);
	} else if (process) {
		atomic_store(&process->pid, 0);
		atomic_store(&process->status, PROCESS_FREE);
	}
}

/* ---- threads ---------------------------------------------------------- */

/* Start records come from a fixed pool, because malloc may be faulted. */
#define STARTS_MAX 128

struct start {
	_Atomic uint32_t taken;
	uint32_t ordinal;
	uint64_t stream;
	void *(*start)(void *);
	void *arg;
};

static struct start starts[STARTS_MAX];

uint64_t thread_stream(void)
{
	struct thread *thread = &guest_thread;

	if (UNLIKELY(!thread->stream)) {
		thread->ordinal = BUMP(guest_process->threads) + 1;
		thread->stream = slot_offspring(guest_process->path, BY_ARRIVAL,
						thread->ordinal);
	}
	return thread->stream;
}

static struct start *start_claim(void)
{
	for (unsigned i = 0; i < STARTS_MAX; i++) {
		uint32_t taken = 0;

		if (atomic_compare_exchange_strong(&starts[i].taken, &taken, 1))
			return &starts[i];
	}
	return NULL;
}

/* Jumps into the thread's own function: no frame of ours stays behind. */
static void *thread_begin(void *arg)
{
	struct start start = *(struct start *)arg;

	atomic_store(&((struct start *)arg)->taken, 0);
	guest_thread.stream = start.stream;
	guest_thread.ordinal = start.ordinal;
	return start.start(start.arg);
}

int thread_create(pthread_t *thread, const pthread_attr_t *attr,
		  void *(*start)(void *), void *arg)
{
	struct start *record = guest_process ? start_claim() : NULL;
	int ret;

	if (!record)
		return thread_create_real(thread, attr, start, arg);
	record->stream = slot_offspring(thread_stream(), BY_THREAD,
					++guest_thread.threads);
	record->ordinal = BUMP(guest_process->threads) + 1;
	record->start = start;
	record->arg = arg;
	ret = thread_create_real(thread, attr, thread_begin, record);
	if (ret)
		atomic_store(&record->taken, 0);
	return ret;
}
