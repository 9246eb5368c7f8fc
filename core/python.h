/* python.h - the functions that a thread of CPython 3.11 is in, read from its
 * memory by whoever can reach it: the target its own, the runner a stopped
 * one's.
 *
 * Nothing is believed: each object is checked for its type, each length has a
 * bound, and what can't be read ends the walk.  Pure but for the reader;
 * signal-safe if that is.  Offsets: CPython 3.11, Include/cpython/code.h,
 * pystate.h, internal/pycore_frame.h, pycore_runtime.h; all releases of 3.11
 * have the same, and other versions others.
 */
#ifndef MISHAP_CORE_PYTHON_H
#define MISHAP_CORE_PYTHON_H

#include <stdbool.h>
#include <stdint.h>

#define PYTHON_FILE_MAX	    176 /* of longer texts the end is kept */
#define PYTHON_FUNCTION_MAX 64
#define PYTHON_STEPS_MAX    128 /* frames of a chain that are looked at */

/* What an interpreter exports in .dynsym: these names. */
#define PYTHON_SYMBOL_RUNTIME "_PyRuntime"
#define PYTHON_SYMBOL_VERSION "Py_Version"
#define PYTHON_SYMBOL_CODE    "PyCode_Type"
#define PYTHON_SYMBOL_TEXT    "PyUnicode_Type"

/* python_is_known - does the value of Py_Version stand for a release whose
 * layout is known here?  Before 3.11 there is no such symbol. */
static inline bool python_is_known(uint64_t version)
{
	return version >> 16 == 0x030b && (version & 0xf0) == 0xf0;
}

struct python_reader {
	/* true: all bytes at address were copied. */
	bool (*read)(struct python_reader *reader, uint64_t address,
		     void *ret_bytes, unsigned bytes);
	uint64_t runtime, code_type, text_type; /* addresses of the symbols */
};

/* One function that runs; what identifies its place in the source. */
struct python_frame {
	uint64_t previous; /* address of its caller's; 0: none */
	uint64_t code, file, function, lines; /* objects */
	uint64_t code_units; /* of the code: tells one code from another */
	int32_t first_line;
	int32_t unit;	/* of the code, where it is; -1: before the first */
	bool is_entry;	/* C called it; else another Python function did */
	bool is_hidden; /* not begun yet */
};

/* python_key - of the thread-specific value that holds a thread's state;
 * false: none yet, or no more. */
bool python_key(struct python_reader *reader, uint32_t *ret_key);
/* python_state_of - the state of a thread by its kernel's id, by way of all
 * interpreters' lists; for a process that stands still.  0: it has none. */
uint64_t python_state_of(struct python_reader *reader, uint64_t tid);
/* python_state_is - is it that of the thread whose pthread_self() is self? */
bool python_state_is(struct python_reader *reader, uint64_t state,
		     uint64_t self);
/* python_begin - the innermost frame of a thread, and the address within the
 * C frame of the interpreter's loop that runs it.  false: it runs none. */
bool python_begin(struct python_reader *reader, uint64_t state,
		  uint64_t *ret_frame, uint64_t *ret_loop);
bool python_frame_read(struct python_reader *reader, uint64_t at,
		       struct python_frame *ret_frame);
/* python_line - where in the source it is; 0: unknown. */
uint32_t python_line(struct python_reader *reader,
		     const struct python_frame *frame);
/* python_text - a str as UTF-8, terminated, control characters as '?'; of one
 * that needs more than max bytes the end.  Returns its length; 0: no text. */
unsigned python_text(struct python_reader *reader, uint64_t text,
		     char *ret_text, unsigned max);

/* python_file_name - what of a path tells a file from others wherever it is
 * installed: the last component, and the one before if that says nothing. */
const char *python_file_name(const char *path);

#endif
