/* sites.c - the site door: redirect libraries' system calls to stubs.
 *
 * All is done before any thread exists, with signals blocked, in this order:
 * find the modules and their plans, compare every expected byte of all of
 * them, write all stubs, and only then touch the text, a module at a time.
 * While a library's text is writable it isn't executable, so nothing of libc
 * may be called then, not even memcpy.
 */
#include "preload/door.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

#include "core/sys.h"
#include "preload/late.h"
#include "preload/mark.h"
#include "preload/site.h"
#include "preload/sites_module.h"

#define MODULES_MAX   32
#define STEP_BYTES    (1ull << 20)
#define SIGNALS_BYTES 8 /* the kernel's sigset_t, rt_sigprocmask(2) */

struct search {
	const char *dir;
	struct module modules[MODULES_MAX];
	unsigned count;
	bool libc_has_plan, mismatch;
};

static bool is_patched(const struct site *site)
{
	return site->kind == SITE_BEFORE || site->kind == SITE_AROUND ||
	       site->kind == SITE_FUNNEL;
}

long site_enter(struct site_regs *regs)
{
	if (site_is_skipped((int)site_nr(regs)))
		return SITE_PROCEED;
	return site_hook(regs);
}

/* ---- plans --------------------------------------------------------------- */

/* NT_GNU_BUILD_ID of a loaded module, from its memory. */
static const uint8_t *module_build_id(const struct dl_phdr_info *info,
				      uint32_t *ret_bytes)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		const uint8_t *at, *end;

		if (p->p_type != PT_NOTE)
			continue;
		at = (const uint8_t *)(info->dlpi_addr + p->p_vaddr);
		end = at + p->p_memsz;
		while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
			const ElfW(Nhdr) *n = (const void *)at;
			size_t name = (n->n_namesz + 3ul) & ~3ul;
			size_t desc = (n->n_descsz + 3ul) & ~3ul;

			at += sizeof(*n);
			if (name + desc > (size_t)(end - at))
				break;
			if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 &&
			    at[0] == 'G' && at[1] == 'N' && at[2] == 'U') {
				*ret_bytes = n->n_descsz;
				return at + name;
			}
			at += name + desc;
		}
	}
	return NULL;
}

/* dir/<hex>.sites; false if it doesn't fit. */
bool plan_path(const char *dir, const uint8_t *id, uint32_t id_bytes,
	       char ret_path[PATH_BYTES_MAX])
{
	static const char hex[] = "0123456789abcdef", end[] = ".sites";
	size_t n = 0;

	while (dir[n] && n < PATH_BYTES_MAX / 2) {
		ret_path[n] = dir[n];
		n++;
	}
	if (dir[n] || id_bytes > 32)
		return false;
	ret_path[n++] = '/';
	for (uint32_t i = 0; i < id_bytes; i++) {
		ret_path[n++] = hex[id[i] >> 4];
		ret_path[n++] = hex[id[i] & 15];
	}
	for (size_t i = 0; i < sizeof(end); i++)
		ret_path[n++] = end[i];
	return true;
}

/* Map a plan read-only and check it; false: there is none to be had. */
bool plan_map(struct module *m, const char *path)
{
	long fd = sys_open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	long bytes, map;

	if (fd < 0)
		return false;
	bytes = sys3(SYS_lseek, fd, 0, SEEK_END);
	map = bytes > 0
		      ? sys6(SYS_mmap, 0, bytes, PROT_READ, MAP_PRIVATE, fd, 0)
		      : -1;
	sys3(SYS_close, fd, 0, 0);
	if (map < 0 && map > -4096)
		return false;
	if (sites_open((const void *)map, (size_t)bytes, &m->plan, &m->sites) <
		    0 ||
	    m->plan->machine != SITES_MACHINE) {
		sys3(SYS_munmap, map, bytes, 0);
		return false;
	}
	m->plan_bytes = (uint64_t)bytes;
	return true;
}

static bool module_fill(struct module *m, const struct dl_phdr_info *info)
{
	uint64_t libc = (uint64_t)dl_iterate_phdr;

	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		m->base = info->dlpi_addr;
		m->text_start = info->dlpi_addr + p->p_vaddr;
		m->text_bytes = p->p_filesz;
		m->text_offset = p->p_offset;
		m->name = info->dlpi_name;
		m->is_libc = libc - m->text_start < m->text_bytes;
		return true;
	}
	return false;
}

