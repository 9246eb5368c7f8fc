/* stack_elf.c - what a mapped file says of itself: its unwind table, its
 * build-id, its path, its exported functions.
 *
 * Nothing is read outside the segments that the program headers name.
 */
#include "preload/stack.h"

#include <sys/auxv.h>

#include "core/sys.h"

#define PAGE	    4096
#define HEADERS_MAX 64	/* program headers that are looked at */
#define DYNAMIC_MAX 256 /* entries of .dynamic that are looked at */
#define SYMBOLS_MAX (1u << 20)

extern __typeof__(_r_debug) _r_debug __attribute__((weak)); /* musl: none */

/* The program's own path while it could be had: it may chroot later. */
static char exe_path[256];

struct headers {
	const ElfW(Phdr) * at;
	unsigned count;
	uint64_t bias;
};

static __attribute__((constructor)) void exe_path_remember(void)
{
	sys_readlink("/proc/self/exe", exe_path, sizeof exe_path - 1);
}

/* The program itself may have holes between its segments, and then lo isn't
 * where its ELF header is; the kernel says where its program headers are. */
static bool headers_of_program(struct headers *ret_headers)
{
	uint64_t at = getauxval(AT_PHDR), count = getauxval(AT_PHNUM);

	if (getauxval(AT_PHENT) != sizeof(ElfW(Phdr)) || !at ||
	    count > HEADERS_MAX ||
	    at % PAGE + count * sizeof(ElfW(Phdr)) > PAGE ||
	    !stack_page_readable(at))
		return false;
	ret_headers->at = (const void *)at;
	ret_headers->count = (unsigned)count;
	return true;
}

/* A library's, if its first page holds them all. */
static bool headers_of_library(uint64_t lo, uint64_t hi,
			       struct headers *ret_headers)
{
	const ElfW(Ehdr) *head = (const void *)lo;

	if (hi - lo < PAGE || !stack_page_readable(lo))
		return false;
	if (head->e_ident[0] != ELFMAG0 || head->e_ident[1] != ELFMAG1 ||
	    head->e_ident[2] != ELFMAG2 || head->e_ident[3] != ELFMAG3 ||
	    head->e_phentsize != sizeof(ElfW(Phdr)) ||
	    head->e_phnum > HEADERS_MAX || head->e_phoff % 8 ||
	    head->e_phoff > PAGE - head->e_phnum * sizeof(ElfW(Phdr)))
		return false;
	ret_headers->at = (const void *)(lo + head->e_phoff);
	ret_headers->count = head->e_phnum;
	return true;
}

static bool headers_open(const struct stack_module *module,
			 struct headers *ret_headers)
{
	ret_headers->bias = module->bias;
	return module->map == _r_debug.r_map
		       ? headers_of_program(ret_headers)
		       : headers_of_library(module->lo, module->hi,
					    ret_headers);
}

/* The readable segment that `bytes` bytes at `at` lie in. */
static bool segment_of(const struct headers *headers, uint64_t at,
		       uint64_t bytes, struct cfi_span *ret_span)
{
	for (unsigned i = 0; i < headers->count; i++) {
		const ElfW(Phdr) *segment = &headers->at[i];
		uint64_t lo = headers->bias + segment->p_vaddr;
		uint64_t size = segment->p_filesz;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_R) ||
		    at < lo || at - lo > size || size - (at - lo) < bytes)
			continue;
		ret_span->lo = (const uint8_t *)lo;
		ret_span->hi = (const uint8_t *)lo + size;
		return true;
	}
	return false;
}

/* NT_GNU_BUILD_ID among the notes of one segment. */
static void notes_read(struct stack_module *module, const uint8_t *at,
		       uint64_t bytes)
{
	while (bytes >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *note = (const void *)at;
		uint64_t name = (note->n_namesz + 3ull) & ~3ull;
		uint64_t size =
			sizeof *note + name + ((note->n_descsz + 3ull) & ~3ull);

		if (size > bytes)
			return;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
		    at[12] == 'G' && at[13] == 'N' && at[14] == 'U' &&
		    note->n_descsz > 0 && note->n_descsz <= 32) {
			module->build_id = at + sizeof *note + name;
			module->build_id_bytes = note->n_descsz;
			return;
		}
		at += size;
		bytes -= size;
	}
}

