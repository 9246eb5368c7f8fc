/* stack.h - what the files of the stack walker share, and what a door that
 * has no registers at hand calls.
 *
 * stack.c walks, stack_cfi.c reads unwind tables, stack_module.c knows the
 * libraries that are mapped, stack_elf.c reads their headers, stack_memory.c
 * says what may be read, stack_table.c writes what was found into the shared
 * memory.
 *
 * Everything here is lock-free, malloc-free, signal-safe and re-entrant, and
 * makes no system call once it is warm.  A writer that is interrupted for
 * good (a thread lost in fork, a vfork child killed) leaves at worst a cache
 * slot that is never used again; nobody waits for anybody.
 */
#ifndef MISHAP_PRELOAD_STACK_H
#define MISHAP_PRELOAD_STACK_H

#include <link.h>

#include "preload/door.h"
#include "preload/stack_cfi.h"

/* stack_number_here, stack_has_frame_here - as in door.h, for the caller's
 * caller and up: the walk begins in this library, whose own frames are always
 * left out, so it may be called at any depth behind an exported symbol.
 * Not from a site's stub, which has no unwind table: there regs->pc counts. */
HIDDEN uint32_t stack_number_here(void);
HIDDEN bool stack_has_frame_here(const char *glob);
struct stack_frame;
/* stack_deep, stack_deep_here - the frames themselves, at most max, which is
 * at least SHARED_FRAMES_MAX; how many.  0: they can't be had. */
HIDDEN unsigned stack_deep(uint64_t pc, uint64_t sp, uint64_t bp,
			   struct stack_frame *ret_frames, unsigned max);
HIDDEN unsigned stack_deep_here(struct stack_frame *ret_frames, unsigned max);

/* ---- stack_memory.c: reading what may not be there -------------------- */

/* Addresses lo up to hi that were seen to be readable. */
struct stack_range {
	uint64_t lo, hi;
};

/* The range around sp that this thread knows already, at least sp's page
 * (which is there, because sp is a stack pointer in use). */
HIDDEN struct stack_range stack_range_at(uint64_t sp);
/* Remember a range for this thread. */
HIDDEN void stack_range_keep(const struct stack_range *range);
/* Make the range reach address, page by page.  False: not readable, or beyond
 * STACK_REACH_MAX. */
HIDDEN bool stack_range_grow(struct stack_range *range, uint64_t address);
/* Is the page of this address readable?  One system call. */
HIDDEN bool stack_page_readable(uint64_t address);

#define STACK_REACH_MAX	      (64ull << 20) /* from lo; larger stacks are cut */
#define STACK_FRAME_BYTES_MAX (8ull << 20)  /* one frame; larger: cut */

/* (A sanitizer would see that we read other functions' frames.) */
__attribute__((no_sanitize("address", "thread"))) static inline uint64_t
stack_peek(uint64_t address)
{
	return *(const uint64_t *)address;
}

/* Read 8 bytes at an aligned address; false: they aren't there. */
static inline bool stack_range_read(struct stack_range *range, uint64_t address,
				    uint64_t *ret_value)
{
	if (address < range->lo || address & 7)
		return false;
	if (UNLIKELY(address >= range->hi) && !stack_range_grow(range, address))
		return false;
	*ret_value = stack_peek(address);
	return true;
}

/* ---- stack_module.c: the libraries that are mapped -------------------- */

#define STACK_MODULES_MAX 256
#define STACK_NO_SLOT	  0xffff
#define STACK_PYTHON_SLOT 0xfffe /* a place that isn't one, see below */

/* A library of this process, by the addresses where it is mapped. */
struct stack_module {
	uint64_t lo, hi; /* as _dl_find_object says */
	const struct link_map *map;
	const uint8_t *eh_frame_hdr; /* NULL: it has none that we can read */
	struct cfi_span span;	     /* the segment that eh_frame_hdr lies in */
	uint64_t bias; /* run-time address minus address in the file */
	uint64_t id;   /* hash of the build-id, or of the name; never 0 */
	const uint8_t *build_id;
	uint32_t build_id_bytes;
	bool own, passing; /* as in struct stack_place */
	uint8_t runs;	   /* enum module_runs */
};

/* Where a module stands in the cache: a slot and what generation of it; and
 * what a walk must know about it. */
struct stack_place {
	uint32_t generation;
	uint16_t slot; /* STACK_NO_SLOT: the cache had no room */
	bool own;      /* it is libmishap.so itself */
	bool passing;  /* dlclose may unmap it */
};

/* The module at pc.  False: none (generated code, or no _dl_find_object:
 * glibc before 2.35). */
HIDDEN bool stack_module_find(uint64_t pc, struct stack_module *ret_module,
			      struct stack_place *ret_place);
