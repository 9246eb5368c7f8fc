/* where.c - from where in the program was this call made?
 *
 * The stopped thread's stack is unwound by libdwfl; the first frame that isn't
 * of libc is where a programmer would look.  It takes a while, so there is a
 * bound: past it calls have no site, and nothing else changes. */
#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/powercut/recorder.h"

#define WHERE_NS_MAX	(3 * NS_PER_S)
#define WHERE_SITES_MAX 4000
#define WHERE_PROGRAMS	16
#define WHERE_FRAMES	24

struct where {
	struct program_of {
		pid_t pid;
		Dwfl *dwfl;
	} programs[WHERE_PROGRAMS];
	unsigned next;
	struct site_of {
		uint64_t key;
		uint32_t number;
	} * sites; /* by hash, WHERE_SITES_MAX * 2 of them */
	uint32_t count;
	uint64_t spent_ns;
};

struct frames {
	uint64_t pcs[WHERE_FRAMES];
	unsigned count;
};

static int find_debuginfo(Dwfl_Module *module, void **userdata,
			  const char *name, Dwarf_Addr base, const char *file,
			  const char *link, GElf_Word crc, char **ret_file)
{
	return dwfl_standard_find_debuginfo(module, userdata, name, base, file,
					    link, crc, ret_file);
}

static Dwfl *program_open(pid_t pid)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_linux_proc_find_elf,
		.find_debuginfo = find_debuginfo,
	};
	Dwfl *dwfl = dwfl_begin(&callbacks);

	unsetenv("DEBUGINFOD_URLS"); /* nothing is fetched */
	if (!dwfl)
		return NULL;
	if (dwfl_linux_proc_report(dwfl, pid) != 0 ||
	    dwfl_report_end(dwfl, NULL, NULL) != 0 ||
	    dwfl_linux_proc_attach(dwfl, pid, true) != 0) {
		dwfl_end(dwfl);
		return NULL;
	}
	return dwfl;
}

static struct program_of *program_get(struct where *where, pid_t pid)
{
	struct program_of *program;

	for (unsigned i = 0; i < WHERE_PROGRAMS; i++)
		if (where->programs[i].pid == pid)
			return &where->programs[i];
	program = &where->programs[where->next++ % WHERE_PROGRAMS];
	if (program->dwfl)
		dwfl_end(program->dwfl);
	program->pid = pid;
	program->dwfl = program_open(pid);
	return program;
}

static int on_frame(Dwfl_Frame *frame, void *data)
{
	struct frames *frames = data;
	bool exact;
	Dwarf_Addr pc;

	if (!dwfl_frame_pc(frame, &pc, &exact))
		return DWARF_CB_ABORT;
	frames->pcs[frames->count++] = exact ? pc : pc - 1;
	return frames->count == WHERE_FRAMES ? DWARF_CB_ABORT : DWARF_CB_OK;
}

static bool is_libc(const char *name)
{
	const char *base = name ? strrchr(name, '/') : NULL;

	base = base ? base + 1 : name;
	return !base || !strncmp(base, "libc.so", 7) ||
	       !strncmp(base, "libc-2", 6) ||
	       !strncmp(base, "libpthread", 10) ||
	       !strncmp(base, "ld-linux", 8) || !strncmp(base, "[vdso", 5);
}

/* "save (store.c:12)", or "save (program)", or "program+0x1234". */
static bool frame_say(Dwfl *dwfl, uint64_t pc, char text[256])
{
	Dwfl_Module *module = dwfl_addrmodule(dwfl, pc);
	const char *file, *name, *function, *source = NULL;
	Dwarf_Addr start;
	Dwfl_Line *line;
	int number = 0;

	if (!module)
		return false;
	name = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, &file,
				NULL);
	if (is_libc(file ? file : name))
		return false;
	name = file ? file : name;
	name = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	function = dwfl_module_addrname(module, pc);
	line = dwfl_module_getsrc(module, pc);
	if (line)
		source = dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL);
	if (source) {
		source = strrchr(source, '/') ? strrchr(source, '/') + 1
					      : source;
		snprintf(text, 256, "%s (%s:%d)", function ? function : "?",
			 source, number);
	} else if (function) {
		snprintf(text, 256, "%s (%s)", function, name);
	} else {
		snprintf(text, 256, "%s+0x%llx", name,
			 (unsigned long long)(pc - start));
	}
	return true;
}

static uint32_t site_number(struct recorder *recorder, struct where *where,
			    Dwfl *dwfl, const struct frames *frames)
{
	struct oplog_record record = { .kind = OPLOG_SITE };
	uint64_t key =
		oplog_hash(frames->pcs, frames->count * sizeof(*frames->pcs))
			.a |
		1;
	size_t at = key % (2 * WHERE_SITES_MAX);
	char text[256] = "";

	for (; where->sites[at].key; at = (at + 1) % (2 * WHERE_SITES_MAX))
		if (where->sites[at].key == key)
			return where->sites[at].number;
	if (where->count == WHERE_SITES_MAX)
		return 0;
	for (unsigned i = 0; i < frames->count; i++)
		if (frame_say(dwfl, frames->pcs[i], text))
			break;
	where->sites[at].key = key;
	if (!*text)
		return 0;
	where->sites[at].number = ++where->count;
	record.size = where->count;
	record.name_bytes = (uint32_t)strlen(text);
	sink_put(&recorder->sink, &record, text, NULL, NULL);
	return where->count;
}

static struct where *where_get(struct recorder *recorder)
{
	struct where *where = recorder->where;

	if (where)
		return where;
	where = calloc(1, sizeof(*where));
	if (where)
		where->sites =
			calloc(2 * WHERE_SITES_MAX, sizeof(*where->sites));
	if (where && !where->sites) {
		free(where);
		where = NULL;
	}
	recorder->where = where;
	return where;
}

uint32_t where_called(struct recorder *recorder, const struct task *task)
{
	struct where *where = where_get(recorder);
	uint64_t start_ns = clock_now_ns();
	struct frames frames = { 0 };
	struct program_of *program;
	uint32_t number = 0;

	if (!where || where->spent_ns > WHERE_NS_MAX)
		return 0;
	program = program_get(where, task->pid);
	if (program->dwfl)
		dwfl_getthread_frames(program->dwfl, task->tid, on_frame,
				      &frames);
	if (frames.count)
		number = site_number(recorder, where, program->dwfl, &frames);
	where->spent_ns += clock_now_ns() - start_ns;
	return number;
}

/* Another program, at other addresses. */
void where_exec(struct recorder *recorder, pid_t pid)
{
	struct where *where = recorder->where;

	for (unsigned i = 0; where && i < WHERE_PROGRAMS; i++)
		if (where->programs[i].pid == pid) {
			if (where->programs[i].dwfl)
				dwfl_end(where->programs[i].dwfl);
			where->programs[i].dwfl = NULL;
			where->programs[i].pid = 0;
		}
}

void where_free(struct recorder *recorder)
{
	struct where *where = recorder->where;

	if (!where)
		return;
	for (unsigned i = 0; i < WHERE_PROGRAMS; i++)
		if (where->programs[i].dwfl)
			dwfl_end(where->programs[i].dwfl);
	free(where->sites);
	free(where);
	recorder->where = NULL;
}
