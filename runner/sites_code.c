/* sites_code.c - find instruction starts and jump targets.
 *
 * Missing a jump target would corrupt a program, marking one too many only
 * costs a site.  So branches with a 32-bit displacement are looked for at
 * every byte of the text, whether an instruction begins there or not; a false
 * one hits one of our few windows about once in a million.  8-bit branches
 * would hit too often and reach 128 bytes: those come from a real decoder.
 */
#include "runner/sites_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_ENTRIES_MAX 4096
#define LABELS_MAX	  (1u << 20)
#define NEAR_BYTES	  192 /* more than an 8-bit branch reaches */

int decoder_open(struct decoder *ret_decoder)
{
	struct decoder d = { 0 };

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &d.quick) != CS_ERR_OK)
		return -ENOMEM;
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &d.detailed) != CS_ERR_OK) {
		cs_close(&d.quick);
		return -ENOMEM;
	}
	cs_option(d.detailed, CS_OPT_DETAIL, CS_OPT_ON);
	d.quick_insn = cs_malloc(d.quick);
	d.insn = cs_malloc(d.detailed);
	*ret_decoder = d;
	return 0;
}

void decoder_close(struct decoder *decoder)
{
	cs_free(decoder->quick_insn, 1);
	cs_free(decoder->insn, 1);
	cs_close(&decoder->quick);
	cs_close(&decoder->detailed);
}

bool decoder_at(struct decoder *decoder, const struct image *image,
		uint64_t address)
{
	const uint8_t *at = image->text + (address - image->text_start);
	size_t left = image->text_end - address;

	return image_has_text(image, address) &&
	       cs_disasm_iter(decoder->detailed, &at, &left, &address,
			      decoder->insn);
}

static uint64_t relative32(const uint8_t *at, uint64_t next)
{
	int32_t d;

	memcpy(&d, at, sizeof(d));
	return next + (uint64_t)(int64_t)d;
}

struct labels { /* addresses taken with lea */
	uint64_t *items;
	size_t count;
};

/* Entries that are relative to base, up to the first that leaves the text. */
static void code_mark_table(const struct image *image, uint64_t table,
			    uint64_t base, const struct image_function *within)
{
	for (unsigned i = 0; i < TABLE_ENTRIES_MAX; i++) {
		const uint8_t *at = image_at(image, table + 4ull * i, 4);
		uint64_t to = at ? relative32(at, base) : 0;

		if (!image_has_text(image, to) ||
		    (within && (to < within->start || to >= within->end)))
			return;
		image_mark(image, image->targets, to);
	}
}

/* `static const int table[] = { &&a - &&base, … }` is relative to a label. */
static void code_mark_label_tables(const struct image *image,
				   const struct labels *code,
				   const struct labels *data)
{
	for (size_t i = 0; i < code->count; i++) {
		const struct image_function *f =
			image_function_at(image, code->items[i]);

		if (!f || f->start == code->items[i])
			continue; /* just a function's address */
		for (size_t k = 0; k < data->count; k++)
			code_mark_table(image, data->items[k], code->items[i],
					f);
	}
}

static void label_add(struct labels *labels, uint64_t address)
{
	if (labels->count < LABELS_MAX)
		labels->items[labels->count++] = address;
}

static int code_mark_leas(const struct image *image)
{
	size_t bytes = image->text_end - image->text_start;
	struct labels code = { calloc(LABELS_MAX, sizeof(uint64_t)), 0 };
	struct labels data = { calloc(LABELS_MAX, sizeof(uint64_t)), 0 };
	const uint8_t *t = image->text;

	for (size_t i = 0; code.items && data.items && i + 7 <= bytes; i++) {
		uint64_t to;

		/* REX.W (R) 8d /r, mod 00, rm 101: lea x(%rip),%reg */
		if ((t[i] & 0xfb) != 0x48 || t[i + 1] != 0x8d ||
		    (t[i + 2] & 0xc7) != 0x05)
			continue;
		to = relative32(t + i + 3, image->text_start + i + 7);
		image_mark(image, image->targets, to);
		if (image_has_text(image, to))
			label_add(&code, to);
		else if (image_at(image, to, 4))
			label_add(&data, to);
	}
	for (size_t k = 0; k < data.count; k++)
		code_mark_table(image, data.items[k], data.items[k], NULL);
	code_mark_label_tables(image, &code, &data);
	free(code.items);
	free(data.items);
	return code.count < LABELS_MAX && data.count < LABELS_MAX ? 0 : -EFBIG;
}

int code_mark_targets(const struct image *image)
{
	size_t bytes = image->text_end - image->text_start;
	const uint8_t *t = image->text;

	for (size_t i = 0; i + 6 <= bytes; i++) {
		uint64_t here = image->text_start + i;

		if (t[i] == 0xe8 || t[i] == 0xe9) /* call, jmp */
			image_mark(image, image->targets,
				   relative32(t + i + 1, here + 5));
		else if ((t[i] == 0x0f && (t[i + 1] & 0xf0) == 0x80) ||
			 (t[i] == 0xc7 && t[i + 1] == 0xf8)) /* jcc, xbegin */
			image_mark(image, image->targets,
				   relative32(t + i + 2, here + 6));
	}
	return code_mark_leas(image);
}

/* An 8-bit branch, after prefixes: jcc, loop and its kin, jmp. */
static void code_note_short(const struct image *image, const cs_insn *insn)
{
	unsigned at = 0;
	uint8_t op;

	while (at < insn->size &&
	       (insn->bytes[at] == 0xf2 || insn->bytes[at] == 0xf3 ||
		insn->bytes[at] == 0x2e || insn->bytes[at] == 0x3e ||
		insn->bytes[at] == 0x66 || insn->bytes[at] == 0x67))
		at++;
	if (at + 2u != insn->size)
		return;
	op = insn->bytes[at];
	if ((op & 0xf0) == 0x70 || (op >= 0xe0 && op <= 0xe3) || op == 0xeb)
		image_mark(
			image, image->targets,
			insn->address + insn->size +
				(uint64_t)(int64_t)(int8_t)insn->bytes[at + 1]);
}

void code_sweep(struct decoder *decoder, const struct image *image,
		struct image_function *function)
{
	uint64_t address = function->start;
	const uint8_t *at = image->text + (address - image->text_start);
	size_t left = function->end - address;

	if (function->swept)
		return;
	function->swept = true;
	while (left) {
		uint64_t start = address;

		if (!cs_disasm_iter(decoder->quick, &at, &left, &address,
				    decoder->quick_insn)) {
			function->doubtful = true;
			return;
		}
		image_mark(image, image->starts, start);
		code_note_short(image, decoder->quick_insn);
	}
}

void code_sweep_around(struct decoder *decoder, const struct image *image,
		       uint64_t address)
{
	struct image_function *f = image_function_at(image, address);
	struct image_function *first = image->functions;
	struct image_function *end = first + image->functions_count;

	if (!f)
		return;
	for (struct image_function *g = f; g >= first; g--) {
		if (g->end + NEAR_BYTES < address)
			break;
		code_sweep(decoder, image, g);
	}
	for (struct image_function *g = f; g < end; g++) {
		if (g->start > address + NEAR_BYTES)
			break;
		code_sweep(decoder, image, g);
	}
}
