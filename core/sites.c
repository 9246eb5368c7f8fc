/* sites.c - a patch plan is checked whole before a byte is touched. */
#include "core/sites.h"

#include <errno.h>
#include <stdbool.h>

#include "core/plan.h"

#define SITES_VERSION 3

/* What a machine's sites look like. */
struct shape {
	uint64_t jump_bytes; /* what a site must have room for */
	uint64_t syscall_bytes;
	uint64_t step; /* instructions begin at multiples of it */
};
static const struct shape amd64 = { 5, 2, 1 }, aarch64 = { 4, 4, 4 };

uint64_t sites_abi(void)
{
	const uint64_t shapes[] = {
		SITES_VERSION,
		sizeof(struct site),
		sizeof(struct sites_header),
		offsetof(struct site, bytes),
		offsetof(struct site, function),
		offsetof(struct sites_header, machine),
	};

	return plan_checksum(shapes, sizeof(shapes));
}

static const struct shape *shape_of(uint32_t machine)
{
	switch (machine) {
	case EM_X86_64:
		return &amd64;
	case EM_AARCH64:
		return &aarch64;
	}
	return NULL;
}

static bool is_site_sound(const struct sites_header *h,
			  const struct shape *shape, const struct site *site)
{
	uint64_t end = site->syscall + shape->syscall_bytes;

	if (site->kind > SITE_FUNNEL || site->why >= WHY_COUNT ||
	    site->syscall < h->text_start || site->syscall >= h->text_end ||
	    end > h->text_end || site->syscall % shape->step)
		return false;
	if (site->kind == SITE_LEFT || site->kind == SITE_SKIPPED)
		return true;
	if (site->start < h->text_start || site->end > h->text_end ||
	    site->length < shape->jump_bytes || site->length > SITE_BYTES_MAX ||
	    site->start > h->text_end - site->length ||
	    site->start % shape->step)
		return false;
	/* A call of the function that the `syscall` stands in. */
	if (site->kind == SITE_FUNNEL)
		return site->length == shape->jump_bytes &&
		       site->start + site->length == site->end &&
		       site->function >= h->text_start &&
		       site->function <= site->syscall &&
		       site->function % shape->step == 0 &&
		       (site->end <= site->function || site->start >= end);
	if (site->start > site->syscall)
		return false;
	/* Before: what is displaced must end where `syscall` stands, which
	 * may be counted in.  Around: `syscall` is displaced as well. */
	if (site->kind == SITE_BEFORE)
		return site->start + shape->jump_bytes <= site->syscall &&
		       (site->start + site->length == site->syscall ||
			site->start + site->length == end) &&
		       (site->end == site->syscall || site->end == end);
	return site->end >= end && site->start + site->length == site->end;
}

uint64_t sites_checksum(const struct sites_header *header)
{
	const size_t from = offsetof(struct sites_header, count);

	return plan_checksum(&header->count,
			     sizeof(*header) - from +
				     header->count * sizeof(struct site));
}

int sites_open(const void *map, size_t bytes,
	       const struct sites_header **ret_header,
	       const struct site **ret_sites)
{
	const struct sites_header *h = map;
	const struct site *sites = (const void *)(h + 1);
	const struct shape *shape;
	uint64_t free_from = 0;

	if (!map || (uintptr_t)map % _Alignof(struct sites_header) ||
	    bytes < sizeof(*h))
		return -EBADMSG;
	if (h->magic != SITES_MAGIC || h->abi != sites_abi())
		return -EPROTO;
	shape = shape_of(h->machine);
	if (!shape || h->count > SITES_MAX || h->text_start > h->text_end ||
	    h->build_id_bytes == 0 || h->build_id_bytes > sizeof(h->build_id) ||
	    bytes - sizeof(*h) < h->count * sizeof(*sites) ||
	    h->checksum != sites_checksum(h))
		return -EBADMSG;
	for (uint32_t i = 0; i < h->count; i++) {
		bool is_patched = sites[i].kind != SITE_LEFT &&
				  sites[i].kind != SITE_SKIPPED;

		if (!is_site_sound(h, shape, &sites[i]))
			return -EBADMSG;
		if (!is_patched)
			continue;
		/* In order, and none in another's bytes. */
		if (sites[i].start < free_from)
			return -EBADMSG;
		free_from = sites[i].start + sites[i].length;
	}
	*ret_header = h;
	*ret_sites = sites;
	return 0;
}
