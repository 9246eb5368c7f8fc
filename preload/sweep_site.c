/* sweep_site.c - which call site is this, and what is the call about?
 *
 * A site is (call, object, stack).  The stack's frames are known by build-id
 * and offset, so that the number is the same in every run; what recursion
 * repeats counts once, so that it doesn't grow with the input.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "preload/stack.h"
#include "preload/sweep.h"

#define CYCLE_MAX  4 /* functions that call each other in a ring */
#define PROBES_MAX 64

static enum sweep_object object_of_path(const struct call *call)
{
	if (call->id != CALL_open)
		return OBJECT_PATH;
	return (call->flags & O_ACCMODE) == O_RDONLY && !(call->flags & O_CREAT)
		       ? OBJECT_PATH_READ
		       : OBJECT_PATH_WRITE;
}

static enum sweep_object object_of_fd(int fd)
{
	struct stat st;

	if (fd < 0 || sys3(SYS_fstat, fd, (long)&st, 0) != 0)
		return OBJECT_OTHER_FD;
	for (unsigned i = 0; i < 3; i++)
		if (st.st_dev == guest_sweep->std_dev[i] &&
		    st.st_ino == guest_sweep->std_ino[i])
			return OBJECT_STDIN + i;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return (sys3(SYS_fcntl, fd, F_GETFL, 0) & O_ACCMODE) == O_RDONLY
			       ? OBJECT_FILE_READ
			       : OBJECT_FILE_WRITE;
	case S_IFDIR:
		return OBJECT_DIR;
	case S_IFIFO:
		return OBJECT_PIPE;
	case S_IFSOCK:
		return OBJECT_SOCKET;
	case S_IFCHR:
	case S_IFBLK:
		return OBJECT_DEVICE;
	}
	return OBJECT_OTHER_FD;
}

enum sweep_object sweep_object_of(const struct flight *flight)
{
	const struct call *call = &flight->call;

	if (call_table[call->id].family == FAMILY_alloc &&
	    !(call->id == CALL_mmap && call->fd >= 0))
		return OBJECT_NONE;
	/* fstat(2) may come as newfstatat(fd, "", …). */
	if (call->path && call->id != CALL_fstat)
		return object_of_path(call);
	if (call->fd >= 0 || (flight->row && flight->row->view.fd))
		return object_of_fd(call->fd);
	return OBJECT_NONE;
}

/* Has the end just repeated itself?  Then once is enough. */
static unsigned fold(const struct stack_frame *frames, unsigned count)
{
	for (unsigned n = 1; n <= CYCLE_MAX && 2 * n <= count; n++) {
		unsigned i = 0;

		while (i < n &&
		       frames[count - 1 - i].id == frames[count - 1 - n - i].id)
			i++;
		if (i == n)
			return count - n;
	}
	return count;
}

static unsigned walk(const struct flight *flight, struct stack_frame *frames)
{
	const struct site_regs *regs = flight->regs;
	unsigned count, kept = 0;

	if (regs && !regs->stub->by_symbol)
		count = stack_deep(regs->pc, site_regs_sp(regs),
				   site_regs_bp(regs), frames, SWEEP_DEEP_MAX);
	else
		count = stack_deep_here(frames, SWEEP_DEEP_MAX);
	for (unsigned i = 0; i < count; i++) {
		frames[kept++] = frames[i];
		kept = fold(frames, kept);
	}
	return kept;
}

static uint64_t id_of(const struct flight *flight, enum sweep_object object,
		      const struct stack_frame *frames, unsigned count)
{
	uint64_t id = stack_mix(flight->call.id * 64 + object, count);

	for (unsigned i = 0; i < count; i++)
		id = stack_mix(id, frames[i].id);
	return id ? id : 1;
}

_Static_assert(SWEEP_DEEP_MAX * sizeof(struct stack_frame) <= GUEST_PATH_MAX,
	       "frames fit a scratch buffer");

