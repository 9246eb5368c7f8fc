#include "bpf/plans.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/table.h"
#include "core/sites.h"

struct build_id {
	__u8 bytes[32];
	__u32 count;
};

struct plans {
	const char *dir;
	struct table table; /* struct build_id -> struct plan_sites * */
};

int plans_open(const char *dir, struct plans **ret)
{
	struct plans *plans = calloc(1, sizeof(*plans));

	if (!plans)
		return -ENOMEM;
	plans->dir = dir;
	plans->table = (struct table){ .key_bytes = sizeof(struct build_id),
				       .value_bytes = sizeof(void *) };
	*ret = plans;
	return 0;
}

void plans_close(struct plans *plans)
{
	struct table_entry *e = NULL;

	while ((e = table_next(&plans->table, e))) {
		struct plan_sites *plan =
			*(struct plan_sites **)table_value(&plans->table, e);

		if (plan)
			free(plan->addresses);
		free(plan);
	}
	table_clear(&plans->table);
	free(plans);
}

static int address_compare(const void *a, const void *b)
{
	__u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return x < y ? -1 : x > y;
}

/* The `syscall` of AROUND is displaced: nothing is left there. */
static bool is_left_in_place(const struct site *site)
{
	return site->kind == SITE_BEFORE || site->kind == SITE_FUNNEL;
}

static struct plan_sites *plan_read(const void *map, size_t bytes)
{
	const struct sites_header *header;
	const struct site *sites;
	struct plan_sites *plan;

	if (sites_open(map, bytes, &header, &sites) < 0)
		return NULL;
	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return NULL;
	plan->addresses = calloc(header->count + 1, sizeof(*plan->addresses));
	if (!plan->addresses) {
		free(plan);
		return NULL;
	}
	plan->text_start = header->text_start;
	plan->text_end = header->text_end;
	for (__u32 i = 0; i < header->count; i++)
		if (is_left_in_place(&sites[i]))
			plan->addresses[plan->count++] = sites[i].syscall;
	qsort(plan->addresses, plan->count, sizeof(*plan->addresses),
	      address_compare);
	return plan;
}

static struct plan_sites *plan_open_file(const char *dir,
					 const struct build_id *id)
{
	char path[PATH_MAX], hex[65] = "";
	struct plan_sites *plan = NULL;
	struct stat st;
	void *map;
	int fd;

	for (__u32 i = 0; i < id->count; i++)
		snprintf(&hex[2 * i], 3, "%02x", id->bytes[i]);
	snprintf(path, sizeof(path), "%s/%s.sites", dir, hex);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return NULL;
	map = fstat(fd, &st) == 0 && st.st_size > 0
		      ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
			     fd, 0)
		      : MAP_FAILED;
	close(fd);
	if (map == MAP_FAILED)
		return NULL;
	plan = plan_read(map, (size_t)st.st_size);
	munmap(map, (size_t)st.st_size);
	return plan;
}

const struct plan_sites *plans_find(struct plans *plans, const __u8 *build_id,
				    __u32 bytes)
{
	struct build_id id = { .count = bytes };
	struct plan_sites **at;

	if (!plans->dir || bytes == 0 || bytes > sizeof(id.bytes))
		return NULL;
	memcpy(id.bytes, build_id, bytes);
	at = table_take(&plans->table, &id);
	if (at && !*at)
		*at = plan_open_file(plans->dir, &id);
	return at ? *at : NULL;
}

bool plan_has(const struct plan_sites *plan, __u64 offset)
{
	return bsearch(&offset, plan->addresses, plan->count,
		       sizeof(*plan->addresses), address_compare);
}
