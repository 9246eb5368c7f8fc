#include "runner/evidence_io.h"

#include <errno.h>
#include <string.h>

#define ITEMS_MAX (1u << 24)

void io_fail(struct io *io, int error)
{
	if (!io->error)
		io->error = error;
}

void io_put(struct io *io, const char *key, json_t *value)
{
	if (!value || json_object_set_new(io->at, key, value) < 0)
		io_fail(io, -ENOMEM);
}

bool io_has(const struct io *io, const char *key)
{
	return json_object_get(io->at, key);
}

uint64_t io_number(struct io *io, const char *key, uint64_t value)
{
	const json_t *json;

	if (!io->load) {
		io_put(io, key, json_integer((json_int_t)value));
		return value;
	}
	json = json_object_get(io->at, key);
	if (!json_is_integer(json)) {
		io_fail(io, -EBADMSG);
		return 0;
	}
	return (uint64_t)json_integer_value(json);
}

void io_string(struct io *io, const char *key, char **string)
{
	const json_t *json;

	if (!io->load) {
		io_put(io, key, words_json_string(*string));
		return;
	}
	json = json_object_get(io->at, key);
	if (!json || json_is_null(json)) /* an older run knew less */
		return;
	if (!json_is_string(json)) {
		io_fail(io, -EBADMSG);
		return;
	}
	*string = strdup(json_string_value(json));
	if (!*string)
		io_fail(io, -ENOMEM);
}

void io_chars(struct io *io, const char *key, char *chars, size_t size)
{
	char *string = chars;

	if (io->load)
		string = NULL;
	io_string(io, key, &string);
	if (io->load && string) {
		snprintf(chars, size, "%s", string);
		free(string);
	}
}

void io_strings(struct io *io, const char *key, struct strings *strings)
{
	json_t *array;

	if (!io->load) {
		array = json_array();
		for (size_t i = 0; i < strings->count; i++)
			if (json_array_append_new(
				    array,
				    words_json_string(strings->items[i])) < 0)
				io_fail(io, -ENOMEM);
		io_put(io, key, array);
		return;
	}
	array = json_object_get(io->at, key);
	if (!json_is_array(array)) {
		io_fail(io, -EBADMSG);
		return;
	}
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *item = json_string_value(json_array_get(array, i));

		if (!item)
			io_fail(io, -EBADMSG);
		else if (words_push(strings, strdup(item)) < 0)
			io_fail(io, -ENOMEM);
	}
}

void io_object(struct io *io, const char *key, void *item, io_shape *shape)
{
	struct io inner = { .load = io->load };

	inner.at = io->load ? json_object_get(io->at, key) : json_object();
	if (!json_is_object(inner.at)) {
		io_fail(io, -EBADMSG);
		return;
	}
	shape(&inner, item);
	if (inner.error)
		io_fail(io, inner.error);
	if (!io->load)
		io_put(io, key, inner.at);
}

/* A list: *items of *count; on load both are made.  NULL items stay NULL. */
void io_list(struct io *io, const char *key, void **items, size_t *count,
	     size_t size, io_shape *shape)
{
	struct io inner = { .load = io->load };
	json_t *array;

	if (!io->load && !*items) {
		io_put(io, key, json_null());
		return;
	}
	array = io->load ? json_object_get(io->at, key) : json_array();
	if (io->load && json_is_null(array)) {
		*count = 0;
		return;
	}
	if (!json_is_array(array) || json_array_size(array) > ITEMS_MAX) {
		io_fail(io, -EBADMSG);
		return;
	}
	if (io->load) {
		*count = json_array_size(array);
		*items = calloc(*count + 1, size);
		if (!*items) {
			*count = 0;
			io_fail(io, -ENOMEM);
			return;
		}
	}
	for (size_t i = 0; i < *count; i++) {
		inner.at = io->load ? json_array_get(array, i) : json_object();
		if (!json_is_object(inner.at)) {
			io_fail(io, -EBADMSG);
			return;
		}
		shape(&inner, (char *)*items + i * size);
		if (!io->load && json_array_append_new(array, inner.at) < 0)
			io_fail(io, -ENOMEM);
	}
	if (inner.error)
		io_fail(io, inner.error);
	if (!io->load)
		io_put(io, key, array);
}

void io_fixed(struct io *io, const char *key, void *array, size_t used,
	      size_t size, io_shape *shape)
{
	void *items = array;
	size_t count = used;

	if (io->load)
		items = NULL;
	io_list(io, key, &items, &count, size, shape);
	if (!io->load || io->error)
		return;
	if (count != used)
		io_fail(io, -EBADMSG);
	else if (items)
		memcpy(array, items, used * size);
	free(items);
}