/* The vDSO is no file; our own calls pass no door. */
static bool module_may_have_plan(const struct module *m)
{
	return (!*m->name || *m->name == '/' || m->is_libc) &&
	       (uint64_t)site_slow - m->text_start >= m->text_bytes;
}

static int module_find(struct dl_phdr_info *info, size_t bytes, void *arg)
{
	struct search *s = arg;
	struct module m = { 0 };
	char path[PATH_BYTES_MAX];
	const uint8_t *id;
	uint32_t id_bytes = 0;

	(void)bytes;
	if (s->count == MODULES_MAX || !module_fill(&m, info))
		return 0;
	id = module_build_id(info, &id_bytes);
	if (!module_may_have_plan(&m))
		return 0;
	if (!id || !plan_path(s->dir, id, id_bytes, path)) {
		late_unknown(&m);
		return 0;
	}
	if (!plan_map(&m, path) &&
	    (!late_ask(&m, id, id_bytes) || !plan_map(&m, path)))
		return 0;
	if (!m.plan->count) {
		sys3(SYS_munmap, (long)m.plan, (long)m.plan_bytes, 0);
		return 0;
	}
	s->modules[s->count++] = m;
	s->libc_has_plan |= m.is_libc;
	return 0;
}

/* Does the text hold exactly what the plan expects? */
bool module_is_as_planned(const struct module *m)
{
	const struct sites_header *h = m->plan;

	if (m->base + h->text_start != m->text_start ||
	    h->text_end - h->text_start != m->text_bytes)
		return false;
	for (uint32_t i = 0; i < h->count; i++) {
		const uint8_t *at =
			(const uint8_t *)(m->base + m->sites[i].start);

		for (unsigned k = 0; k < m->sites[i].length; k++)
			if (at[k] != m->sites[i].bytes[k])
				return false;
	}
	return true;
}

/* ---- stubs --------------------------------------------------------------- */

static bool is_error(long r)
{
	return r < 0 && r > -4096;
}

/* Free pages so near that a jump reaches all of the text and back. */
static long region_find(const struct module *m, uint64_t bytes, int prot)
{
	uint64_t below = m->text_start & ~(STEP_BYTES - 1);
	uint64_t above = (m->text_start + m->text_bytes + STEP_BYTES) &
			 ~(STEP_BYTES - 1);

	uint64_t reach = site_reach_bytes / 2;

	for (uint64_t off = STEP_BYTES; off < reach; off += STEP_BYTES) {
		long at = sys6(
			SYS_mmap, (long)(below - bytes - off), (long)bytes,
			prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			-1, 0);

		if (at == (long)(below - bytes - off))
			return at;
		if (!is_error(at)) /* before Linux 4.17 it is but a hint */
			sys3(SYS_munmap, at, (long)bytes, 0);
		at = sys6(SYS_mmap, (long)(above + off), (long)bytes, prot,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			  0);
		if (at == (long)(above + off))
			return at;
		if (!is_error(at))
			sys3(SYS_munmap, at, (long)bytes, 0);
	}
	return -1;
}

/* Write a module's stubs into scratch, for when they stand at m->region. */
static void module_write_stubs(const struct module *m, uint8_t *scratch)
{
	uint64_t in_pool = (uint64_t)m->region - (uint64_t)site_pool;
	bool is_pool = in_pool < SITE_POOL_BYTES;
	uint8_t *at = scratch;

	for (uint32_t i = 0; i < m->plan->count; i++)
		if (is_patched(&m->sites[i]))
			at = stub_write(at,
					(uint64_t)m->region - (uint64_t)scratch,
					is_pool, &m->sites[i], m->base,
					(uint64_t)guest_state->armed_nr);
}

static long memory_open(void)
{
	return sys_open("/proc/self/mem", O_RDWR | O_CLOEXEC);
}

