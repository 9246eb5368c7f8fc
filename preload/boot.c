/* boot.c - find the runner's file, map it, and go to work; or stay inert.
 *
 * Without $MISHAP_SHARED, with a file that isn't ours to the last byte, or in
 * a program with more rights than its caller (AT_SECURE), nothing is armed,
 * patched or written, and the exported symbols only pass their calls on.
 */
#include <fcntl.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/guest.h"
#include "preload/mark.h"
#include "preload/sweep.h"
#include "preload/model.h"
#include "preload/warp.h"

/* What the doors look at while nothing is mapped. */
static const _Alignas(SHARED_PAGE) uint8_t inert[SHARED_PAGE];
_Static_assert(offsetof(struct state, lease) <= sizeof(inert),
	       "the doors look at page 0 only");

struct state *guest_state = (struct state *)inert;
struct plan guest_plan;
const struct shared_header *guest_shared;
struct process *guest_process;
char guest_shared_path[GUEST_PATH_MAX];
uint64_t guest_exe_rules;

static struct shared_header header;
static enum { BOOT_NOT, BOOT_MAPPED, BOOT_DONE } boot_stage;

static const char *environ_get(const char *name)
{
	size_t n = strlen(name);

	for (char **p = environ; p && *p; p++) {
		if (memcmp(*p, name, n) == 0 && (*p)[n] == '=')
			return *p + n + 1;
	}
	return NULL;
}

static void *map_region(int fd, uint64_t off, uint64_t bytes, int prot)
{
	long map =
		sys6(SYS_mmap, 0, (long)bytes, prot, MAP_SHARED, fd, (long)off);

	return map < 0 && map > -4096 ? NULL : (void *)map;
}

/* 0: both regions are mapped and checked. */
static int shared_map(int fd, struct state **ret_state)
{
	struct stat st;
	struct state *state;
	void *plan;

	if (sys3(SYS_fstat, fd, (long)&st, 0) < 0 ||
	    sys6(SYS_pread64, fd, (long)&header, sizeof(header), 0, 0, 0) !=
		    sizeof(header) ||
	    shared_check(&header, (size_t)st.st_size) < 0)
		return -EPROTO;
	plan = map_region(fd, header.plan_off, header.plan_bytes, PROT_READ);
	if (!plan)
		return -ENOMEM;
	state = map_region(fd, header.state_off, header.state_bytes,
			   PROT_READ | PROT_WRITE);
	if (!state || plan_open(plan, header.plan_bytes, &guest_plan) < 0) {
		sys3(SYS_munmap, (long)plan, (long)header.plan_bytes, 0);
		if (state)
			sys3(SYS_munmap, (long)state, (long)header.state_bytes,
			     0);
		return -EPROTO;
	}
	*ret_state = state;
	if (header.sweep_bytes)
		guest_sweep =
			map_region(fd, header.sweep_off, header.sweep_bytes,
				   PROT_READ | PROT_WRITE);
	return 0;
}

static int shared_open(const char *path, struct state **ret_state)
{
	size_t n = strlen(path);
	long fd, ret;

	if (n >= sizeof(guest_shared_path))
		return -ENAMETOOLONG;
	fd = sys6(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC, 0, 0,
		  0);
	if (fd < 0)
		return (int)fd;
	ret = shared_map((int)fd, ret_state);
	sys3(SYS_close, fd, 0, 0);
	if (ret == 0)
		memcpy(guest_shared_path, path, n + 1);
	return (int)ret;
}

/* Rules with exe= are decided once: a process has one image. */
static void exe_look(void)
{
	char *buf = scratch_claim();
	const char *name = buf;
	long n = -1;

	if (buf)
		n = sys_readlink("/proc/self/exe", buf, GUEST_PATH_MAX - 1);
	if (n > 0) {
		buf[n] = '\0';
		for (const char *p = buf; *p; p++) {
			if (*p == '/')
				name = p + 1;
		}
		process_publish_exe(name);
	}
	for (unsigned r = 0; r < guest_plan.header->rules_count; r++) {
		const struct plan_rule *rule = &guest_plan.rules[r];

		if (!(rule->selectors & SELECT_EXE))
			continue;
		if (n <= 0)
			BUMP(guest_state->unresolved);
		else if (glob_match(guest_plan.base + rule->exe_off, name))
			guest_exe_rules |= 1ull << r;
	}
	if (buf)
		scratch_release(buf);
}

static bool notes_have_go(const char *at, const char *end)
{
	while (at + sizeof(ElfW(Nhdr)) < end) {
		const ElfW(Nhdr) *note = (const void *)at;

		if (note->n_namesz == sizeof("Go\0") &&
		    memcmp(note + 1, "Go\0", sizeof("Go\0")) == 0)
			return true;
		at += sizeof(*note) + ((note->n_namesz + 3) & ~3u) +
		      ((note->n_descsz + 3) & ~3u);
	}
	return false;
}

/* Go's linker leaves a note of its own in every program. */
static bool is_go(void)
{
	const ElfW(Phdr) *segments = (void *)getauxval(AT_PHDR);
	unsigned long count = getauxval(AT_PHNUM), base = 0;

	for (unsigned long i = 0; i < count; i++)
		if (segments[i].p_type == PT_PHDR)
			base = (unsigned long)segments - segments[i].p_vaddr;
	for (unsigned long i = 0; i < count; i++) {
		const char *at = (void *)(base + segments[i].p_vaddr);

		if (segments[i].p_type == PT_NOTE &&
		    notes_have_go(at, at + segments[i].p_filesz))
			return true;
	}
	return false;
}

/* The first malloc may come before libc has set environ; then the next one
 * will do. */
void guest_boot(void)
{
	struct state *state = NULL;
	const char *path;

	if (boot_stage != BOOT_NOT || !environ)
		return;
	boot_stage = BOOT_MAPPED;
	if (getauxval(AT_SECURE))
		return;
	path = environ_get(SHARED_ENV);
	if (!path || shared_open(path, &state) < 0)
		return;
	if (header.doors == DOORS_NOTIFY)
		return;
	if (PEEK(state->guardian_pid) && is_go())
		return; /* the notify door's: it would be counted twice */
	process_check_in(state);
	if (!guest_process)
		return;
	guest_shared = &header;
	guest_state = state;
	exe_look();
	quick_fill();
	warp_look();
	heap_look();
}

/* Only glibc's way to cancel threads is known to bear patched sites. */
extern const char *gnu_get_libc_version(void) __attribute__((weak));

static void doors_open(void)
{
	if (guest_shared->doors == DOORS_SYMBOLS)
		atomic_store(&guest_process->sites, SITES_UNWANTED);
	else if (!gnu_get_libc_version)
		atomic_store(&guest_process->sites, SITES_OTHER_LIBC);
	else
		sites_patch(guest_shared->sites_dir, guest_process);
	if (sites_are_refused(PEEK(guest_process->sites)))
		twins_open();
}

/* 101 is the first that is ours to take; libc's own are done by then. */
__attribute__((constructor(101))) static void guest_construct(void)
{
	guest_boot();
	symbols_resolve();
	if (boot_stage == BOOT_DONE || !guest_process)
		return;
	boot_stage = BOOT_DONE;
	process_watch_forks();
	readable_look();
	doors_open();
	mark_ready();
}