/* Does what was cached at place still stand at pc?  Asked once per walk for a
 * module that can be unmapped by dlclose. */
HIDDEN bool stack_module_stands(struct stack_place place, uint64_t pc);
/* A copy of the module at a place; false if it is gone. */
HIDDEN bool stack_module_get(struct stack_place place,
			     struct stack_module *ret_module);

/* Is the program built with a sanitizer that wants to trace itself?  For a
 * constructor: it reads the loader's list. */
HIDDEN bool stack_has_sanitizer(void);

/* ---- stack_elf.c: what a mapped file says of itself ------------------- */

/* Fill eh_frame_hdr, span, build_id of a module whose lo, hi, bias are set;
 * headers that we can't read leave it without any of them. */
HIDDEN void stack_elf_read(const void *eh_frame_hdr,
			   struct stack_module *module);
/* The last component of its path. */
HIDDEN const char *stack_elf_name(const struct stack_module *module);
/* Its path, absolute where that can be known; at most bytes, terminated. */
HIDDEN void stack_elf_path(const struct stack_module *module, char *ret_path,
			   unsigned bytes);
/* Does an exported function that contains pc match the glob?  All names that
 * it goes by are tried. */
HIDDEN bool stack_elf_has_symbol(const struct stack_module *module, uint64_t pc,
				 const char *glob);
/* The run-time address of an exported symbol, by its hash table; 0: none. */
HIDDEN uint64_t stack_elf_symbol(const struct stack_module *module,
				 const char *name);

/* An address inside the library whose frames are left out. */
extern const void *stack_own_address HIDDEN;

/* ---- stack.c: the walk ------------------------------------------------ */

struct stack_frame {
	uint64_t id;	 /* hash of the module's id and the offset */
	uint64_t offset; /* address in the file of the call instruction's last
			    byte; of the instruction itself in the frame where
			    the walk or a signal began */
	struct stack_place place;
};

/* Fill at most max frames, innermost first; returns how many. */
HIDDEN unsigned stack_walk(uint64_t pc, uint64_t sp, uint64_t bp,
			   struct stack_frame *ret_frames, unsigned max);
/* The same, ended before the frame that the address `end` lies in. */
HIDDEN unsigned stack_walk_below(uint64_t pc, uint64_t sp, uint64_t bp,
				 uint64_t end, struct stack_frame *ret_frames,
				 unsigned max);

static inline uint64_t stack_mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 32;
}

/* ---- stack_python.c: functions that an interpreter runs --------------- */

/* A library was met: is it CPython?  Returns enum module_runs. */
HIDDEN uint8_t stack_python_meet(const struct stack_module *module);

/* A reader of this process's memory that takes no page on trust. */
struct stack_reader {
	struct python_reader python;
	uint64_t pages[8]; /* seen to be readable; 0: free */
	unsigned next;
};

/* A walk through this thread's Python functions. */
struct stack_python {
	struct stack_reader reader;
	uint64_t frame; /* the next one's address; 0: none */
	uint64_t loop;	/* lies in the C frame that runs them */
	unsigned steps;
};

/* The runtime of the CPython that is here; 0: none that we know. */
HIDDEN extern _Atomic uint64_t stack_python_runtime;
static inline bool stack_python_is_here(void)
{
	return UNLIKELY(atomic_load_explicit(&stack_python_runtime,
					     memory_order_acquire) != 0);
}
/* stack_python_begin - false: no CPython is here that we know, or this thread
 * runs none of its functions. */
HIDDEN bool stack_python_begin(struct stack_python *python);
/* stack_python_next - a frame whose place has slot STACK_PYTHON_SLOT and as its
 * generation the number in state->codes plus 1 (0: no room); offset: the
 * line. */
HIDDEN bool stack_python_next(struct stack_python *python,
			      struct stack_frame *ret_frame);
/* stack_python_has - does any function match the glob, by its name, qualified
 * or not, or by its file's name or path? */
HIDDEN bool stack_python_has(struct stack_python *python, const char *glob);

/* ---- stack_table.c: what the runner reads ----------------------------- */

/* The number of this code in state->codes plus 1, inserted if it is new; 0: no
 * room.  key: not 0. */
HIDDEN uint32_t stack_table_code(struct state *state, uint64_t key,
				 const char *file, const char *function);

/* Frames as the runner reads them; their modules are inserted. */
HIDDEN void stack_table_frames(struct state *state,
			       const struct stack_frame *frames, unsigned count,
			       struct shared_frame *ret_frames);
/* The number of this stack in state->stacks, inserted if it is new; 0 when
 * the table is full. */
HIDDEN uint32_t stack_table_number(struct state *state,
				   const struct stack_frame *frames,
				   unsigned count);

#endif
