/* python.c - see python.h. */
#include "core/python.h"

enum { /* struct _PyRuntimeState */
       RUNTIME_INTERPRETERS = 40,
       RUNTIME_KEY = 592, /* gilstate.autoTSSkey: is it made, which */
};
enum { INTERPRETER_NEXT = 0, INTERPRETER_THREADS = 16 };
enum { /* struct _ts */
       STATE_NEXT = 8,
       STATE_CFRAME = 56,
       STATE_SELF = 152,
       STATE_TID = 160,
       STATE_ROOT_CFRAME = 336,
};
enum { CFRAME_CURRENT = 8 };
enum { /* struct _PyInterpreterFrame */
       FRAME_CODE = 32,
       FRAME_PREVIOUS = 48,
       FRAME_INSTRUCTION = 56,
       FRAME_IS_ENTRY = 68,
       FRAME_OWNER = 69,
       FRAME_BYTES = 72,
       OWNER_GENERATOR = 1,
};
enum { /* PyCodeObject */
       OBJECT_TYPE = 8,
       OBJECT_SIZE = 16,
       CODE_FIRST_LINE = 72,
       CODE_FILE = 112,
       CODE_FUNCTION = 128, /* the qualified name */
       CODE_LINES = 136,
       CODE_FIRST_TRACEABLE = 168,
       CODE_BYTES = 184, /* and then the instructions */
};
enum { /* PyASCIIObject, PyCompactUnicodeObject */
       TEXT_LENGTH = 16,
       TEXT_STATE = 32,
       TEXT_ASCII_BYTES = 48,
       TEXT_OTHER_BYTES = 72,
};
enum { BYTES_DATA = 32 };

#define INTERPRETERS_MAX 16
#define THREADS_MAX	 4096
#define LINES_BYTES_MAX	 (64u << 10)
#define TEXT_LENGTH_MAX	 (1u << 20)

static uint64_t word_at(const unsigned char *bytes, unsigned at)
{
	uint64_t word = 0;

	for (unsigned i = 8; i-- > 0;)
		word = word << 8 | bytes[at + i];
	return word;
}

static uint32_t half_at(const unsigned char *bytes, unsigned at)
{
	return (uint32_t)bytes[at] | (uint32_t)bytes[at + 1] << 8 |
	       (uint32_t)bytes[at + 2] << 16 | (uint32_t)bytes[at + 3] << 24;
}

static bool read_word(struct python_reader *reader, uint64_t address,
		      uint64_t *ret_word)
{
	unsigned char bytes[8];

	if (address & 7 || !reader->read(reader, address, bytes, sizeof(bytes)))
		return false;
	*ret_word = word_at(bytes, 0);
	return true;
}

bool python_key(struct python_reader *reader, uint32_t *ret_key)
{
	uint64_t word;

	if (!read_word(reader, reader->runtime + RUNTIME_KEY, &word) ||
	    (uint32_t)word == 0)
		return false;
	*ret_key = (uint32_t)(word >> 32);
	return true;
}

uint64_t python_state_of(struct python_reader *reader, uint64_t tid)
{
	uint64_t interpreter, state, seen;

	if (!read_word(reader, reader->runtime + RUNTIME_INTERPRETERS,
		       &interpreter))
		return 0;
	for (unsigned i = 0; interpreter && i < INTERPRETERS_MAX; i++) {
		if (!read_word(reader, interpreter + INTERPRETER_THREADS,
			       &state))
			return 0;
		for (unsigned t = 0; state && t < THREADS_MAX; t++) {
			if (!read_word(reader, state + STATE_TID, &seen))
				return 0;
			if (seen == tid)
				return state;
			if (!read_word(reader, state + STATE_NEXT, &state))
				return 0;
		}
		if (!read_word(reader, interpreter + INTERPRETER_NEXT,
			       &interpreter))
			return 0;
	}
	return 0;
}

bool python_state_is(struct python_reader *reader, uint64_t state,
		     uint64_t self)
{
	uint64_t seen;

	return read_word(reader, state + STATE_SELF, &seen) && seen == self;
}

