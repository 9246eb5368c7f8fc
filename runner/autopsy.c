/* autopsy.c - where the threads of a stopped process stand: unwound by libdwfl
 * while they stand still, named by libdw when they don't have to any more. */
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/call.h"
#include "runner/coroner.h"
#include "runner/debuginfo.h"
#include "runner/site_id.h"
#include "runner/words.h"

#define LOOP_FUNCTION "_PyEval_EvalFrameDefault"
#define BLOCK	      1024
#define BLOCKS	      16
#define MODULES_MAX   512

struct frame {
	uint64_t address; /* inside the instruction */
	bool is_python;
	unsigned line;
	char file[PYTHON_FILE_MAX], function[PYTHON_FUNCTION_MAX];
};

struct thread {
	pid_t tid;
	char name[32], call[32];
	struct frame frames[CORONER_FRAMES_MAX];
	size_t count;
};

struct memory { /* of the process, some of it kept */
	struct python_reader python;
	pid_t pid;
	uint64_t at[BLOCKS];
	unsigned char bytes[BLOCKS][BLOCK];
	bool is_there[BLOCKS];
	unsigned next;
};

struct autopsy {
	Dwfl *dwfl;
	pid_t pid;
	struct memory memory;
	struct thread threads[CORONER_THREADS_MAX];
	size_t count;
	/* while a thread is walked: */
	struct thread *thread;
	uint64_t python_at; /* its next Python frame; 0: none */
	/* while names are looked up: */
	Dwfl_Module *modules[MODULES_MAX];
	struct debuginfo *infos[MODULES_MAX];
	size_t modules_count;
};

/* The process that libdwfl is asked about: it tells its callbacks only names.
 */
static pid_t looked_at;

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

/* ---- the process as it stands ------------------------------------------ */

static unsigned char *block_get(struct memory *memory, uint64_t at)
{
	unsigned i;
	struct iovec mine, theirs;

	for (i = 0; i < BLOCKS; i++)
		if (memory->is_there[i] && memory->at[i] == at)
			return memory->bytes[i];
	i = memory->next++ % BLOCKS;
	mine = (struct iovec){ memory->bytes[i], BLOCK };
	theirs = (struct iovec){ (void *)(uintptr_t)at, BLOCK };
	memory->is_there[i] =
		process_vm_readv(memory->pid, &mine, 1, &theirs, 1, 0) == BLOCK;
	memory->at[i] = at;
	return memory->is_there[i] ? memory->bytes[i] : NULL;
}

static bool memory_read(struct python_reader *python, uint64_t address,
			void *ret_bytes, unsigned bytes)
{
	struct memory *memory = (struct memory *)python;
	unsigned char *to = ret_bytes;

	while (bytes) {
		unsigned off = address % BLOCK;
		unsigned n = bytes < BLOCK - off ? bytes : BLOCK - off;
		unsigned char *block = block_get(memory, address - off);

		if (!block)
			return false;
		memcpy(to, block + off, n);
		to += n;
		address += n;
		bytes -= n;
	}
	return true;
}

/* The address of an exported symbol; 0: it has none of that name. */
static uint64_t symbol_of(Dwfl_Module *module, const char *name)
{
	int count = dwfl_module_getsymtab(module);

	for (int i = 0; i < count; i++) {
		GElf_Addr at;
		GElf_Sym symbol;
		const char *is = dwfl_module_getsym_info(module, i, &symbol,
							 &at, NULL, NULL, NULL);

		if (is && symbol.st_shndx != SHN_UNDEF && !strcmp(is, name))
			return at;
	}
	return 0;
}

static int python_look(Dwfl_Module *module, void **userdata, const char *name,
		       Dwarf_Addr start, void *arg)
{
	struct autopsy *autopsy = arg;
	struct python_reader *python = &autopsy->memory.python;
	uint64_t at, version = 0;

	(void)userdata;
	(void)start;
	if (!strstr(name, "python"))
		return DWARF_CB_OK;
	at = symbol_of(module, PYTHON_SYMBOL_VERSION);
	if (!at || !memory_read(python, at, &version, sizeof(version)) ||
	    !python_is_known(version))
		return DWARF_CB_OK;
	python->code_type = symbol_of(module, PYTHON_SYMBOL_CODE);
	python->text_type = symbol_of(module, PYTHON_SYMBOL_TEXT);
	python->runtime = symbol_of(module, PYTHON_SYMBOL_RUNTIME);
	return python->runtime ? DWARF_CB_ABORT : DWARF_CB_OK;
}

static struct frame *frame_new(struct thread *thread)
{
	return thread->count < CORONER_FRAMES_MAX
		       ? &thread->frames[thread->count++]
		       : NULL;
}

