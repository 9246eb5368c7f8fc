/* late.c - patch what is mapped after the start.
 *
 * ld.so maps a library's text by one mmap(2), passes our door with it, and runs
 * none of it before dlopen(3) goes on: there it is patched.  One at a time; a
 * second thread waits a moment, and in doubt nothing is touched and that is
 * counted.  No stub is put into the pool, so that what dlclose(3) took away can
 * be given back when its place is taken.
 */
#include "preload/late.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <time.h>

#include "core/sys.h"
#include "preload/around.h"
#include "preload/mark.h"
#include "preload/site.h"

#define LATE_WAIT_NS  300000000ull
#define LATE_SLICE_NS 10000000ull
#define SCAN_MAX      (4ull << 20) /* larger text is asked for unread */
#define REGIONS_MAX   64
#define SEGMENTS_MAX  24
#define NOTES_MAX     1024

HIDDEN uint64_t clock_ns(void); /* clock.c */

static bool is_error(long r)
{
	return r < 0 && r > -4096;
}

static void missed(void)
{
	atomic_fetch_add_explicit(&guest_state->late_missed, 1,
				  memory_order_relaxed);
}

/* ---- ask ----------------------------------------------------------------- */

/* A plan is only wanted where these two bytes stand somewhere. */
static bool may_call(const struct module *m)
{
	return m->text_bytes > SCAN_MAX ||
	       text_may_call((const uint8_t *)m->text_start, m->text_bytes);
}

static struct shared_late *entry_find(uint64_t key, bool *ret_new)
{
	for (unsigned i = 0; i < SHARED_LATE_MAX; i++) {
		struct shared_late *entry = &guest_state->late[i];
		uint64_t is = atomic_load(&entry->key);

		if (is == 0 &&
		    atomic_compare_exchange_strong(&entry->key, &is, key)) {
			*ret_new = true;
			return entry;
		}
		if (is == key)
			return entry;
	}
	return NULL;
}

static void entry_fill(struct shared_late *entry, const struct module *m,
		       const uint8_t *id, uint32_t id_bytes)
{
	size_t n = 0;

	entry->build_id_bytes = id_bytes;
	for (uint32_t i = 0; i < id_bytes; i++)
		entry->build_id[i] = id[i];
	if (*m->name) {
		while (m->name[n] && n < sizeof(entry->path) - 1) {
			entry->path[n] = m->name[n];
			n++;
		}
	} else {
		long r = sys_readlink("/proc/self/exe", entry->path,
				      sizeof(entry->path) - 1);

		n = r > 0 ? (size_t)r : 0;
	}
	entry->path[n] = '\0';
	if (!may_call(m)) {
		atomic_store(&entry->status, LATE_EMPTY);
	} else {
		atomic_store(&entry->status, LATE_ASKED);
		atomic_fetch_add(&guest_state->late_asked, 1);
		sys6(SYS_futex, (long)&guest_state->late_asked, FUTEX_WAKE,
		     INT_MAX, 0, 0, 0);
	}
}

static uint32_t entry_await(struct shared_late *entry)
{
	uint64_t until_ns = clock_ns() + LATE_WAIT_NS;

	for (;;) {
		const struct timespec slice = { .tv_nsec = LATE_SLICE_NS };
		uint32_t status = atomic_load(&entry->status);
		uint64_t now_ns = clock_ns();

		if ((status != LATE_FILLING && status != LATE_ASKED) ||
		    now_ns >= until_ns || !lease_holds(guest_state, now_ns))
			return status;
		sys6(SYS_futex, (long)&entry->status, FUTEX_WAIT, (long)status,
		     (long)&slice, 0, 0);
	}
}

bool late_ask(const struct module *m, const uint8_t *id, uint32_t id_bytes)
{
	bool is_new = false;
	struct shared_late *entry;
	uint32_t status;

	if (id_bytes > sizeof(entry->build_id)) {
		late_unknown(m);
		return false;
	}
	entry = entry_find(plan_checksum(id, id_bytes) | 1, &is_new);
	if (!entry) {
		late_unknown(m);
		return false;
	}
	if (is_new)
		entry_fill(entry, m, id, id_bytes);
	status = entry_await(entry);
	if (status != LATE_PLANNED && status != LATE_EMPTY)
		missed();
	return status == LATE_PLANNED;
}

