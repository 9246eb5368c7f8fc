/* table.h - a hash table of fixed-size keys and values.
 *
 * Keys are compared byte by byte: zero their padding.  Values stay where they
 * are until table_clear(); a new one is zeroed.  Not thread-safe.
 */
#ifndef MISHAP_BPF_TABLE_H
#define MISHAP_BPF_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct table {
	size_t key_bytes, value_bytes;
	size_t count, buckets_count;
	struct table_entry **buckets;
};

struct table_entry {
	struct table_entry *next;
	max_align_t bytes[]; /* value, then key */
};

/* table_find - NULL: it isn't there. */
void *table_find(const struct table *table, const void *key);
/* table_take - find, or add; NULL: no memory. */
void *table_take(struct table *table, const void *key);
/* table_drop - remove; false: it wasn't there. */
bool table_drop(struct table *table, const void *key);
/* table_copy - ret must be empty and of the same sizes; 0, -ENOMEM. */
int table_copy(const struct table *table, struct table *ret);
void table_clear(struct table *table);

/* table_next - after the entry, NULL: the first; NULL at the end. */
struct table_entry *table_next(const struct table *table,
			       const struct table_entry *entry);
void *table_value(const struct table *table, struct table_entry *entry);
void *table_key(const struct table *table, struct table_entry *entry);

#endif