void stack_elf_read(const void *eh_frame_hdr, struct stack_module *module)
{
	struct headers headers;
	struct cfi_span span;

	module->eh_frame_hdr = NULL;
	module->build_id = NULL;
	module->build_id_bytes = 0;
	if (!headers_open(module, &headers))
		return;
	if (eh_frame_hdr &&
	    segment_of(&headers, (uint64_t)eh_frame_hdr, 12, &module->span))
		module->eh_frame_hdr = eh_frame_hdr;
	for (unsigned i = 0; i < headers.count; i++) {
		const ElfW(Phdr) *notes = &headers.at[i];
		uint64_t at = headers.bias + notes->p_vaddr;

		if (notes->p_type == PT_NOTE && !module->build_id_bytes &&
		    segment_of(&headers, at, notes->p_filesz, &span))
			notes_read(module, (const uint8_t *)at,
				   notes->p_filesz);
	}
}

/* ---- names ------------------------------------------------------------- */

static const char *path_of(const struct stack_module *module)
{
	return module->map->l_name[0] ? module->map->l_name : exe_path;
}

const char *stack_elf_name(const struct stack_module *module)
{
	const char *path = path_of(module);
	const char *name = path;

	for (; *path; path++) {
		if (*path == '/')
			name = path + 1;
	}
	return name;
}

void stack_elf_path(const struct stack_module *module, char *ret_path,
		    unsigned bytes)
{
	const char *path = path_of(module);
	bool has_slash = false;
	unsigned at = 0;
	long cwd;

	for (const char *c = path; *c; c++)
		has_slash |= *c == '/';
	if (path[0] != '/' && has_slash) { /* found by a relative search path */
		cwd = sys3(SYS_getcwd, (long)ret_path, bytes - 1, 0);
		if (cwd > 1 && ret_path[0] == '/') {
			at = (unsigned)cwd - 1;
			ret_path[at++] = '/';
		}
	}
	while (*path && at < bytes - 1)
		ret_path[at++] = *path++;
	ret_path[at] = '\0';
}

/* ---- exported functions ------------------------------------------------ */

struct symbols {
	const ElfW(Sym) * at;
	const uint32_t *gnu_hash; /* NULL: it has none */
	uint32_t count;
	const char *names;
	uint64_t names_bytes;
};

/* How many symbols a GNU hash table speaks of: one more than the last of the
 * highest chain.  Layout: magic words nbuckets, symoffset, bloom_size, shift;
 * bloom words of 8 bytes; buckets; chains, whose last has bit 0 set. */
static uint32_t gnu_hash_count(const uint32_t *table,
			       const struct cfi_span *span)
{
	uint64_t words = (uint64_t)(span->hi - (const uint8_t *)table) / 4;
	uint64_t buckets = 4 + table[2] * 2ull, last = 0;

	if (words < buckets + table[0])
		return 0;
	for (uint64_t i = 0; i < table[0]; i++) {
		if (table[buckets + i] > last)
			last = table[buckets + i];
	}
	if (last < table[1])
		return 0;
	for (uint64_t at = buckets + table[0] + last - table[1]; at < words;
	     at++, last++) {
		if (table[at] & 1)
			return (uint32_t)last + 1;
	}
	return 0;
}

/* ld.so relocates the addresses in .dynamic, but not in every object. */
static uint64_t dynamic_address(const struct stack_module *module,
				const ElfW(Dyn) * entry)
{
	uint64_t at = entry->d_un.d_ptr;

	return at < module->lo ? at + module->bias : at;
}

