/* evidence_io.h - fields to and from a JSON object: one function per shape goes
 * both ways, so that what is written and what is read can't drift apart. */
#ifndef MISHAP_RUNNER_EVIDENCE_IO_H
#define MISHAP_RUNNER_EVIDENCE_IO_H

#include "runner/words.h"

struct io {
	json_t *at; /* the object that fields belong to; borrowed */
	bool load;
	int error; /* the first one sticks */
};

typedef void io_shape(struct io *io, void *item);

/* The first failure sticks. */
void io_fail(struct io *io, int error);
void io_put(struct io *io, const char *key, json_t *value); /* takes value */
bool io_has(const struct io *io, const char *key); /* a loaded object */
uint64_t io_number(struct io *io, const char *key, uint64_t value);
void io_string(struct io *io, const char *key, char **string);
void io_chars(struct io *io, const char *key, char *chars, size_t size);
void io_strings(struct io *io, const char *key, struct strings *strings);
void io_object(struct io *io, const char *key, void *item, io_shape *shape);
/* io_list - *items of *count; on load both are made.  NULL items stay NULL. */
void io_list(struct io *io, const char *key, void **items, size_t *count,
	     size_t size, io_shape *shape);
/* io_fixed - an array of fixed length, of which the first `used` count. */
void io_fixed(struct io *io, const char *key, void *array, size_t used,
	      size_t size, io_shape *shape);

/* Numbers and booleans alike: a boolean is 0 or 1. */
#define NUMBER(io, of, field)                                                  \
	((of)->field = (__typeof__((of)->field))io_number(                     \
		 io, #field, (uint64_t)(of)->field))

#define STRING(io, of, field) io_string(io, #field, &(of)->field)

#define LIST(io, of, field, count, shape)                                      \
	io_list(io, #field, (void **)&(of)->field, count,                      \
		sizeof(*(of)->field), shape)

#endif