bool python_begin(struct python_reader *reader, uint64_t state,
		  uint64_t *ret_frame, uint64_t *ret_loop)
{
	uint64_t loop, frame;

	if (!read_word(reader, state + STATE_CFRAME, &loop) ||
	    loop == state + STATE_ROOT_CFRAME ||
	    !read_word(reader, loop + CFRAME_CURRENT, &frame) || !frame)
		return false;
	*ret_frame = frame;
	*ret_loop = loop;
	return true;
}

bool python_frame_read(struct python_reader *reader, uint64_t at,
		       struct python_frame *ret_frame)
{
	unsigned char frame[FRAME_BYTES], code[CODE_BYTES];
	uint64_t instruction, first;
	int64_t bytes;

	if (at & 7 || !reader->read(reader, at, frame, sizeof(frame)))
		return false;
	ret_frame->code = word_at(frame, FRAME_CODE);
	if (ret_frame->code & 7 ||
	    !reader->read(reader, ret_frame->code, code, sizeof(code)) ||
	    word_at(code, OBJECT_TYPE) != reader->code_type)
		return false;
	ret_frame->previous = word_at(frame, FRAME_PREVIOUS);
	ret_frame->is_entry = frame[FRAME_IS_ENTRY] & 1;
	ret_frame->file = word_at(code, CODE_FILE);
	ret_frame->function = word_at(code, CODE_FUNCTION);
	ret_frame->lines = word_at(code, CODE_LINES);
	ret_frame->code_units = word_at(code, OBJECT_SIZE);
	ret_frame->first_line = (int32_t)half_at(code, CODE_FIRST_LINE);
	instruction = word_at(frame, FRAME_INSTRUCTION);
	first = ret_frame->code + CODE_BYTES;
	bytes = (int64_t)(instruction - first);
	if (bytes < -2 || bytes / 2 > (int64_t)ret_frame->code_units)
		return false;
	ret_frame->unit = bytes < 0 ? -1 : (int32_t)(bytes / 2);
	ret_frame->is_hidden =
		frame[FRAME_OWNER] != OWNER_GENERATOR &&
		ret_frame->unit < (int32_t)half_at(code, CODE_FIRST_TRACEABLE);
	return true;
}

/* ---- lines: Objects/locations.md of CPython 3.11 ----------------------- */

struct table {
	struct python_reader *reader;
	uint64_t at, end;
	unsigned char bytes[64];
	unsigned next, filled;
};

static bool table_byte(struct table *table, uint8_t *ret_byte)
{
	if (table->next == table->filled) {
		uint64_t left = table->end - table->at;
		unsigned n = left < sizeof(table->bytes)
				     ? (unsigned)left
				     : (unsigned)sizeof(table->bytes);

		if (!n || !table->reader->read(table->reader, table->at,
					       table->bytes, n))
			return false;
		table->at += n;
		table->next = 0;
		table->filled = n;
	}
	*ret_byte = table->bytes[table->next++];
	return true;
}

/* Six bits a byte, the least first, bit 6 says that more follow; bit 0 of the
 * number is its sign. */
static bool table_signed(struct table *table, int32_t *ret_value)
{
	uint32_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		if (!table_byte(table, &byte))
			return false;
		if (shift < 30)
			value |= (uint32_t)(byte & 63) << shift;
		shift += 6;
	} while (byte & 64);
	*ret_value = value & 1 ? -(int32_t)(value >> 1) : (int32_t)(value >> 1);
	return true;
}

static bool table_open(struct table *table, struct python_reader *reader,
		       uint64_t lines)
{
	uint64_t bytes;

	if (!read_word(reader, lines + OBJECT_SIZE, &bytes) ||
	    bytes > LINES_BYTES_MAX)
		return false;
	table->reader = reader;
	table->at = lines + BYTES_DATA;
	table->end = table->at + bytes;
	table->next = table->filled = 0;
	return true;
}