static bool symbols_open(const struct stack_module *module,
			 struct symbols *ret_symbols)
{
	const ElfW(Dyn) *entry = module->map->l_ld;
	uint64_t table = 0, names = 0, gnu_hash = 0, hash = 0;
	struct cfi_span span;
	struct headers headers;

	ret_symbols->names_bytes = 0;
	if (!entry || !headers_open(module, &headers))
		return false;
	for (unsigned i = 0; i < DYNAMIC_MAX && entry->d_tag != DT_NULL;
	     i++, entry++) {
		if (entry->d_tag == DT_SYMTAB)
			table = dynamic_address(module, entry);
		else if (entry->d_tag == DT_STRTAB)
			names = dynamic_address(module, entry);
		else if (entry->d_tag == DT_STRSZ)
			ret_symbols->names_bytes = entry->d_un.d_val;
		else if (entry->d_tag == DT_GNU_HASH)
			gnu_hash = dynamic_address(module, entry);
		else if (entry->d_tag == DT_HASH)
			hash = dynamic_address(module, entry);
	}
	ret_symbols->count = 0;
	ret_symbols->gnu_hash = NULL;
	if (gnu_hash && segment_of(&headers, gnu_hash, 16, &span))
		ret_symbols->count =
			gnu_hash_count((const void *)gnu_hash, &span);
	else if (hash && segment_of(&headers, hash, 8, &span))
		ret_symbols->count = ((const uint32_t *)hash)[1];
	if (ret_symbols->count == 0 || ret_symbols->count > SYMBOLS_MAX ||
	    !segment_of(&headers, table, ret_symbols->count * sizeof(ElfW(Sym)),
			&span) ||
	    !segment_of(&headers, names, ret_symbols->names_bytes, &span))
		return false;
	if (gnu_hash)
		ret_symbols->gnu_hash = (const void *)gnu_hash;
	ret_symbols->at = (const void *)table;
	ret_symbols->names = (const char *)names;
	return ret_symbols->names_bytes > 0 &&
	       ret_symbols->names[ret_symbols->names_bytes - 1] == '\0';
}

bool stack_elf_has_symbol(const struct stack_module *module, uint64_t pc,
			  const char *glob)
{
	uint64_t offset = pc - module->bias;
	struct symbols symbols;

	if (!symbols_open(module, &symbols))
		return false;
	for (uint32_t i = 0; i < symbols.count; i++) {
		const ElfW(Sym) *symbol = &symbols.at[i];

		if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
		    symbol->st_shndx != SHN_UNDEF &&
		    offset - symbol->st_value < symbol->st_size &&
		    symbol->st_name < symbols.names_bytes &&
		    glob_match(glob, symbols.names + symbol->st_name))
			return true;
	}
	return false;
}

static bool same_name(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* The table was seen to be whole by gnu_hash_count(); see its layout there. */
uint64_t stack_elf_symbol(const struct stack_module *module, const char *name)
{
	uint32_t hash = 5381, number;
	const uint32_t *buckets, *chains;
	struct symbols symbols;

	if (!symbols_open(module, &symbols) || !symbols.gnu_hash)
		return 0;
	for (const char *c = name; *c; c++)
		hash = hash * 33 + (uint8_t)*c;
	buckets = symbols.gnu_hash + 4 + symbols.gnu_hash[2] * 2ull;
	chains = buckets + symbols.gnu_hash[0];
	number = buckets[hash % symbols.gnu_hash[0]];
	for (; number >= symbols.gnu_hash[1] && number < symbols.count;
	     number++) {
		uint32_t seen = chains[number - symbols.gnu_hash[1]];
		const ElfW(Sym) *symbol = &symbols.at[number];

		if ((seen | 1) == (hash | 1) && symbol->st_shndx != SHN_UNDEF &&
		    symbol->st_name < symbols.names_bytes &&
		    same_name(symbols.names + symbol->st_name, name))
			return symbol->st_value + module->bias;
		if (seen & 1)
			break;
	}
	return 0;
}
