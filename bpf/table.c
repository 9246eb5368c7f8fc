#include "bpf/table.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 64

static size_t value_room(const struct table *table)
{
	size_t align = sizeof(max_align_t);

	return (table->value_bytes + align - 1) / align * align;
}

void *table_value(const struct table *table, struct table_entry *entry)
{
	(void)table;
	return entry->bytes;
}

void *table_key(const struct table *table, struct table_entry *entry)
{
	return (char *)entry->bytes + value_room(table);
}

/* FNV-1a. */
static size_t hash_of(const struct table *table, const void *key)
{
	const unsigned char *bytes = key;
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < table->key_bytes; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ull;
	return (size_t)(hash ^ hash >> 32);
}

static struct table_entry **place_of(const struct table *table, const void *key)
{
	struct table_entry **at =
		&table->buckets[hash_of(table, key) % table->buckets_count];

	while (*at && memcmp(table_key(table, *at), key, table->key_bytes) != 0)
		at = &(*at)->next;
	return at;
}

static int table_grow(struct table *table)
{
	size_t count =
		table->buckets_count ? table->buckets_count * 2 : BUCKETS_FIRST;
	struct table_entry **buckets = calloc(count, sizeof(*buckets));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < table->buckets_count; i++)
		for (struct table_entry *e = table->buckets[i], *next; e;
		     e = next) {
			size_t at = hash_of(table, table_key(table, e)) % count;

			next = e->next;
			e->next = buckets[at];
			buckets[at] = e;
		}
	free(table->buckets);
	table->buckets = buckets;
	table->buckets_count = count;
	return 0;
}

void *table_find(const struct table *table, const void *key)
{
	struct table_entry *entry =
		table->buckets_count ? *place_of(table, key) : NULL;

	return entry ? table_value(table, entry) : NULL;
}

void *table_take(struct table *table, const void *key)
{
	struct table_entry **at, *entry;

	if (table->count >= table->buckets_count && table_grow(table) < 0)
		return NULL;
	at = place_of(table, key);
	if (*at)
		return table_value(table, *at);
	entry = calloc(1,
		       sizeof(*entry) + value_room(table) + table->key_bytes);
	if (!entry)
		return NULL;
	memcpy(table_key(table, entry), key, table->key_bytes);
	*at = entry;
	table->count++;
	return table_value(table, entry);
}

bool table_drop(struct table *table, const void *key)
{
	struct table_entry **at, *entry;

	if (!table->buckets_count)
		return false;
	at = place_of(table, key);
	entry = *at;
	if (!entry)
		return false;
	*at = entry->next;
	free(entry);
	table->count--;
	return true;
}

struct table_entry *table_next(const struct table *table,
			       const struct table_entry *entry)
{
	size_t at = 0;

	if (entry && entry->next)
		return entry->next;
	if (entry)
		at = hash_of(table,
			     table_key(table, (struct table_entry *)entry)) %
			     table->buckets_count +
		     1;
	for (; at < table->buckets_count; at++)
		if (table->buckets[at])
			return table->buckets[at];
	return NULL;
}

int table_copy(const struct table *table, struct table *ret)
{
	for (struct table_entry *e = table_next(table, NULL); e;
	     e = table_next(table, e)) {
		void *value = table_take(ret, table_key(table, e));

		if (!value)
			return -ENOMEM;
		memcpy(value, table_value(table, e), table->value_bytes);
	}
	return 0;
}

void table_clear(struct table *table)
{
	for (size_t i = 0; i < table->buckets_count; i++)
		for (struct table_entry *e = table->buckets[i], *next; e;
		     e = next) {
			next = e->next;
			free(e);
		}
	free(table->buckets);
	table->buckets = NULL;
	table->buckets_count = table->count = 0;
}
