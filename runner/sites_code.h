/* sites_code.h - what a library's machine code says: where instructions
 * begin, and where anything may jump to. */
#ifndef MISHAP_RUNNER_SITES_CODE_H
#define MISHAP_RUNNER_SITES_CODE_H

#include <capstone/capstone.h>

#include "runner/sites_elf.h"

/* Two decoders: a quick one for sweeps, one that tells operands. */
struct decoder {
	csh quick, detailed;
	cs_insn *quick_insn, *insn;
};

int decoder_open(struct decoder *ret_decoder);
void decoder_close(struct decoder *decoder);
/* decoder_at - the instruction at address, in decoder->insn; false: none. */
bool decoder_at(struct decoder *decoder, const struct image *image,
		uint64_t address);

/* code_mark_targets - mark what the whole text may jump to, seen at every
 * byte offset so that no branch can be missed: 32-bit branches, addresses
 * taken with lea, jump tables behind such addresses.  A superset. */
int code_mark_targets(const struct image *image);

/* code_sweep - decode one function from its start: marks instruction starts
 * and 8-bit branches' targets.  A function with bytes that are no instruction
 * becomes doubtful.  A gap may hold anything: it is swept as far as it goes. */
void code_sweep(struct decoder *decoder, const struct image *image,
		struct image_function *function);

/* code_sweep_around - all functions that have code near enough to address for
 * an 8-bit branch. */
void code_sweep_around(struct decoder *decoder, const struct image *image,
		       uint64_t address);

#endif
