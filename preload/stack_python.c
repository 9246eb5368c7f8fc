/* stack_python.c - the Python functions that the calling thread is in.
 *
 * CPython runs them all in one C function, so their calls have one C stack in
 * common.  Its frames are read from the thread's own state, which nobody else
 * changes, by way of the thread-specific value that it hangs on: no lock, no
 * list of others' threads, and it is gone before the state is freed.  A signal
 * may have stopped the interpreter half-way through a change: every page is
 * seen to be readable before it is read, and every object must be what it
 * should be.  What a frame's place is called, and its line, is cached by the
 * code object and the instruction; a slot has a sequence number, as in
 * stack.c.
 */
#include <pthread.h>

#include "preload/stack.h"

#define PAGE	    4096ull
#define PLACES	    512 /* cache slots, a power of two */
#define PLACE_WORDS (sizeof(struct place) / sizeof(uint64_t))

_Atomic uint64_t stack_python_runtime HIDDEN;
static uint64_t code_type, text_type;
static _Atomic int met; /* 1: somebody fills in these */

/* What was found out about one place in a program. */
struct place {
	uint64_t code, file, function, lines, code_units; /* as in the frame */
	int32_t unit, first_line;
	uint64_t id; /* hash of file, function, line */
	uint32_t number, line;
};

struct place_slot {
	_Atomic uint32_t sequence;
	_Atomic uint64_t words[PLACE_WORDS];
};

union place_words {
	struct place place;
	uint64_t words[PLACE_WORDS];
};

_Static_assert(sizeof(struct place) % sizeof(uint64_t) == 0, "words");

static struct place_slot places[PLACES];

/* ---- reading ----------------------------------------------------------- */

static bool page_is_there(struct stack_reader *reader, uint64_t page)
{
	const unsigned count = sizeof(reader->pages) / sizeof(*reader->pages);

	for (unsigned i = 0; i < count; i++) {
		if (reader->pages[i] == page)
			return true;
	}
	if (page < PAGE || !stack_page_readable(page))
		return false;
	reader->pages[reader->next++ % count] = page;
	return true;
}

__attribute__((no_sanitize("address", "thread"))) static bool
memory_read(struct python_reader *python, uint64_t address, void *ret_bytes,
	    unsigned bytes)
{
	struct stack_reader *reader = (struct stack_reader *)python;
	unsigned char *to = ret_bytes;
	unsigned i = 0;

	for (uint64_t page = address & -PAGE; page < address + bytes;
	     page += PAGE) {
		if (!page_is_there(reader, page))
			return false;
	}
	for (; !((address + i) & 7) && i + 8 <= bytes; i += 8)
		*(uint64_t *)(void *)(to + i) = stack_peek(address + i);
	for (; i < bytes; i++)
		to[i] = *(const volatile unsigned char *)(address + i);
	return true;
}

static void reader_open(struct stack_reader *reader)
{
	reader->python.read = memory_read;
	reader->next = 0;
	for (unsigned i = 0; i < sizeof(reader->pages) / sizeof(*reader->pages);
	     i++)
		reader->pages[i] = 0;
}

/* ---- an interpreter ---------------------------------------------------- */

uint8_t stack_python_meet(const struct stack_module *module)
{
	uint64_t runtime = stack_elf_symbol(module, PYTHON_SYMBOL_RUNTIME);
	uint64_t at, version = 0;
	struct stack_reader reader;

	if (!runtime)
		return RUNS_ITSELF;
	reader_open(&reader);
	at = stack_elf_symbol(module, PYTHON_SYMBOL_VERSION);
	if (!at || !memory_read(&reader.python, at, &version, 8) ||
	    !python_is_known(version))
		return RUNS_UNKNOWN_PYTHON;
	if (atomic_exchange(&met, 1) == 0) {
		code_type = stack_elf_symbol(module, PYTHON_SYMBOL_CODE);
		text_type = stack_elf_symbol(module, PYTHON_SYMBOL_TEXT);
		atomic_store_explicit(&stack_python_runtime, runtime,
				      memory_order_release);
	}
	return RUNS_PYTHON;
}

bool stack_python_begin(struct stack_python *python)
{
	struct python_reader *reader = &python->reader.python;
	uint64_t state;
	uint32_t key;

	reader_open(&python->reader);
	reader->runtime = atomic_load_explicit(&stack_python_runtime,
					       memory_order_acquire);
	reader->code_type = code_type;
	reader->text_type = text_type;
	python->steps = 0;
	if (!reader->runtime || !python_key(reader, &key))
		return false;
	state = (uint64_t)pthread_getspecific(key);
	return state && python_state_is(reader, state, pthread_self()) &&
	       python_begin(reader, state, &python->frame, &python->loop);
}

