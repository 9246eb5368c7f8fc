/* threads.c - where every thread of a process stands. */
#include <dirent.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/call.h"
#include "runner/clock.h"
#include "runner/stall.h"
#include "runner/words.h"

#define HOLD_WITHIN_NS (500 * NS_PER_MS)

struct frames { /* of one thread */
	Dwfl *dwfl;
	char *said;
	size_t count;
};

/* The files that are mapped, and what stands in them; nothing is fetched. */
static int no_debuginfo(Dwfl_Module *module, void **userdata, const char *name,
			Dwarf_Addr base, const char *file, const char *link,
			GElf_Word crc, char **ret_path)
{
	(void)module;
	(void)userdata;
	(void)name;
	(void)base;
	(void)file;
	(void)link;
	(void)crc;
	(void)ret_path;
	return -1;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = no_debuginfo,
};

/* "function (file:line)", "module+0x12", "?" */
static char *frame_words(Dwfl *dwfl, Dwarf_Addr pc)
{
	Dwfl_Module *module = dwfl_addrmodule(dwfl, pc);
	const char *name = module ? dwfl_module_addrname(module, pc) : NULL;
	Dwfl_Line *line = module ? dwfl_module_getsrc(module, pc) : NULL;
	const char *file = NULL, *slash;
	Dwarf_Addr start = 0;
	int number = 0;

	if (line)
		file = dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL);
	if (name && file) {
		slash = strrchr(file, '/');
		return words_say("%s (%s:%d)", name, slash ? slash + 1 : file,
				 number);
	}
	if (name)
		return words_say("%s", name);
	if (!module)
		return words_say("?");
	file = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL,
				NULL);
	slash = file ? strrchr(file, '/') : NULL;
	return words_say("%s+0x%llx",
			 slash	? slash + 1
			 : file ? file
				: "?",
			 (unsigned long long)(pc - start));
}

static int frame_add(Dwfl_Frame *frame, void *arg)
{
	struct frames *frames = arg;
	_cleanup_words_ char *words = NULL;
	bool is_activation;
	Dwarf_Addr pc;
	char *more;

	if (!dwfl_frame_pc(frame, &pc, &is_activation))
		return DWARF_CB_ABORT;
	words = frame_words(frames->dwfl, is_activation ? pc : pc - 1);
	more = words ? words_say("%s%s%s", frames->said,
				 frames->count ? " < " : ": ", words)
		     : NULL;
	if (!more)
		return DWARF_CB_ABORT;
	free(frames->said);
	frames->said = more;
	return ++frames->count < THREADS_FRAMES_MAX ? DWARF_CB_OK
						    : DWARF_CB_ABORT;
}

static void line_read(pid_t pid, pid_t tid, const char *name, char *buf,
		      size_t size)
{
	char path[80];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid,
		 name);
	*buf = '\0';
	in = fopen(path, "re");
	if (in && !fgets(buf, (int)size, in))
		*buf = '\0';
	if (in)
		fclose(in);
	buf[strcspn(buf, "\n")] = '\0';
}

/* "worker 4711 in futex", by proc(5)'s comm and syscall. */
static char *thread_words(pid_t pid, pid_t tid)
{
	char comm[32], call[256];
	const char *name = NULL;
	int nr = -1;

	line_read(pid, tid, "comm", comm, sizeof(comm));
	line_read(pid, tid, "syscall", call, sizeof(call));
	if (sscanf(call, "%d", &nr) != 1)
		return words_say("%s %d", comm, (int)tid);
	if (nr >= 0 && nr < CALL_NR_MAX &&
	    call_kernel_table[nr].id < CALL_COUNT)
		name = call_table[call_kernel_table[nr].id].name;
	if (nr == SYS_futex)
		name = "futex";
	return name ? words_say("%s %d in %s", comm, (int)tid, name)
		    : words_say("%s %d in system call %d", comm, (int)tid, nr);
}

/* Takes what is said of the thread, and adds its frames. */
static char *frames_words(Dwfl *dwfl, pid_t tid, char *said)
{
	struct frames frames = { .dwfl = dwfl, .said = said };

	dwfl_getthread_frames(dwfl, tid, frame_add, &frames);
	return frames.said;
}

struct held { /* threads that we stopped */
	pid_t tids[THREADS_MAX];
	bool stopped[THREADS_MAX];
	size_t count;
};

/* hold - stop them for a moment: no signal is sent, nobody else sees it. */
static void hold(struct held *held)
{
	uint64_t until_ns = clock_now_ns() + HOLD_WITHIN_NS;
	size_t waiting = 0;
	int status;

	for (size_t i = 0; i < held->count; i++)
		if (ptrace(PTRACE_SEIZE, held->tids[i], NULL, NULL) == 0 &&
		    ptrace(PTRACE_INTERRUPT, held->tids[i], NULL, NULL) == 0)
			waiting++;
	while (waiting && clock_now_ns() < until_ns) {
		for (size_t i = 0; i < held->count; i++) {
			if (held->stopped[i] ||
			    waitpid(held->tids[i], &status, __WALL | WNOHANG) !=
				    held->tids[i] ||
			    !WIFSTOPPED(status))
				continue;
			held->stopped[i] = true;
			waiting--;
		}
		clock_sleep_until(clock_now_ns() + NS_PER_MS / 4);
	}
}

static void let_go(const struct held *held)
{
	for (size_t i = 0; i < held->count; i++)
		ptrace(PTRACE_DETACH, held->tids[i], NULL, NULL);
}

/* Before they are stopped: what each one is in. */
static int threads_list(pid_t pid, struct held *ret_held)
{
	struct dirent *entry;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks)
		return -errno;
	while (ret_held->count < THREADS_MAX && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			ret_held->tids[ret_held->count++] = atoi(entry->d_name);
	closedir(tasks);
	return 0;
}

static Dwfl *attach(pid_t pid)
{
	Dwfl *dwfl = dwfl_begin(&callbacks);

	if (dwfl && (dwfl_linux_proc_report(dwfl, pid) != 0 ||
		     dwfl_report_end(dwfl, NULL, NULL) != 0 ||
		     dwfl_linux_proc_attach(dwfl, pid, true) != 0)) {
		dwfl_end(dwfl);
		return NULL;
	}
	return dwfl;
}

int threads_stacks(pid_t pid, struct strings *ret_lines)
{
	struct strings said = { 0 };
	struct held held = { 0 };
	int error = threads_list(pid, &held);
	Dwfl *dwfl;

	for (size_t i = 0; i < held.count && !error; i++)
		error = words_push(&said, thread_words(pid, held.tids[i]));
	if (error) {
		words_clear(&said);
		return error;
	}
	hold(&held);
	dwfl = attach(pid);
	for (size_t i = 0; i < held.count && !error; i++) {
		char *line = said.items[i];

		if (ret_lines->count >= THREADS_MAX)
			break;
		if (dwfl && held.stopped[i])
			line = frames_words(dwfl, held.tids[i], line);
		said.items[i] = NULL;
		error = words_push(ret_lines, line);
	}
	if (dwfl)
		dwfl_end(dwfl);
	let_go(&held);
	for (size_t i = 0; i < said.count; i++)
		free(said.items[i]);
	free(said.items);
	return error;
}
