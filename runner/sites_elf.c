/* sites_elf.c - map an ELF file and learn its functions and jump targets.
 *
 * Sources: System V gABI and the x86-64 psABI; the LSB's ".eh_frame" and
 * ".eh_frame_hdr" pages; the Itanium C++ ABI's "Exception Handling Tables".
 */
#include "runner/sites_elf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/sites_dwarf.h"

const uint8_t *image_at(const struct image *image, uint64_t address, size_t n)
{
	for (unsigned i = 0; i < image->segments_count; i++) {
		const Elf64_Phdr *p = &image->segments[i];

		if (p->p_type != PT_LOAD || address < p->p_vaddr ||
		    address - p->p_vaddr >= p->p_filesz)
			continue;
		if (n > p->p_filesz - (address - p->p_vaddr))
			return NULL;
		return image->map + p->p_offset + (address - p->p_vaddr);
	}
	return NULL;
}

void image_mark(const struct image *image, uint64_t *bits, uint64_t address)
{
	uint64_t at = address - image->text_start;

	if (image_has_text(image, address))
		bits[at / 64] |= 1ull << (at % 64);
}

bool image_marked(const struct image *image, const uint64_t *bits,
		  uint64_t address)
{
	uint64_t at = address - image->text_start;

	return image_has_text(image, address) &&
	       (bits[at / 64] >> (at % 64) & 1);
}

struct image_function *image_function_at(const struct image *image,
					 uint64_t address)
{
	size_t low = 0, high = image->functions_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct image_function *f = &image->functions[middle];

		if (address < f->start)
			high = middle;
		else if (address >= f->end)
			low = middle + 1;
		else
			return f;
	}
	return NULL;
}

static int image_read_headers(struct image *image)
{
	const Elf64_Ehdr *h = (const void *)image->map;
	unsigned executable = 0;

	if (image->bytes < sizeof(*h) || memcmp(h->e_ident, ELFMAG, SELFMAG) ||
	    h->e_ident[EI_CLASS] != ELFCLASS64 ||
	    (h->e_machine != EM_X86_64 && h->e_machine != EM_AARCH64) ||
	    (h->e_type != ET_DYN && h->e_type != ET_EXEC) ||
	    h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phoff % 8 ||
	    h->e_phoff > image->bytes ||
	    h->e_phnum > (image->bytes - h->e_phoff) / sizeof(Elf64_Phdr))
		return -ENOEXEC;
	image->header = h;
	image->segments = (const void *)(image->map + h->e_phoff);
	image->segments_count = h->e_phnum;
	for (unsigned i = 0; i < image->segments_count; i++) {
		const Elf64_Phdr *p = &image->segments[i];

		if (p->p_offset > image->bytes ||
		    p->p_filesz > image->bytes - p->p_offset ||
		    p->p_vaddr > UINT64_MAX / 4)
			return -ENOEXEC;
		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		image->text_start = p->p_vaddr;
		image->text_end = p->p_vaddr + p->p_filesz;
		image->text = image->map + p->p_offset;
		executable++;
	}
	return executable == 1 && image->text_end > image->text_start
		       ? 0
		       : -ENOEXEC;
}

static void image_read_build_id(struct image *image)
{
	for (unsigned i = 0; i < image->segments_count; i++) {
		const Elf64_Phdr *p = &image->segments[i];
		const uint8_t *at = image->map + p->p_offset;
		const uint8_t *end = at + p->p_filesz;

		while (p->p_type == PT_NOTE &&
		       (size_t)(end - at) >= sizeof(Elf64_Nhdr)) {
			const Elf64_Nhdr *n = (const void *)at;
			uint64_t name = (n->n_namesz + 3ull) & ~3ull;
			uint64_t desc = (n->n_descsz + 3ull) & ~3ull;

			at += sizeof(*n);
			if (name + desc > (size_t)(end - at))
				break;
			if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 &&
			    !memcmp(at, "GNU", 4) && n->n_descsz > 0 &&
			    n->n_descsz <= sizeof(image->build_id)) {
				image->build_id_bytes = n->n_descsz;
				memcpy(image->build_id, at + name, n->n_descsz);
				return;
			}
			at += name + desc;
		}
	}
}

struct ranges {
	struct image_function *items;
	size_t count, room;
};

static int range_add(struct ranges *ranges, uint64_t start, uint64_t end)
{
	if (ranges->count == ranges->room) {
		size_t room = ranges->room ? 2 * ranges->room : 4096;
		void *items;

		if (ranges->count > IMAGE_FUNCTIONS_MAX)
			return -EFBIG;
		items = realloc(ranges->items, room * sizeof(*ranges->items));
		if (!items)
			return -ENOMEM;
		ranges->items = items;
		ranges->room = room;
	}
	ranges->items[ranges->count++] =
		(struct image_function){ .start = start, .end = end };
	return 0;
}