/* Is every byte of the text within a jump of these pages, and back? */
static bool is_near(const struct module *m, const uint8_t *at, uint64_t bytes)
{
	uint64_t from = (uint64_t)at, to = from + bytes;
	uint64_t text_end = m->text_start + m->text_bytes;
	uint64_t low = from < m->text_start ? from : m->text_start;
	uint64_t high = to > text_end ? to : text_end;

	return high - low < site_reach_bytes - STEP_BYTES;
}

/* The first choice: the pool, where unwinders have a table for stubs.  If it
 * can't be made executable again, nobody has been sent there yet. */
static bool module_make_stubs_in_pool(struct module *m, uint64_t bytes,
				      uint64_t *used)
{
	uint8_t *at = site_pool + *used;

	if (bytes > SITE_POOL_BYTES - *used || !is_near(m, at, bytes) ||
	    sys3(SYS_mprotect, (long)at, (long)bytes, PROT_READ | PROT_WRITE))
		return false;
	m->region = at;
	module_write_stubs(m, at);
	text_written(at, bytes);
	if (sys3(SYS_mprotect, (long)at, (long)bytes, PROT_READ | PROT_EXEC)) {
		m->region = NULL;
		*used = SITE_POOL_BYTES;
		return false;
	}
	*used += bytes;
	return true;
}

/* Else memory near the module.  Where memory that was written may not become
 * executable (PR_SET_MDWE, SELinux execmem), the kernel is asked to write it:
 * /proc/self/mem. */
bool module_make_stubs_near(struct module *m, uint64_t bytes)
{
	long r = region_find(m, bytes, PROT_READ | PROT_WRITE), fd;
	uint8_t *scratch;

	if (is_error(r))
		return false;
	m->region = scratch = (uint8_t *)r;
	m->region_bytes = bytes;
	module_write_stubs(m, m->region);
	text_written(m->region, bytes);
	r = sys3(SYS_mprotect, (long)m->region, (long)bytes,
		 PROT_READ | PROT_EXEC);
	if (r == 0)
		return true;
	fd = memory_open();
	r = region_find(m, bytes, PROT_READ | PROT_EXEC);
	m->region = is_error(r) ? NULL : (uint8_t *)r;
	if (m->region && fd >= 0) {
		module_write_stubs(m, scratch);
		r = sys6(SYS_pwrite64, fd, (long)scratch, (long)bytes,
			 (long)m->region, 0, 0);
	}
	sys3(SYS_munmap, (long)scratch, (long)bytes, 0);
	sys3(SYS_close, fd, 0, 0);
	return m->region && fd >= 0 && r == (long)bytes;
}

/* Stubs for one module, in memory that is executable and not writable. */
static bool module_make_stubs(struct module *m, uint64_t *pool_used)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < m->plan->count; i++)
		bytes += is_patched(&m->sites[i]) ? STUB_BYTES_MAX : 0;
	bytes = (bytes + SHARED_PAGE - 1) & ~(SHARED_PAGE - 1ull);
	return !bytes || module_make_stubs_in_pool(m, bytes, pool_used) ||
	       module_make_stubs_near(m, bytes);
}

/* ---- text ---------------------------------------------------------------- */

/* Patch all sites by plain stores (fd < 0) or through /proc/self/mem.
 * Returns how many; on an error what was done so far is undone. */
static bool module_write_text(const struct module *m, long fd)
{
	const uint8_t *stub = m->region;
	uint8_t patch[SITE_BYTES_MAX];

	for (uint32_t i = 0; i < m->plan->count; i++) {
		const struct site *site = &m->sites[i];
		volatile uint8_t *at =
			(volatile uint8_t *)(m->base + site->start);
		unsigned length;

		if (!is_patched(site))
			continue;
		length = patch_write(site, m->base, stub, patch);
		stub = stub_next(stub);
		if (fd < 0) {
			for (unsigned k = 0; k < length; k++)
				at[k] = patch[k];
			continue;
		}
		if (sys6(SYS_pwrite64, fd, (long)patch, length, (long)at, 0,
			 0) == (long)length)
			continue;
		while (i--)
			if (is_patched(&m->sites[i]))
				sys6(SYS_pwrite64, fd, (long)m->sites[i].bytes,
				     m->sites[i].length,
				     (long)(m->base + m->sites[i].start), 0, 0);
		return false;
	}
	return true;
}