void late_unknown(const struct module *m)
{
	if (may_call(m))
		missed();
}

/* ---- what was mapped ----------------------------------------------------- */

/* Under the lock: what we read of the file, and where stubs stand. */
static struct {
	Elf64_Ehdr header;
	Elf64_Phdr segments[SEGMENTS_MAX];
	uint8_t notes[NOTES_MAX];
	char name[256], path[PATH_BYTES_MAX];
} seen;

static struct {
	uint64_t text_start, text_end;
	long region, bytes;
} regions[REGIONS_MAX];

/* The process that holds it: a child of fork may find its parent's. */
static _Atomic int32_t lock_pid;

static bool lock_take(void)
{
	const struct timespec slice = { .tv_nsec = 200000 };
	int32_t me = (int32_t)sys0(SYS_getpid);
	uint64_t until_ns = clock_ns() + LATE_WAIT_NS;

	for (;;) {
		int32_t is = atomic_load(&lock_pid);

		if (is != me &&
		    atomic_compare_exchange_strong(&lock_pid, &is, me))
			return true;
		if (clock_ns() >= until_ns)
			return false;
		sys3(SYS_nanosleep, (long)&slice, 0, 0);
	}
}

static bool file_read(int fd, void *to, uint64_t n, uint64_t off)
{
	return sys6(SYS_pread64, fd, (long)to, (long)n, (long)off, 0, 0) ==
	       (long)n;
}

/* NT_GNU_BUILD_ID among the notes of a segment. */
static const uint8_t *notes_build_id(int fd, const Elf64_Phdr *p,
				     uint32_t *ret_bytes)
{
	uint64_t bytes = p->p_filesz < NOTES_MAX ? p->p_filesz : NOTES_MAX;
	uint64_t at = 0;

	if (!file_read(fd, seen.notes, bytes, p->p_offset))
		return NULL;
	while (at + sizeof(Elf64_Nhdr) <= bytes) {
		const Elf64_Nhdr *n = (const void *)&seen.notes[at];
		uint64_t name = (n->n_namesz + 3ull) & ~3ull;
		uint64_t desc = (n->n_descsz + 3ull) & ~3ull;
		const uint8_t *text = &seen.notes[at + sizeof(*n)];

		at += sizeof(*n);
		if (name + desc > bytes - at)
			break;
		if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 &&
		    text[0] == 'G' && text[1] == 'N' && text[2] == 'U') {
			*ret_bytes = n->n_descsz;
			return text + name;
		}
		at += name + desc;
	}
	return NULL;
}

/* Is it an ELF file, and was just its one executable segment mapped? */
static bool module_read(int fd, uint64_t at, uint64_t bytes, uint64_t offset,
			struct module *ret_m, const uint8_t **ret_id,
			uint32_t *ret_id_bytes)
{
	const Elf64_Ehdr *h = &seen.header;
	const Elf64_Phdr *text = NULL;
	uint64_t delta;

	if (!file_read(fd, &seen.header, sizeof(*h), 0) ||
	    h->e_ident[0] != 0x7f || h->e_ident[1] != 'E' ||
	    h->e_ident[2] != 'L' || h->e_ident[3] != 'F' ||
	    h->e_ident[EI_CLASS] != ELFCLASS64 ||
	    h->e_machine != SITES_MACHINE || h->e_type != ET_DYN ||
	    h->e_phentsize != sizeof(*text) || h->e_phnum > SEGMENTS_MAX ||
	    !file_read(fd, seen.segments, h->e_phnum * sizeof(*text),
		       h->e_phoff))
		return false;
	*ret_id = NULL;
	for (unsigned i = 0; i < h->e_phnum; i++) {
		const Elf64_Phdr *p = &seen.segments[i];

		if (p->p_type == PT_NOTE && !*ret_id)
			*ret_id = notes_build_id(fd, p, ret_id_bytes);
		if (p->p_type == PT_LOAD && p->p_flags & PF_X)
			text = p;
	}
	if (!text)
		return false;
	delta = text->p_offset & (SHARED_PAGE - 1);
	if (text->p_offset - delta != offset || text->p_filesz > bytes ||
	    delta > bytes - text->p_filesz)
		return false;
	*ret_m = (struct module){
		.base = at + delta - text->p_vaddr,
		.text_start = at + delta,
		.text_bytes = text->p_filesz,
		.text_offset = text->p_offset,
		.name = seen.name,
	};
	return true;
}

