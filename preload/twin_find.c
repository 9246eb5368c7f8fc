/* twin_find.c - what the wrappers of twin.c stand before.
 *
 * dlsym() would take 80 us for all of them, and allocates where it finds none.
 * So the GNU hash tables are read here, of the objects that were loaded after
 * ours in the order in which ld.so searches them: another interposer among
 * them comes before libc, as RTLD_NEXT has it.
 */
#include <link.h>

#include "preload/twin.h"

#define VERSION_HIDDEN 0x8000 /* an old version of a symbol; not the default   \
			       */

/* An object's symbols. */
struct object {
	ElfW(Addr) base;
	const ElfW(Sym) * symbols;
	const char *strings;
	const ElfW(Half) * versions; /* NULL: it has none */
	const uint32_t *hash;
};

struct search {
	bool after_us, all;
	unsigned objects;
	uint32_t hashes[TWIN_COUNT];
};

/* glibc keeps addresses in a mapped .dynamic, musl offsets. */
static const void *pointer_of(const struct dl_phdr_info *info, ElfW(Addr) value)
{
	return (const void *)(value < info->dlpi_addr ? value + info->dlpi_addr
						      : value);
}

static bool object_open(const struct dl_phdr_info *info,
			struct object *ret_object)
{
	struct object o = { .base = info->dlpi_addr };
	const ElfW(Dyn) *d = NULL;

	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			d = (const void *)(info->dlpi_addr +
					   info->dlpi_phdr[i].p_vaddr);
	}
	for (; d && d->d_tag != DT_NULL; d++) {
		const void *at = pointer_of(info, d->d_un.d_ptr);

		if (d->d_tag == DT_SYMTAB)
			o.symbols = at;
		else if (d->d_tag == DT_STRTAB)
			o.strings = at;
		else if (d->d_tag == DT_VERSYM)
			o.versions = at;
		else if (d->d_tag == DT_GNU_HASH)
			o.hash = at;
	}
	*ret_object = o;
	return o.symbols && o.strings && o.hash;
}

static uint32_t hash_of(const char *name)
{
	uint32_t h = 5381;

	while (*name)
		h = h * 33 + (uint8_t)*name++;
	return h;
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* A function of that name and of its default version; NULL: none. */
static void *object_find(const struct object *o, const char *name,
			 uint32_t hash)
{
	uint32_t buckets = o->hash[0], first = o->hash[1];
	uint32_t words = o->hash[2], shift = o->hash[3];
	const ElfW(Addr) *bloom = (const ElfW(Addr) *)&o->hash[4];
	const uint32_t *bucket = (const uint32_t *)(bloom + words);
	const uint32_t *chain = bucket + buckets;
	ElfW(Addr) word = bloom[hash / 64 % words];
	uint32_t i;

	if (!(word >> hash % 64 & 1) || !(word >> (hash >> shift) % 64 & 1))
		return NULL;
	i = bucket[hash % buckets];
	if (i < first)
		return NULL;
	for (;; i++) {
		const ElfW(Sym) *s = &o->symbols[i];
		uint32_t seen = chain[i - first];

		if ((seen | 1) == (hash | 1) && s->st_shndx != SHN_UNDEF &&
		    ELF64_ST_TYPE(s->st_info) == STT_FUNC &&
		    !(o->versions && o->versions[i] & VERSION_HIDDEN) &&
		    same(o->strings + s->st_name, name))
			return (void *)(o->base + s->st_value);
		if (seen & 1)
			return NULL;
	}
}

static bool is_ours(const struct dl_phdr_info *info)
{
	uintptr_t here = (uintptr_t)is_ours;

	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD &&
		    here - (info->dlpi_addr + p->p_vaddr) < p->p_memsz)
			return true;
	}
	return false;
}

static int object_look(struct dl_phdr_info *info, size_t bytes, void *arg)
{
	struct search *search = arg;
	struct object object;

	(void)bytes;
	if (search->objects++ == 0) /* the program itself */
		return 0;
	if (is_ours(info)) {
		search->after_us = true;
		return 0;
	}
	if (!(search->after_us || search->all) || !object_open(info, &object))
		return 0;
	for (unsigned id = 0; id < TWIN_COUNT; id++) {
		const char *name = twin_table[id].symbol;
		void *found;

		if (twin_go[id] != twin_asks[id])
			continue;
		found = object_find(&object, name, search->hashes[id]);
		if (found)
			twin_go[id] = (twin_function *)found;
	}
	return 0;
}

void twins_find(void)
{
	struct search search = { .all = false };

	for (unsigned id = 0; id < TWIN_COUNT; id++)
		search.hashes[id] = hash_of(twin_table[id].symbol);
	dl_iterate_phdr(object_look, &search);
	if (twin_go[TWIN_read] != twin_asks[TWIN_read])
		return;
	search.all = true; /* a libc that is listed before us */
	search.objects = 0;
	dl_iterate_phdr(object_look, &search);
}