static int range_order(const void *a, const void *b)
{
	const struct image_function *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

struct fde_walk {
	struct image *image;
	struct ranges *ranges;
};

static int fde_note(void *arg, uint64_t start, uint64_t end)
{
	const struct fde_walk *walk = arg;

	if (!image_has_text(walk->image, start) || end <= start ||
	    end > walk->image->text_end)
		return 0;
	image_mark(walk->image, walk->image->targets, start);
	return range_add(walk->ranges, start, end);
}

static void fde_landing(void *arg, uint64_t address)
{
	const struct fde_walk *walk = arg;

	image_mark(walk->image, walk->image->targets, address);
}

static void ranges_sort(struct ranges *ranges)
{
	if (ranges->count)
		qsort(ranges->items, ranges->count, sizeof(*ranges->items),
		      range_order);
}

static bool ranges_have(const struct ranges *ranges, size_t sorted,
			uint64_t address)
{
	size_t low = 0, high = sorted;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low && address < ranges->items[low - 1].end;
}

/* Symbols: functions may be jumped to; one without an FDE becomes a range. */
static int image_read_symbols(struct image *image, struct ranges *ranges)
{
	const Elf64_Ehdr *h = image->header;
	const Elf64_Shdr *s;
	size_t fdes = ranges->count;
	int r = 0;

	ranges_sort(ranges);
	if (!h->e_shoff || h->e_shoff % 8 || h->e_shoff > image->bytes ||
	    h->e_shnum > (image->bytes - h->e_shoff) / sizeof(*s))
		return 0;
	s = (const void *)(image->map + h->e_shoff);
	for (unsigned i = 0; i < h->e_shnum && !r; i++) {
		const Elf64_Sym *sym;

		if ((s[i].sh_type != SHT_SYMTAB &&
		     s[i].sh_type != SHT_DYNSYM) ||
		    s[i].sh_offset > image->bytes || s[i].sh_offset % 8 ||
		    s[i].sh_size > image->bytes - s[i].sh_offset)
			continue;
		sym = (const void *)(image->map + s[i].sh_offset);
		for (size_t n = s[i].sh_size / sizeof(*sym); n && !r;
		     n--, sym++) {
			uint64_t end = sym->st_value + sym->st_size;
			unsigned type = ELF64_ST_TYPE(sym->st_info);

			if (type != STT_FUNC && type != STT_GNU_IFUNC)
				continue;
			image_mark(image, image->targets, sym->st_value);
			if (end <= sym->st_value || end > image->text_end ||
			    !image_has_text(image, sym->st_value))
				continue;
			if (!ranges_have(ranges, fdes, sym->st_value))
				r = range_add(ranges, sym->st_value, end);
		}
	}
	return r;
}

/* Words of data that may be addresses of code; relocations' addends are among
 * them, for they are data of the file, too. */
static void image_mark_pointers(struct image *image)
{
	for (unsigned i = 0; i < image->segments_count; i++) {
		const Elf64_Phdr *p = &image->segments[i];
		uint64_t word;

		if (p->p_type != PT_LOAD || (p->p_flags & PF_X))
			continue;
		for (uint64_t at = -p->p_vaddr % 8; at + 8 <= p->p_filesz;
		     at += 8) {
			memcpy(&word, image->map + p->p_offset + at, 8);
			image_mark(image, image->targets, word);
		}
	}
}

/* Sort, make disjoint, fill what lies between. */
static int image_set_functions(struct image *image, struct ranges *ranges)
{
	struct ranges all = { 0 };
	uint64_t at = image->text_start;
	int r = 0;

	ranges_sort(ranges);
	for (size_t i = 0; i < ranges->count && !r; i++) {
		const struct image_function *f = &ranges->items[i];

		if (f->end <= at)
			continue;
		if (f->start > at) {
			r = range_add(&all, at, f->start);
			if (!r)
				all.items[all.count - 1].is_gap = true;
			at = f->start;
		}
		if (!r)
			r = range_add(&all, at, f->end);
		at = f->end;
	}
	if (!r && at < image->text_end) {
		r = range_add(&all, at, image->text_end);
		if (!r)
			all.items[all.count - 1].is_gap = true;
	}
	image->functions = all.items;
	image->functions_count = all.count;
	return r;
}

int image_read_functions(struct image *image)
{
	size_t words = (image->text_end - image->text_start) / 64 + 1;
	struct ranges ranges = { 0 };
	struct fde_walk walk = { .image = image, .ranges = &ranges };
	int r;

	image->targets = calloc(words, sizeof(uint64_t));
	image->starts = calloc(words, sizeof(uint64_t));
	if (!image->targets || !image->starts)
		return -ENOMEM;
	r = dwarf_walk_fdes(image, fde_note, fde_landing, &walk);
	if (!r)
		r = image_read_symbols(image, &ranges);
	if (!r)
		r = image_set_functions(image, &ranges);
	free(ranges.items);
	image_mark_pointers(image);
	return r;
}

int image_open(const char *path, struct image *ret_image)
{
	struct image image = { 0 };
	struct stat st;
	void *map;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = fstat(fd, &st) < 0			     ? -errno
	    : !S_ISREG(st.st_mode)		     ? -ENOEXEC
	    : (uint64_t)st.st_size < 64		     ? -ENOEXEC
	    : (uint64_t)st.st_size > IMAGE_BYTES_MAX ? -EFBIG
						     : 0;
	if (r < 0) {
		close(fd);
		return r;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	r = map == MAP_FAILED ? -errno : 0;
	close(fd);
	if (r < 0)
		return r;
	image.map = map;
	image.bytes = (size_t)st.st_size;
	r = image_read_headers(&image);
	if (!r)
		image_read_build_id(&image);
	if (r < 0)
		image_close(&image);
	else
		*ret_image = image;
	return r;
}

void image_close(struct image *image)
{
	if (image->map)
		munmap((void *)(uintptr_t)image->map, image->bytes);
	free(image->functions);
	free(image->targets);
	free(image->starts);
	*image = (struct image){ 0 };
}
