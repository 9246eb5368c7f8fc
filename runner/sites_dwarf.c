/* sites_dwarf.c - just enough of DWARF's unwind tables for sites_elf.c.
 *
 * LSB 5.0 "Exception Frames"; Itanium C++ ABI, "Language Specific Data Area".
 */
#include "runner/sites_dwarf.h"

#include <dwarf.h>
#include <errno.h>
#include <string.h>

#define FDES_MAX 4000000

struct reader { /* bad: it ran past the end; values are then 0 */
	const struct image *image;
	uint64_t address, end;
	bool bad;
};

static uint64_t read_bytes(struct reader *r, unsigned n)
{
	const uint8_t *at = image_at(r->image, r->address, n);
	uint64_t value = 0;

	if (r->bad || !at || r->end - r->address < n) {
		r->bad = true;
		return 0;
	}
	memcpy(&value, at, n);
	r->address += n;
	return value;
}

static uint64_t read_uleb(struct reader *r)
{
	uint64_t value = 0, byte;
	unsigned shift = 0;

	do {
		byte = read_bytes(r, 1);
		if (shift < 64)
			value |= (byte & 0x7f) << shift;
		shift += 7;
	} while ((byte & 0x80) && !r->bad);
	return value;
}

/* An encoded pointer; base is for DW_EH_PE_datarel. */
static uint64_t read_encoded(struct reader *r, unsigned encoding, uint64_t base)
{
	uint64_t here = r->address, value;

	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		value = read_bytes(r, 8);
		break;
	case DW_EH_PE_udata4:
		value = read_bytes(r, 4);
		break;
	case DW_EH_PE_sdata4:
		value = (uint64_t)(int64_t)(int32_t)read_bytes(r, 4);
		break;
	case DW_EH_PE_udata2:
		value = read_bytes(r, 2);
		break;
	case DW_EH_PE_sdata2:
		value = (uint64_t)(int64_t)(int16_t)read_bytes(r, 2);
		break;
	case DW_EH_PE_uleb128:
		value = read_uleb(r);
		break;
	default:
		r->bad = true;
		return 0;
	}
	if (!value)
		return 0;
	switch (encoding & 0x70) {
	case DW_EH_PE_absptr:
		return value;
	case DW_EH_PE_pcrel:
		return here + value;
	case DW_EH_PE_datarel:
		return base + value;
	}
	r->bad = true;
	return 0;
}

struct cie {
	unsigned pointer_encoding, lsda_encoding;
	bool has_augmentation;
};

static bool cie_read(const struct image *image, uint64_t address,
		     struct cie *ret_cie)
{
	struct reader r = { .image = image,
			    .address = address,
			    .end = UINT64_MAX };
	struct cie cie = { .lsda_encoding = DW_EH_PE_omit };
	char augmentation[8];
	unsigned n = 0, version;

	read_bytes(&r, 8); /* length, id */
	version = (unsigned)read_bytes(&r, 1);
	do {
		augmentation[n] = (char)read_bytes(&r, 1);
	} while (augmentation[n] && ++n < sizeof(augmentation));
	if (r.bad || n == sizeof(augmentation) ||
	    (version != 1 && version != 3))
		return false;
	read_uleb(&r);
	read_uleb(&r); /* the signed factor has the same length */
	if (version == 1)
		read_bytes(&r, 1);
	else
		read_uleb(&r);
	cie.has_augmentation = augmentation[0] == 'z';
	if (cie.has_augmentation)
		read_uleb(&r);
	for (unsigned i = cie.has_augmentation; i < n; i++) {
		unsigned encoding;

		switch (augmentation[i]) {
		case 'R':
			cie.pointer_encoding = (unsigned)read_bytes(&r, 1);
			break;
		case 'L':
			cie.lsda_encoding = (unsigned)read_bytes(&r, 1);
			break;
		case 'P':
			encoding = (unsigned)read_bytes(&r, 1);
			read_encoded(&r, encoding & 0x7f, 0);
			break;
		case 'S':
		case 'B':
			break;
		default:
			return false;
		}
	}
	*ret_cie = cie;
	return !r.bad;
}

