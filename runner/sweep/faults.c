/* faults.c - what may fail at a site, and what fails with it.
 *
 * One row for each kind of call and what it is about.  Errnos are those that
 * the call's man page, POSIX or the kernel gives for such an object
 * (core/calls.def), so that nobody can say "that never happens": no EIO of a
 * pipe, no ENOSPC of a socket. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>

#include "runner/sweep/sweep.h"

#define ONCE   (1 << SPAN_ONCE)
#define ONWARD (1 << SPAN_ONWARD)
#define PATH   (1 << SPAN_PATH)

#define ON(object) (1u << OBJECT_##object)
#define IN_FILE	   (ON(FILE_READ) | ON(FILE_WRITE) | ON(STDIN))
#define OUT_FILE   (ON(FILE_WRITE) | ON(STDOUT))
#define ANY_FILE   (IN_FILE | OUT_FILE)
#define ANY	   0xffffffffu

enum group { ALONE, READS, WRITES, SYNCS, CLOSES, ALLOCS, THREADS, RENAMES };

struct row {
	const char *calls; /* with spaces between */
	uint32_t objects;
	enum group group;
	struct plausible faults[FAULTS_MAX];
};

#define FAIL(error, spans)                                                     \
	{                                                                      \
		error, KIND_FAIL, spans                                        \
	}
#define SHORT(spans)                                                           \
	{                                                                      \
		0, KIND_SHORT, spans                                           \
	}

static const struct row rows[] = {
	{ "read pread readv preadv",
	  IN_FILE,
	  READS,
	  { FAIL(EIO, ONCE | ONWARD | PATH) } },
	{ "read readv", ON(PIPE), READS, { SHORT(ONCE) } },
	{ "read readv recv recvmsg",
	  ON(SOCKET),
	  READS,
	  { FAIL(ECONNRESET, ONCE | ONWARD), SHORT(ONCE) } },
	{ "getdents", ON(DIR), READS, { FAIL(EIO, ONCE) } },
	{ "write pwrite writev pwritev",
	  OUT_FILE,
	  WRITES,
	  { FAIL(ENOSPC, ONCE | ONWARD | PATH), FAIL(EIO, ONCE),
	    SHORT(ONCE) } },
	{ "write writev", ON(PIPE), WRITES, { SHORT(ONCE) } },
	{ "write writev send sendmsg",
	  ON(SOCKET),
	  WRITES,
	  { FAIL(ECONNRESET, ONCE | ONWARD), SHORT(ONCE) } },
	{ "sendfile copy_file_range splice",
	  ANY,
	  WRITES,
	  { FAIL(ENOSPC, ONCE | ONWARD), FAIL(EIO, ONCE) } },
	{ "fallocate", ANY, WRITES, { FAIL(ENOSPC, ONCE | ONWARD) } },
	{ "ftruncate truncate", ANY, WRITES, { FAIL(EIO, ONCE) } },
	{ "close", ANY_FILE, CLOSES, { FAIL(EIO, ONCE | ONWARD) } },
	{ "fsync fdatasync sync_file_range syncfs msync",
	  ANY,
	  SYNCS,
	  { FAIL(EIO, ONCE | ONWARD) } },
	{ "open",
	  ON(PATH_WRITE),
	  ALONE,
	  { FAIL(ENOSPC, ONCE), FAIL(EACCES, ONCE) } },
	{ "open",
	  ON(PATH_READ),
	  ALONE,
	  { FAIL(EMFILE, ONCE), FAIL(EACCES, ONCE) } },
	{ "stat lstat statx", ON(PATH), ALONE, { FAIL(EACCES, ONCE) } },
	{ "fstat", ANY_FILE, ALONE, { FAIL(EIO, ONCE) } },
	{ "rename", ANY, RENAMES, { FAIL(ENOSPC, ONCE), FAIL(EXDEV, ONCE) } },
	{ "unlink rmdir", ANY, ALONE, { FAIL(EACCES, ONCE) } },
	{ "mkdir link symlink", ANY, ALONE, { FAIL(ENOSPC, ONCE) } },
	{ "chmod fchmod", ANY, ALONE, { FAIL(EPERM, ONCE) } },
	{ "flock", ANY, ALONE, { FAIL(ENOLCK, ONCE) } },
	{ "fcntl", ANY, ALONE, { FAIL(ENOLCK, ONCE) } }, /* locks only */
	{ "chdir", ANY, ALONE, { FAIL(EACCES, ONCE) } },
	{ "pipe dup", ANY, ALONE, { FAIL(EMFILE, ONCE) } },
	{ "mmap mremap", ANY, ALLOCS, { FAIL(ENOMEM, ONCE) } },
	{ "malloc calloc realloc reallocarray memalign aligned_alloc "
	  "posix_memalign",
	  ANY,
	  ALLOCS,
	  { FAIL(ENOMEM, ONCE | ONWARD) } },
	{ "socket socketpair accept epoll_create",
	  ANY,
	  ALONE,
	  { FAIL(EMFILE, ONCE) } },
	{ "connect",
	  ANY,
	  ALONE,
	  { FAIL(ECONNREFUSED, ONCE | ONWARD), FAIL(ETIMEDOUT, ONCE) } },
	{ "bind", ANY, ALONE, { FAIL(EADDRINUSE, ONCE) } },
	{ "listen", ANY, ALONE, { FAIL(EADDRINUSE, ONCE) } },
	{ "getaddrinfo", ANY, ALONE, { FAIL(EAI_AGAIN, ONCE) } },
	{ "fork posix_spawn", ANY, THREADS, { FAIL(EAGAIN, ONCE) } },
	{ "pthread_create", ANY, THREADS, { FAIL(EAGAIN, ONCE | ONWARD) } },
};
#define ROWS (sizeof(rows) / sizeof(*rows))

