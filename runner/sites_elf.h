/* sites_elf.h - an ELF file as the decoder of system calls sees it.
 *
 * Addresses are as in the file (offsets from the load address).  All ranges
 * are checked against the file, which may be anything.
 */
#ifndef MISHAP_RUNNER_SITES_ELF_H
#define MISHAP_RUNNER_SITES_ELF_H

#include <gelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_BYTES_MAX	    (1ull << 30)
#define IMAGE_FUNCTIONS_MAX 2000000

struct image_function { /* [start, end), sorted, disjoint */
	uint64_t start, end;
	bool is_gap; /* between functions: padding, or code without FDE */
	bool swept, doubtful; /* by sites_code.c */
};

struct image {
	const uint8_t *map; /* owned, the whole file */
	size_t bytes;
	const Elf64_Ehdr *header;
	const Elf64_Phdr *segments;
	unsigned segments_count;
	uint64_t text_start, text_end;
	const uint8_t *text; /* bytes at text_start */
	uint8_t build_id[32];
	uint32_t build_id_bytes;
	struct image_function *functions; /* owned */
	size_t functions_count;
	/* One bit per byte of text. */
	uint64_t *targets; /* owned: a jump may lead here */
	uint64_t *starts;  /* owned: an instruction begins here (swept) */
};

/* image_open - map a file; segments and build-id (if any).
 * Returns 0; -ENOEXEC not ours; -EFBIG; errors of open(2) and mmap(2). */
int image_open(const char *path, struct image *ret_image);
/* image_read_functions - functions, and what the file itself says may be
 * jumped to: their starts, landing pads, pointers in data. */
int image_read_functions(struct image *image);
void image_close(struct image *image);

/* image_at - n bytes of the file that are loaded at address, or NULL. */
const uint8_t *image_at(const struct image *image, uint64_t address, size_t n);
/* image_function_at - the function (or gap) around an address of text. */
struct image_function *image_function_at(const struct image *image,
					 uint64_t address);

static inline bool image_has_text(const struct image *image, uint64_t address)
{
	return address >= image->text_start && address < image->text_end;
}

/* bit set, of an address in text; others are silently ignored. */
void image_mark(const struct image *image, uint64_t *bits, uint64_t address);
bool image_marked(const struct image *image, const uint64_t *bits,
		  uint64_t address);

#endif