static bool lsda_read(const struct image *image, uint64_t address,
		      uint64_t function,
		      void (*landing)(void *arg, uint64_t address), void *arg)
{
	struct reader r = { .image = image,
			    .address = address,
			    .end = UINT64_MAX };
	unsigned encoding = (unsigned)read_bytes(&r, 1);
	uint64_t base = function, bytes;

	if (encoding != DW_EH_PE_omit)
		base = read_encoded(&r, encoding, 0);
	encoding = (unsigned)read_bytes(&r, 1);
	if (encoding != DW_EH_PE_omit)
		read_uleb(&r); /* types: not of interest */
	encoding = (unsigned)read_bytes(&r, 1);
	bytes = read_uleb(&r);
	r.end = r.address + bytes;
	while (!r.bad && r.address < r.end) {
		uint64_t pad;

		read_encoded(&r, encoding, 0); /* start */
		read_encoded(&r, encoding, 0); /* length */
		pad = read_encoded(&r, encoding, 0);
		read_uleb(&r); /* action */
		if (!r.bad && pad)
			landing(arg, base + pad);
	}
	return !r.bad;
}

static int fde_read(const struct image *image, uint64_t address,
		    int (*note)(void *arg, uint64_t start, uint64_t end),
		    void (*landing)(void *arg, uint64_t address), void *arg)
{
	struct reader r = { .image = image,
			    .address = address,
			    .end = UINT64_MAX };
	uint64_t start, length, lsda, id_at;
	struct cie cie;
	int result;

	length = read_bytes(&r, 4);
	id_at = r.address;
	if (r.bad || length == 0 || length == UINT32_MAX ||
	    !cie_read(image, id_at - read_bytes(&r, 4), &cie))
		return -ENOEXEC;
	start = read_encoded(&r, cie.pointer_encoding, 0);
	length = read_encoded(&r, cie.pointer_encoding & 0x0f, 0);
	if (r.bad)
		return -ENOEXEC;
	result = note(arg, start, start + length);
	if (result < 0 || !cie.has_augmentation ||
	    cie.lsda_encoding == DW_EH_PE_omit)
		return result;
	read_uleb(&r);
	lsda = read_encoded(&r, cie.lsda_encoding, 0);
	if (r.bad || (lsda && !lsda_read(image, lsda, start, landing, arg)))
		return -ENOEXEC;
	return 0;
}

int dwarf_walk_fdes(const struct image *image,
		    int (*note)(void *arg, uint64_t start, uint64_t end),
		    void (*landing)(void *arg, uint64_t address), void *arg)
{
	struct reader r = { .image = image };
	unsigned pointer, count_encoding, table;
	uint64_t base = 0, count;

	for (unsigned i = 0; i < image->segments_count; i++) {
		const Elf64_Phdr *p = &image->segments[i];

		if (p->p_type != PT_GNU_EH_FRAME)
			continue;
		base = p->p_vaddr;
		r.address = base;
		r.end = base + p->p_filesz;
	}
	if (!r.end)
		return 0;
	if (read_bytes(&r, 1) != 1)
		return -ENOEXEC;
	pointer = (unsigned)read_bytes(&r, 1);
	count_encoding = (unsigned)read_bytes(&r, 1);
	table = (unsigned)read_bytes(&r, 1);
	read_encoded(&r, pointer, base);
	count = read_encoded(&r, count_encoding, base);
	if (r.bad || count > FDES_MAX)
		return -ENOEXEC;
	while (count--) {
		int result;

		read_encoded(&r, table, base); /* where its code begins */
		result = fde_read(image, read_encoded(&r, table, base), note,
				  landing, arg);
		if (r.bad)
			return -ENOEXEC;
		if (result < 0)
			return result;
	}
	return 0;
}