/* The functions that one turn of the interpreter's loop runs. */
static void python_add(struct autopsy *autopsy)
{
	struct python_reader *python = &autopsy->memory.python;
	struct python_frame seen;
	struct frame *frame;

	for (unsigned i = 0; autopsy->python_at && i < PYTHON_STEPS_MAX; i++) {
		if (!python_frame_read(python, autopsy->python_at, &seen)) {
			autopsy->python_at = 0;
			return;
		}
		autopsy->python_at = seen.previous;
		frame = seen.is_hidden ? NULL : frame_new(autopsy->thread);
		if (frame) {
			*frame = (struct frame){ .is_python = true };
			frame->line = python_line(python, &seen);
			python_text(python, seen.file, frame->file,
				    sizeof(frame->file));
			python_text(python, seen.function, frame->function,
				    sizeof(frame->function));
		}
		if (seen.is_entry)
			return;
	}
}

static int frame_add(Dwfl_Frame *state, void *arg)
{
	struct autopsy *autopsy = arg;
	Dwfl_Module *module;
	struct frame *frame;
	bool is_activation;
	const char *name = NULL;
	Dwarf_Addr pc;

	if (!dwfl_frame_pc(state, &pc, &is_activation))
		return DWARF_CB_ABORT;
	pc -= !is_activation;
	if (autopsy->python_at) {
		module = dwfl_addrmodule(autopsy->dwfl, pc);
		name = module ? dwfl_module_addrname(module, pc) : NULL;
		if (name &&
		    !strncmp(name, LOOP_FUNCTION, strlen(LOOP_FUNCTION))) {
			python_add(autopsy);
			return DWARF_CB_OK;
		}
	}
	frame = frame_new(autopsy->thread);
	if (!frame)
		return DWARF_CB_ABORT;
	*frame = (struct frame){ .address = pc };
	return DWARF_CB_OK;
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

/* The call that it is in, by proc(5)'s syscall; "": none. */
static void call_read(pid_t pid, pid_t tid, char *buf, size_t size)
{
	char line[256];
	int nr = -1;

	*buf = '\0';
	line_read(pid, tid, "syscall", line, sizeof(line));
	if (sscanf(line, "%d", &nr) != 1 || nr < 0 || nr >= CALL_NR_MAX)
		return;
	if (nr == SYS_futex)
		snprintf(buf, size, "futex");
	else if (call_kernel_table[nr].id < CALL_COUNT)
		snprintf(buf, size, "%s",
			 call_table[call_kernel_table[nr].id].name);
}

/* By the number that it has where it lives. */
static uint64_t tid_inside(pid_t pid, pid_t tid)
{
	char path[80], line[256], *last;
	uint64_t inside = (uint64_t)tid;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid,
		 (int)tid);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in)) {
		if (strncmp(line, "NSpid:", 6) != 0)
			continue;
		last = strrchr(line, '\t');
		inside = last ? strtoull(last, NULL, 10) : inside;
		break;
	}
	if (in)
		fclose(in);
	return inside;
}

static void thread_walk(struct autopsy *autopsy, pid_t tid)
{
	struct python_reader *python = &autopsy->memory.python;
	struct thread *thread = &autopsy->threads[autopsy->count++];
	uint64_t state, loop;

	thread->tid = tid;
	line_read(autopsy->pid, tid, "comm", thread->name,
		  sizeof(thread->name));
	call_read(autopsy->pid, tid, thread->call, sizeof(thread->call));
	autopsy->thread = thread;
	autopsy->python_at = 0;
	state = python->runtime
			? python_state_of(python, tid_inside(autopsy->pid, tid))
			: 0;
	if (state && !python_begin(python, state, &autopsy->python_at, &loop))
		autopsy->python_at = 0;
	dwfl_getthread_frames(autopsy->dwfl, tid, frame_add, autopsy);
}

/* A file of another root is found by way of the process. */
static int find_elf(Dwfl_Module *module, void **userdata, const char *name,
		    Dwarf_Addr base, char **ret_path, Elf **ret_elf)
{
	int fd = dwfl_linux_proc_find_elf(module, userdata, name, base,
					  ret_path, ret_elf);
	const pid_t pid = looked_at;
	char *path;

	if (fd >= 0 || *ret_elf || name[0] != '/' || !pid)
		return fd;
	path = words_say("/proc/%d/root%s", (int)pid, name);
	fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		free(path);
	else
		*ret_path = path;
	return fd;
}