static bool frame_next(struct stack_python *python, struct python_frame *ret)
{
	while (python->frame && python->steps++ < PYTHON_STEPS_MAX) {
		if (!python_frame_read(&python->reader.python, python->frame,
				       ret))
			return false;
		python->frame = ret->previous;
		if (!ret->is_hidden)
			return true;
	}
	return false;
}

/* ---- what a place is called -------------------------------------------- */

static struct place_slot *place_slot(const struct python_frame *frame)
{
	uint64_t hash = stack_mix(frame->code, (uint64_t)frame->unit);

	return &places[(hash >> 8) % PLACES];
}

static bool place_load(const struct place_slot *slot,
		       const struct python_frame *frame, union place_words *ret)
{
	const struct place *place = &ret->place;
	uint32_t sequence =
		atomic_load_explicit(&slot->sequence, memory_order_acquire);

	for (unsigned i = 0; i < PLACE_WORDS; i++)
		ret->words[i] = atomic_load_explicit(&slot->words[i],
						     memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	return !(sequence & 1) &&
	       atomic_load_explicit(&slot->sequence, memory_order_relaxed) ==
		       sequence &&
	       place->code == frame->code && place->file == frame->file &&
	       place->function == frame->function &&
	       place->lines == frame->lines &&
	       place->code_units == frame->code_units &&
	       place->unit == frame->unit &&
	       place->first_line == frame->first_line;
}

static void place_store(struct place_slot *slot, const union place_words *words)
{
	uint32_t sequence =
		atomic_load_explicit(&slot->sequence, memory_order_relaxed);

	if (sequence & 1 || !atomic_compare_exchange_strong_explicit(
				    &slot->sequence, &sequence, sequence + 1,
				    memory_order_acquire, memory_order_relaxed))
		return;
	atomic_thread_fence(memory_order_release);
	for (unsigned i = 0; i < PLACE_WORDS; i++)
		atomic_store_explicit(&slot->words[i], words->words[i],
				      memory_order_relaxed);
	atomic_store_explicit(&slot->sequence, sequence + 2,
			      memory_order_release);
}

static uint64_t text_hash(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = stack_mix(hash, (uint8_t)*text);
	return stack_mix(hash, 0);
}

/* Its id is made of what is the same wherever the program is installed. */
static __attribute__((noinline)) void
place_find(struct python_reader *reader, const struct python_frame *frame,
	   struct place *ret_place)
{
	char file[PYTHON_FILE_MAX], function[PYTHON_FUNCTION_MAX];
	uint64_t id = FRAME_PYTHON, key;

	python_text(reader, frame->file, file, sizeof(file));
	python_text(reader, frame->function, function, sizeof(function));
	id = text_hash(id, python_file_name(file));
	id = text_hash(id, function);
	key = text_hash(text_hash(FRAME_PYTHON, file), function);
	*ret_place = (struct place){
		.code = frame->code,
		.file = frame->file,
		.function = frame->function,
		.lines = frame->lines,
		.code_units = frame->code_units,
		.unit = frame->unit,
		.first_line = frame->first_line,
		.line = python_line(reader, frame),
		.number = stack_table_code(guest_state, key ? key : 1, file,
					   function),
	};
	ret_place->id = stack_mix(id, ret_place->line);
}

bool stack_python_next(struct stack_python *python,
		       struct stack_frame *ret_frame)
{
	struct python_frame frame;
	union place_words words;
	struct place_slot *slot;

	if (!frame_next(python, &frame))
		return false;
	slot = place_slot(&frame);
	if (!place_load(slot, &frame, &words)) {
		place_find(&python->reader.python, &frame, &words.place);
		place_store(slot, &words);
	}
	ret_frame->id = words.place.id;
	ret_frame->offset = words.place.line;
	ret_frame->place = (struct stack_place){
		.generation = words.place.number,
		.slot = STACK_PYTHON_SLOT,
	};
	return true;
}

/* ---- frame= ------------------------------------------------------------ */

static const char *behind_last(const char *text, char mark)
{
	const char *behind = text;

	for (; *text; text++) {
		if (*text == mark)
			behind = text + 1;
	}
	return behind;
}

bool stack_python_has(struct stack_python *python, const char *glob)
{
	char text[PYTHON_FILE_MAX];
	struct python_reader *reader = &python->reader.python;
	struct python_frame frame;

	while (frame_next(python, &frame)) {
		if (python_text(reader, frame.function, text, sizeof(text)) &&
		    (glob_match(glob, text) ||
		     glob_match(glob, behind_last(text, '.'))))
			return true;
		if (python_text(reader, frame.file, text, sizeof(text)) &&
		    (glob_match(glob, text) ||
		     glob_match(glob, behind_last(text, '/'))))
			return true;
	}
	return false;
}
