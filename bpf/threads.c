/* threads.c - where is each thread of the target, right now? */
#include "bpf/watcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/say.h"

#define CHUNK_BYTES 65536

int iterate(int link_fd, char **ret, size_t *ret_bytes)
{
	char *bytes = NULL, *grown;
	size_t used = 0, room = 0;
	int fd = bpf_iter_create(link_fd), error = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		if (room - used < CHUNK_BYTES) {
			room += room + CHUNK_BYTES;
			grown = realloc(bytes, room);
			if (!grown) {
				error = -ENOMEM;
				break;
			}
			bytes = grown;
		}
		n = read(fd, bytes + used, room - used);
		if (n > 0)
			used += (size_t)n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			error = -errno;
	} while (n != 0 && !error);
	close(fd);
	if (error) {
		free(bytes);
		return error;
	}
	*ret = bytes;
	*ret_bytes = used;
	return 0;
}

/* ---- names of kernel functions
 * -----------------------------------------------
 */

struct symbol {
	__u64 address;
	char *name;
};

static struct symbol *symbols;
static size_t symbols_count;
static bool symbols_were_read;

static int symbol_compare(const void *a, const void *b)
{
	__u64 x = ((const struct symbol *)a)->address;
	__u64 y = ((const struct symbol *)b)->address;

	return x < y ? -1 : x > y;
}

/* Once; without the right to read addresses there is none. */
static void symbols_read(void)
{
	FILE *file = symbols_were_read ? NULL : fopen("/proc/kallsyms", "re");
	char line[512], name[256], type;
	unsigned long long address;
	size_t room = 0;

	symbols_were_read = true;
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx %c %255s", &address, &type, name) != 3 ||
		    !address || !strchr("tTwW", type))
			continue;
		if (symbols_count == room) {
			struct symbol *grown;

			room = room * 2 + 4096;
			grown = realloc(symbols, room * sizeof(*grown));
			if (!grown)
				break;
			symbols = grown;
		}
		symbols[symbols_count].address = address;
		symbols[symbols_count++].name = strdup(name);
	}
	if (file)
		fclose(file);
	qsort(symbols, symbols_count, sizeof(*symbols), symbol_compare);
}

static const char *symbol_name(__u64 address)
{
	size_t low = 0, high = symbols_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? symbols[low - 1].name : NULL;
}

static void stack_print(const __u64 *stack, char ret[WATCH_STACK_MAX])
{
	size_t used = 0;

	for (size_t i = 0; i < STACK_DEPTH && stack[i]; i++) {
		const char *name = symbol_name(stack[i]);
		int n;

		if (!name)
			break;
		n = snprintf(ret + used, WATCH_STACK_MAX - used, "%s\n", name);
		if (n < 0 || used + (size_t)n >= WATCH_STACK_MAX) {
			ret[used] = '\0';
			break;
		}
		used += (size_t)n;
	}
}

/* ---- threads
 * -----------------------------------------------------------------
 */

/* As /proc/PID/stat says it, fs/proc/array.c. */
static char state_letter(__u32 state)
{
	static const char letters[] = "RSDTtXZPI";
	unsigned at = 0;

	state = (state & 0x7f) | (state >> 8 & 0x30);
	while (state) {
		state >>= 1;
		at++;
	}
	return at < sizeof(letters) - 1 ? letters[at] : '?';
}

static void thread_say(const struct watcher *w, __u64 id,
		       const struct snap_thread *thread)
{
	struct watch_thread_body body = {
		.state = state_letter(thread->state),
		.nr = thread->nr,
		.cpu_ns = thread->cpu_ns,
		.switches = thread->switches,
	};

	if (body.state == 'R') /* it may be in none, and what is left is old */
		body.nr = -1;
	else
		memcpy(body.arguments, thread->arguments,
		       sizeof(body.arguments));
	memcpy(body.name, thread->name, sizeof(body.name));
	stack_print(thread->stack, body.stack);
	say(WATCH_THREAD, id, thread->tgid, thread->tid, w->phase, &body,
	    sizeof(body));
}

/* ---- processes
 * ---------------------------------------------------------------
 */

static void process_say(const struct watcher *w, __u64 id, __u32 tgid,
			__u32 threads)
{
	struct watch_process_body body = { .threads = threads };
	int files_fd = group_map(w, WATCH_SNAP, "files");
	unsigned long pages = 0;
	struct snap_files files;
	char path[32], line[512], *end;
	FILE *file;

	if (bpf_map_lookup_elem(files_fd, &tgid, &files) == 0) {
		body.fds = files.fds;
		body.sockets = files.sockets;
		body.pipes = files.pipes;
		body.files = files.files;
		bpf_map_delete_elem(files_fd, &tgid);
	}
	snprintf(path, sizeof(path), "/proc/%u/statm", tgid);
	file = fopen(path, "re");
	if (file && fscanf(file, "%*u %lu", &pages) == 1)
		body.rss_bytes = pages * (__u64)sysconf(_SC_PAGESIZE);
	if (file)
		fclose(file);
	snprintf(path, sizeof(path), "/proc/%u/stat", tgid);
	file = fopen(path, "re");
	if (file && fgets(line, sizeof(line), file) &&
	    (end = strrchr(line, ')'))) {
		char *name = strchr(line, '(');

		*end = '\0';
		sscanf(end + 2, "%*c %u", &body.parent);
		snprintf(body.name, sizeof(body.name), "%s",
			 name ? name + 1 : "");
	}
	if (file)
		fclose(file);
	say(WATCH_PROCESS, id, tgid, 0, w->phase, &body, sizeof(body));
}

int threads_say(struct watcher *w, __u64 id)
{
	struct table processes = { .key_bytes = sizeof(__u32),
				   .value_bytes = sizeof(__u32) };
	char *bytes = NULL, *nothing = NULL;
	struct table_entry *e = NULL;
	size_t count = 0;
	int error;

	if (!group_works(w, WATCH_SNAP))
		return -EOPNOTSUPP;
	symbols_read();
	error = iterate(group_link(w, WATCH_SNAP, "on_thread"), &bytes, &count);
	if (error)
		return error;
	for (size_t at = 0; at + sizeof(struct snap_thread) <= count;
	     at += sizeof(struct snap_thread)) {
		struct snap_thread thread;
		__u32 *threads;

		memcpy(&thread, bytes + at, sizeof(thread));
		thread_say(w, id, &thread);
		threads = table_take(&processes, &thread.tgid);
		if (threads)
			++*threads;
	}
	free(bytes);
	if (iterate(group_link(w, WATCH_SNAP, "on_file"), &nothing, &count) ==
	    0)
		free(nothing);
	while ((e = table_next(&processes, e)))
		process_say(w, id, *(__u32 *)table_key(&processes, e),
			    *(__u32 *)table_value(&processes, e));
	table_clear(&processes);
	return 0;
}