uint64_t sweep_site_id(const struct flight *flight, enum sweep_object object)
{
	void *frames = scratch_claim();
	uint64_t id = 0;
	unsigned count;

	if (!frames)
		return 0;
	count = walk(flight, frames);
	if (count)
		id = id_of(flight, object, frames, count);
	scratch_release(frames);
	return id;
}

/* Its last bytes, with an ellipsis where the beginning is lost. */
static void tail_put(char ret[SWEEP_PATH_MAX], const char *path, size_t n)
{
	size_t skip = n < SWEEP_PATH_MAX ? 0 : n - (SWEEP_PATH_MAX - 1);

	memcpy(ret, path + skip, n - skip);
	ret[n - skip] = '\0';
	for (unsigned i = 0; skip && i < 3; i++)
		ret[i] = '.';
}

uint64_t sweep_path(const struct flight *flight, enum sweep_object object,
		    char ret[SWEEP_PATH_MAX])
{
	const struct call *call = &flight->call;
	char *buf;
	uint64_t hash = 0;
	long n = -1;

	ret[0] = '\0';
	if (object == OBJECT_NONE)
		return 0;
	buf = scratch_claim();
	if (!buf)
		return 0;
	if (object >= OBJECT_PATH)
		n = path_of_arg(flight, call->dirfd, call->path, buf,
				GUEST_PATH_MAX);
	else if (call->fd >= 0)
		n = path_of_fd(call->fd, buf, GUEST_PATH_MAX);
	if (n > 0) {
		hash = sweep_path_hash(buf, (size_t)n);
		tail_put(ret, buf, (size_t)n);
	}
	scratch_release(buf);
	return hash;
}

static void site_write(struct sweep_site *site, const struct flight *flight,
		       enum sweep_object object,
		       const struct stack_frame *frames, unsigned count)
{
	const struct call *call = &flight->call;

	site->order = BUMP(guest_sweep->sites_count);
	site->pid = (uint32_t)PEEK(guest_process->pid);
	site->call = call->id;
	site->object = (uint8_t)object;
	site->fd = call->fd;
	site->flags = call->id == CALL_dup ? call->fd2 >= 0 : call->flags;
	if (count > SWEEP_FRAMES_MAX) /* the outermost says where it began */
		count = SWEEP_FRAMES_MAX;
	stack_table_frames(guest_state, frames, count, site->frames);
	site->frames_count = (uint8_t)count;
	site->path_hash = sweep_path(flight, object, site->path);
	atomic_store_explicit(&site->ready, 1, memory_order_release);
}

/* The slot of the id, which is new if its ready is 0; NULL: no room. */
static struct sweep_site *slot_of(uint64_t id, bool *ret_new)
{
	for (unsigned i = 0; i < PROBES_MAX; i++) {
		struct sweep_site *site =
			&guest_sweep->sites[(id + i) % SWEEP_SITES_MAX];
		uint64_t seen = PEEK(site->id);

		if (!seen &&
		    atomic_compare_exchange_strong(&site->id, &seen, id)) {
			*ret_new = true;
			return site;
		}
		if (seen == id) {
			*ret_new = false;
			return site;
		}
	}
	BUMP(guest_sweep->sites_lost);
	return NULL;
}

struct sweep_site *sweep_site_list(const struct flight *flight,
				   enum sweep_object object)
{
	struct stack_frame *frames = (void *)scratch_claim();
	struct sweep_site *site = NULL;
	unsigned count;
	size_t bytes;
	bool is_new;

	if (!frames) {
		BUMP(guest_sweep->sites_lost);
		return NULL;
	}
	count = walk(flight, frames);
	if (count)
		site = slot_of(id_of(flight, object, frames, count), &is_new);
	if (site) {
		if (is_new)
			site_write(site, flight, object, frames, count);
		BUMP(site->count);
		bytes = flight->call.len ? flight->call.len : flight->call.size;
		if (bytes > site->bytes) /* threads that race: near enough */
			site->bytes = bytes;
	}
	scratch_release((char *)frames);
	return site;
}