/* /proc/self/fd/N, and what it leads to. */
static bool name_read(int fd)
{
	char link[32] = "/proc/self/fd/";
	unsigned digits = 1, n = 14;
	long r;

	for (int rest = fd; rest >= 10; rest /= 10)
		digits++;
	for (unsigned i = digits; i-- > 0; fd /= 10)
		link[n + i] = (char)('0' + fd % 10);
	link[n + digits] = '\0';
	r = sys_readlink(link, seen.name, sizeof(seen.name) - 1);
	seen.name[r > 0 ? r : 0] = '\0';
	return r > 0;
}

/* Whoever stood in this place before is gone, and nobody runs its stubs. */
static void regions_give_back(const struct module *m)
{
	for (unsigned i = 0; i < REGIONS_MAX; i++) {
		if (!regions[i].bytes || regions[i].text_end <= m->text_start ||
		    regions[i].text_start >= m->text_start + m->text_bytes)
			continue;
		sys3(SYS_munmap, regions[i].region, regions[i].bytes, 0);
		regions[i].bytes = 0;
	}
}

static void region_note(const struct module *m)
{
	for (unsigned i = 0; i < REGIONS_MAX; i++) {
		if (regions[i].bytes)
			continue;
		regions[i].text_start = m->text_start;
		regions[i].text_end = m->text_start + m->text_bytes;
		regions[i].region = (long)m->region;
		regions[i].bytes = (long)m->region_bytes;
		return;
	}
}

static void module_patch_late(struct module *m)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < m->plan->count; i++)
		bytes += m->sites[i].kind == SITE_BEFORE ||
					 m->sites[i].kind == SITE_AROUND ||
					 m->sites[i].kind == SITE_FUNNEL
				 ? STUB_BYTES_MAX
				 : 0;
	bytes = (bytes + SHARED_PAGE - 1) & ~(SHARED_PAGE - 1ull);
	if (!bytes)
		return;
	if (!module_is_as_planned(m) || !module_make_stubs_near(m, bytes)) {
		missed();
		return;
	}
	if (!module_patch(m)) {
		missed();
		return;
	}
	region_note(m);
	mark_module(m->base, m->plan);
}

static void late_patch(int fd, uint64_t at, uint64_t bytes, uint64_t offset)
{
	const uint8_t *id = NULL;
	uint32_t id_bytes = 0;
	struct module m;

	if (!module_read(fd, at, bytes, offset, &m, &id, &id_bytes) ||
	    !name_read(fd))
		return;
	regions_give_back(&m);
	if (!id ||
	    !plan_path(guest_shared->sites_dir, id, id_bytes, seen.path)) {
		late_unknown(&m);
		return;
	}
	if (!plan_map(&m, seen.path) &&
	    (!late_ask(&m, id, id_bytes) || !plan_map(&m, seen.path)))
		return;
	module_patch_late(&m);
	sys3(SYS_munmap, (long)m.plan, (long)m.plan_bytes, 0);
}

bool late_is_due(const struct site_regs *regs)
{
	return site_nr(regs) == SYS_mmap && *site_arg(regs, 3) & PROT_EXEC &&
	       !(*site_arg(regs, 4) & MAP_ANONYMOUS) &&
	       (int)*site_arg(regs, 5) >= 0 && guest_process && guest_shared &&
	       atomic_load_explicit(&guest_process->sites,
				    memory_order_relaxed) == SITES_PATCHED;
}

long late_map(const struct site_regs *regs)
{
	long at = around_call(regs);

	if (is_error(at))
		return at;
	if (!lock_take()) {
		missed();
		return at;
	}
	late_patch((int)*site_arg(regs, 5), (uint64_t)at, *site_arg(regs, 2),
		   *site_arg(regs, 6));
	atomic_store(&lock_pid, 0);
	return at;
}