uint32_t python_line(struct python_reader *reader,
		     const struct python_frame *frame)
{
	enum { ONE_LINE_0 = 10, ONE_LINE_2 = 12, NO_COLUMNS, LONG, NONE };
	int32_t line = frame->first_line, unit = 0, change;
	struct table table;
	uint8_t byte;

	if (frame->unit < 0)
		return line > 0 ? (uint32_t)line : 0;
	if (!table_open(&table, reader, frame->lines) ||
	    !table_byte(&table, &byte))
		return 0;
	for (;;) {
		unsigned kind = byte >> 3 & 15;

		change = 0;
		if (kind >= ONE_LINE_0 && kind <= ONE_LINE_2)
			change = (int32_t)kind - ONE_LINE_0;
		else if ((kind == NO_COLUMNS || kind == LONG) &&
			 !table_signed(&table, &change))
			return 0;
		line += change;
		unit += (byte & 7) + 1;
		if (frame->unit < unit)
			return kind == NONE || line <= 0 ? 0 : (uint32_t)line;
		do { /* the next entry's first byte has bit 7 */
			if (!table_byte(&table, &byte))
				return 0;
		} while (!(byte & 0x80));
	}
}

/* ---- texts ------------------------------------------------------------- */

static unsigned utf8_put(uint32_t c, char *to)
{
	if (c < 0x80) {
		to[0] = c < 0x20 || c == 0x7f ? '?' : (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c >= 0xd800 && c < 0xe000) {
		to[0] = '?';
		return 1;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 63));
		to[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | (c >> 18 & 7));
	to[1] = (char)(0x80 | (c >> 12 & 63));
	to[2] = (char)(0x80 | (c >> 6 & 63));
	to[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* Where a text's characters stand and how wide they are; 0: not a text. */
static unsigned text_kind(struct python_reader *reader, uint64_t text,
			  uint64_t *ret_data, uint64_t *ret_length)
{
	enum { COMPACT = 1 << 5, ASCII = 1 << 6 };
	unsigned char head[TEXT_ASCII_BYTES];
	unsigned kind;
	uint32_t state;

	if (text & 7 || !reader->read(reader, text, head, sizeof(head)) ||
	    word_at(head, OBJECT_TYPE) != reader->text_type)
		return 0;
	state = half_at(head, TEXT_STATE);
	kind = state >> 2 & 7;
	*ret_length = word_at(head, TEXT_LENGTH);
	*ret_data =
		text + (state & ASCII ? TEXT_ASCII_BYTES : TEXT_OTHER_BYTES);
	if (!(state & COMPACT) || *ret_length > TEXT_LENGTH_MAX)
		return 0;
	return kind == 1 || kind == 2 || kind == 4 ? kind : 0;
}

unsigned python_text(struct python_reader *reader, uint64_t text,
		     char *ret_text, unsigned max)
{
	uint64_t data, length, from;
	unsigned kind = text_kind(reader, text, &data, &length), n = 0;
	/* So many characters of this width surely fit. */
	unsigned widest = kind == 1 ? 2 : kind == 2 ? 3 : 4;

	ret_text[0] = '\0';
	if (!kind)
		return 0;
	if (kind == 1 && data == text + TEXT_ASCII_BYTES)
		widest = 1;
	from = length > (max - 1) / widest ? length - (max - 1) / widest : 0;
	for (uint64_t i = from; i < length; i++) {
		unsigned char c[4] = { 0 };

		if (!reader->read(reader, data + i * kind, c, kind)) {
			ret_text[0] = '\0';
			return 0;
		}
		n += utf8_put(half_at(c, 0), ret_text + n);
	}
	ret_text[n] = '\0';
	return n;
}

static bool says_nothing(const char *name)
{
	static const char *const plain[] = { "__init__.py", "__main__.py" };

	for (unsigned i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		unsigned at = 0;

		while (name[at] && name[at] == plain[i][at])
			at++;
		if (name[at] == plain[i][at])
			return true;
	}
	return false;
}

const char *python_file_name(const char *path)
{
	const char *name = path, *before = path;

	for (const char *c = path; *c; c++) {
		if (*c != '/')
			continue;
		before = name;
		name = c + 1;
	}
	return says_nothing(name) ? before : name;
}