static bool row_has(const struct row *row, unsigned call)
{
	const char *name = call_table[call].name, *at = row->calls;
	size_t n = strlen(name);

	while ((at = strstr(at, name))) {
		if ((at == row->calls || at[-1] == ' ') &&
		    (!at[n] || at[n] == ' '))
			return true;
		at += n;
	}
	return false;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

/* What the kernel makes up doesn't fail as disks do. */
static bool is_made_up(const char *path)
{
	return is_below(path, "/proc") || is_below(path, "/sys") ||
	       is_below(path, "/dev");
}

/* Is it a call of that kind at all? */
static bool is_meant(const struct spot *site)
{
	const struct sweep_site *seen = &site->seen;

	if (seen->failed >= seen->count && seen->object >= OBJECT_PATH)
		return false; /* it fails by itself */
	if (seen->call == CALL_fcntl)
		return seen->flags == F_SETLK || seen->flags == F_SETLKW ||
		       seen->flags == F_OFD_SETLK ||
		       seen->flags == F_OFD_SETLKW;
	if (seen->call == CALL_dup && seen->flags)
		return false; /* onto a number that is there */
	if (seen->call == CALL_close)
		return true;
	return !is_made_up(seen->path);
}

size_t faults_of(const struct spot *site, struct plausible ret[FAULTS_MAX])
{
	const struct sweep_site *seen = &site->seen;
	size_t count = 0;

	if (!is_meant(site))
		return 0;
	for (size_t i = 0; i < ROWS; i++) {
		if (!(rows[i].objects >> seen->object & 1) ||
		    !row_has(&rows[i], seen->call))
			continue;
		for (size_t f = 0; f < FAULTS_MAX && count < FAULTS_MAX; f++) {
			const struct plausible *fault = &rows[i].faults[f];

			if (!fault->spans ||
			    (fault->kind == KIND_SHORT && seen->bytes < 2) ||
			    (fault->kind == KIND_FAIL &&
			     !call_allows(seen->call, fault->error)))
				continue;
			ret[count++] = *fault;
		}
		break;
	}
	return count;
}

static const struct row *row_of(unsigned call)
{
	for (size_t i = 0; i < ROWS; i++)
		if (row_has(&rows[i], call))
			return &rows[i];
	return NULL;
}

void faults_group(unsigned call, struct sweep_cell *ret_cell)
{
	const struct row *row = row_of(call);
	uint32_t objects = 1u << ret_cell->object;

	if (!row)
		return;
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		const struct row *other = row_of(id);

		ret_cell->group[id] =
			id == call || (row->group != ALONE && other &&
				       other->group == row->group);
	}
	if (row->group == READS && objects & IN_FILE)
		objects |= IN_FILE;
	if ((row->group == WRITES || row->group == CLOSES) &&
	    objects & OUT_FILE)
		objects |= OUT_FILE;
	ret_cell->group_objects = objects;
}

bool faults_writes(unsigned call)
{
	const struct row *row = row_of(call);

	return row && (row->group == WRITES || row->group == SYNCS ||
		       row->group == CLOSES || row->group == RENAMES);
}

/* Those that may fail, and those that tell what a program does next. */
bool faults_listens(unsigned call)
{
	if (row_of(call))
		return true;
	return call == CALL_execve || call == CALL_kill;
}