/* SELinux's execmod: text that was written may not be executed any more.
 * Only a fresh mapping of the file helps. */
static bool module_remap_text(const struct module *m, uint64_t start,
			      uint64_t bytes)
{
	const char *name = *m->name ? m->name : "/proc/self/exe";
	long fd = sys_open(name, O_RDONLY | O_CLOEXEC);
	long r;

	if (fd < 0)
		return false;
	r = sys6(SYS_mmap, (long)start, (long)bytes, PROT_READ | PROT_EXEC,
		 MAP_PRIVATE | MAP_FIXED, fd,
		 (long)(m->text_offset - (m->text_start - start)));
	sys3(SYS_close, fd, 0, 0);
	return r == (long)start;
}

bool module_patch(const struct module *m)
{
	uint64_t start = m->text_start & ~(SHARED_PAGE - 1ull);
	uint64_t bytes =
		(m->text_start + m->text_bytes - start + SHARED_PAGE - 1) &
		~(SHARED_PAGE - 1ull);
	bool done;
	long fd;

	if (!m->region)
		return true;
	if (sys3(SYS_mprotect, (long)start, (long)bytes,
		 PROT_READ | PROT_WRITE) == 0) {
		module_write_text(m, -1);
		text_written((const void *)start, bytes);
		if (sys3(SYS_mprotect, (long)start, (long)bytes,
			 PROT_READ | PROT_EXEC) == 0)
			return true;
		module_remap_text(m, start, bytes);
	}
	fd = memory_open();
	done = fd >= 0 && module_write_text(m, fd);
	sys3(SYS_close, fd, 0, 0);
	return done;
}

/* ---- all of it ----------------------------------------------------------- */

static void modules_release(struct search *s, bool with_stubs)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct module *m = &s->modules[i];

		sys3(SYS_munmap, (long)m->plan, (long)m->plan_bytes, 0);
		if (with_stubs && m->region_bytes)
			sys3(SYS_munmap, (long)m->region, (long)m->region_bytes,
			     0);
	}
}

static enum process_sites modules_patch(struct search *s, uint32_t *ret_patched,
					uint32_t *ret_left)
{
	uint32_t patched = 0, left = 0;
	uint64_t pool_used = 0;

	for (unsigned i = 0; i < s->count; i++)
		if (!module_is_as_planned(&s->modules[i])) {
			modules_release(s, false);
			return SITES_MISMATCH;
		}
	for (unsigned i = 0; i < s->count; i++)
		if (!module_make_stubs(&s->modules[i], &pool_used)) {
			modules_release(s, true);
			return SITES_NO_MEMORY;
		}
	for (unsigned i = 0; i < s->count; i++) {
		const struct module *m = &s->modules[i];
		bool done = module_patch(m);

		if (done)
			mark_module(m->base, m->plan);
		for (uint32_t k = 0; k < m->plan->count; k++) {
			patched += done && is_patched(&m->sites[k]);
			left += m->sites[k].kind == SITE_LEFT ||
				(!done && is_patched(&m->sites[k]));
		}
		if (!done && m->is_libc)
			s->libc_has_plan = false;
	}
	*ret_patched = patched;
	*ret_left = left;
	modules_release(s, false);
	return s->libc_has_plan ? SITES_PATCHED : SITES_NO_MEMORY;
}

void sites_patch(const char *sites_dir, struct process *process)
{
	struct search search = { .dir = sites_dir };
	uint64_t all = ~0ull, before = 0;
	uint32_t patched = 0, left = 0;
	enum process_sites result;

	dl_iterate_phdr(module_find, &search);
	if (search.libc_has_plan) {
		sys6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before,
		     SIGNALS_BYTES, 0, 0);
		result = modules_patch(&search, &patched, &left);
		sys6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0,
		     SIGNALS_BYTES, 0, 0);
	} else {
		modules_release(&search, false);
		result = SITES_NO_PLAN;
	}
	if (!process)
		return;
	atomic_store(&process->sites, result);
	atomic_store(&process->sites_patched, patched);
	atomic_store(&process->sites_left, left);
}