int autopsy_take(pid_t pid, const pid_t *tids, size_t count,
		 struct autopsy **ret_autopsy)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = find_elf,
		.find_debuginfo = no_debuginfo, /* named later */
	};
	struct autopsy *autopsy = calloc(1, sizeof(*autopsy));

	if (!autopsy)
		return -ENOMEM;
	looked_at = pid;
	autopsy->pid = autopsy->memory.pid = pid;
	autopsy->memory.python.read = memory_read;
	autopsy->dwfl = dwfl_begin(&callbacks);
	if (!autopsy->dwfl || dwfl_linux_proc_report(autopsy->dwfl, pid) != 0 ||
	    dwfl_report_end(autopsy->dwfl, NULL, NULL) != 0 ||
	    dwfl_linux_proc_attach(autopsy->dwfl, pid, true) != 0) {
		dwfl_end(autopsy->dwfl);
		free(autopsy);
		return -EIO;
	}
	dwfl_getmodules(autopsy->dwfl, python_look, autopsy, 0);
	for (size_t i = 0; i < count && i < CORONER_THREADS_MAX; i++)
		thread_walk(autopsy, tids[i]);
	*ret_autopsy = autopsy;
	return 0;
}

/* ---- names ------------------------------------------------------------- */

static struct debuginfo *info_of(struct autopsy *autopsy, Dwfl_Module *module,
				 const char *path)
{
	const unsigned char *build_id = NULL;
	GElf_Addr at;
	size_t i;
	int bytes;

	for (i = 0; i < autopsy->modules_count; i++)
		if (autopsy->modules[i] == module)
			return autopsy->infos[i];
	if (i == MODULES_MAX)
		return NULL;
	bytes = dwfl_module_build_id(module, &build_id, &at);
	autopsy->modules[i] = module;
	if (path && bytes <= DEBUGINFO_BUILD_ID_MAX)
		debuginfo_open(path, build_id, bytes > 0 ? (size_t)bytes : 0,
			       &autopsy->infos[i]);
	autopsy->modules_count++;
	return autopsy->infos[i];
}

static void frame_put(json_t *frames, const char *language, const char *module,
		      uint64_t offset, const struct debuginfo_frame *function,
		      bool is_inlined)
{
	char hex[24];

	snprintf(hex, sizeof(hex), "0x%llx", (unsigned long long)offset);
	json_array_append_new(
		frames,
		json_pack("{ss so? ss so? so? si sb sb}", "language", language,
			  "module", module ? words_json_string(module) : NULL,
			  "offset", hex, "function",
			  function->function
				  ? words_json_string(function->function)
				  : NULL,
			  "file",
			  function->file ? words_json_string(function->file)
					 : NULL,
			  "line", function->line, "inlined", is_inlined,
			  "plumbing",
			  site_is_plumbing(module, language, function->file)));
}

static void native_put(struct autopsy *autopsy, json_t *frames,
		       const struct frame *frame)
{
	Dwfl_Module *module = dwfl_addrmodule(autopsy->dwfl, frame->address);
	struct debuginfo_frame found[DEBUGINFO_INLINES_MAX];
	const struct debuginfo_frame unknown = { .function = NULL };
	const char *path = NULL, *name = NULL;
	struct debuginfo *info;
	GElf_Addr bias = 0;
	uint64_t offset;
	size_t n = 0;

	if (!module) {
		frame_put(frames, "native", NULL, 0, &unknown, false);
		return;
	}
	dwfl_module_getelf(module, &bias);
	name = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, &path,
				NULL);
	offset = frame->address - bias;
	info = info_of(autopsy, module, path);
	if (info)
		n = debuginfo_look(info, offset, found, DEBUGINFO_INLINES_MAX);
	if (!n)
		frame_put(frames, "native", name, offset, &unknown, false);
	for (size_t i = 0; i < n; i++)
		frame_put(frames, "native", name, offset, &found[i], i + 1 < n);
}

static json_t *thread_json(struct autopsy *autopsy, const struct thread *thread)
{
	json_t *frames = json_array();

	for (size_t i = 0; i < thread->count; i++) {
		const struct frame *frame = &thread->frames[i];
		const struct debuginfo_frame function = {
			.function = frame->function,
			.file = frame->file,
			.line = (int)frame->line,
		};

		if (frame->is_python)
			frame_put(frames, "python", NULL, 0, &function, false);
		else
			native_put(autopsy, frames, frame);
	}
	return json_pack("{si so ss? so}", "tid", (int)thread->tid, "name",
			 words_json_string(thread->name), "call",
			 *thread->call ? thread->call : NULL, "frames", frames);
}

json_t *autopsy_name(struct autopsy *autopsy)
{
	json_t *threads = json_array();

	for (size_t i = 0; i < autopsy->count; i++)
		json_array_append_new(
			threads, thread_json(autopsy, &autopsy->threads[i]));
	for (size_t i = 0; i < autopsy->modules_count; i++)
		debuginfo_close(autopsy->infos[i]);
	dwfl_end(autopsy->dwfl);
	free(autopsy);
	return threads;
}
