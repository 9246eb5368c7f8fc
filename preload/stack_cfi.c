/* stack_cfi.c - see stack_cfi.h. */
#include "preload/stack_cfi.h"

#include "preload/stack_bytes.h"

enum {
	REG_RBX = 3,
	REG_RBP = 6,
	REG_RSP = 7,
	REG_RA = 16
}; /* AMD64 ABI, figure 3.36 */

enum { /* DWARF 4, 7.6 and 7.7; LSB 10.5.1 */
       OP_DEREF = 0x06,
       OP_PLUS_UCONST = 0x23,
       OP_BREG0 = 0x70,
       ENC_OMIT = 0xff,
       ENC_PCREL = 0x10,
       ENC_DATAREL = 0x30,
       ENC_DATAREL_SDATA4 = 0x3b,
};

enum { /* DWARF 4, 7.23; the last two are GNU's (LSB 10.5.2) */
       CFA_nop = 0x00,
       CFA_set_loc = 0x01,
       CFA_advance_loc1 = 0x02,
       CFA_advance_loc2 = 0x03,
       CFA_advance_loc4 = 0x04,
       CFA_offset_extended = 0x05,
       CFA_restore_extended = 0x06,
       CFA_undefined = 0x07,
       CFA_same_value = 0x08,
       CFA_register = 0x09,
       CFA_remember_state = 0x0a,
       CFA_restore_state = 0x0b,
       CFA_def_cfa = 0x0c,
       CFA_def_cfa_register = 0x0d,
       CFA_def_cfa_offset = 0x0e,
       CFA_def_cfa_expression = 0x0f,
       CFA_expression = 0x10,
       CFA_offset_extended_sf = 0x11,
       CFA_def_cfa_sf = 0x12,
       CFA_def_cfa_offset_sf = 0x13,
       CFA_val_offset = 0x14,
       CFA_val_offset_sf = 0x15,
       CFA_val_expression = 0x16,
       CFA_gnu_args_size = 0x2e,
       CFA_gnu_negative_offset_extended = 0x2f,
};

/* A pointer in one of LSB's encodings; data: what DATAREL counts from. */
static uint64_t take_pointer(struct cursor *c, uint8_t encoding,
			     const uint8_t *data)
{
	const uint8_t *here = c->at;
	uint64_t value;

	switch (encoding & 0x0f) {
	case 0x00: /* absptr */
	case 0x04: /* udata8 */
	case 0x0c: /* sdata8 */
		value = take(c, 8);
		break;
	case 0x01:
		value = take_uleb(c);
		break;
	case 0x02:
		value = take(c, 2);
		break;
	case 0x03:
		value = take(c, 4);
		break;
	case 0x09:
		value = (uint64_t)take_sleb(c);
		break;
	case 0x0a:
		value = (uint64_t)(int16_t)take(c, 2);
		break;
	case 0x0b:
		value = (uint64_t)(int32_t)take(c, 4);
		break;
	default:
		c->bad = true;
		return 0;
	}
	switch (encoding & 0x70) {
	case 0:
		break;
	case ENC_PCREL:
		value += (uint64_t)here;
		break;
	case ENC_DATAREL:
		value += (uint64_t)data;
		break;
	default:
		c->bad = true;
	}
	return value;
}

/* What CFI instructions build up: where things are at one address. */
struct row {
	uint8_t cfa, bp;
	bool ra_lost; /* undefined or moved: nobody called us */
	bool other;   /* depends on what we don't follow */
	int32_t cfa_off, cfa_add, bp_off, ra_off, bx_off;
};

struct cie {
	struct cursor program;
	uint64_t code_align;
	int64_t data_align;
	uint8_t pointers; /* encoding of addresses in FDEs */
	bool augmented, signal;
};

struct machine {
	struct cursor c;
	const struct cie *cie;
	const uint8_t *hdr;
	uint64_t at, pc;
	struct row now, initial;
	struct row saved[CFI_STATES_MAX];
	unsigned depth;
};

static int64_t factored(const struct machine *m, uint64_t value)
{
	return (int64_t)(value * (uint64_t)m->cie->data_align);
}

/* No frame that we follow is as large as what doesn't fit. */
static int32_t narrow(struct row *row, int64_t value)
{
	if (value != (int32_t)value)
		row->other = true;
	return (int32_t)value;
}

static void cfa_is(struct row *row, uint64_t reg)
{
	row->cfa = reg == REG_RSP   ? CFA_RSP
		   : reg == REG_RBP ? CFA_RBP
		   : reg == REG_RBX ? CFA_RBX
				    : CFA_STOP;
	row->cfa_add = 0;
}

static void saved_at_cfa(struct row *row, uint64_t reg, int64_t off)
{
	if (reg == REG_RBP) {
		row->bp = BP_AT_CFA;
		row->bp_off = narrow(row, off);
	} else if (reg == REG_RBX) {
		row->bx_off = off == (int16_t)off ? (int32_t)off : CFI_BX_LOST;
	} else if (reg == REG_RA) {
		row->ra_off = narrow(row, off);
		row->ra_lost = false;
	} else if (reg == REG_RSP) {
		row->other = true;
	}
}

static void lost(struct row *row, uint64_t reg)
{
	if (reg == REG_RBP)
		row->bp = BP_LOST;
	else if (reg == REG_RBX)
		row->bx_off = CFI_BX_LOST;
	else if (reg == REG_RA)
		row->ra_lost = true;
	else if (reg == REG_RSP)
		row->other = true;
}

static void restored(struct machine *m, uint64_t reg)
{
	if (reg == REG_RBP) {
		m->now.bp = m->initial.bp;
		m->now.bp_off = m->initial.bp_off;
	} else if (reg == REG_RBX) {
		m->now.bx_off = m->initial.bx_off;
	} else if (reg == REG_RA) {
		m->now.ra_lost = m->initial.ra_lost;
		m->now.ra_off = m->initial.ra_off;
	} else if (reg == REG_RSP) {
		m->now.other = m->initial.other;
	}
}

/* The block of an expression: a length, then so many bytes. */
static struct cursor take_block(struct cursor *c)
{
	uint64_t bytes = take_uleb(c);
	struct cursor block = { .at = c->at, .end = c->at };

	skip(c, bytes);
	if (c->bad)
		block.bad = true;
	else
		block.end = c->at;
	return block;
}

/* Of all expressions only those are followed that compilers and assemblers
 * write for whole frames: `reg + off`, and `*(reg + off) + add`, which stand
 * in functions that realign their stack. */
static void cfa_expression(struct machine *m)
{
	struct cursor block = take_block(&m->c);
	uint64_t reg = take(&block, 1) - OP_BREG0;
	int64_t off = take_sleb(&block);

	cfa_is(&m->now, reg);
	m->now.cfa_off = narrow(&m->now, off);
	if (!block.bad && block.at < block.end) {
		if (take(&block, 1) != OP_DEREF)
			block.bad = true;
		else
			m->now.cfa = m->now.cfa == CFA_RSP   ? CFA_AT_RSP
				     : m->now.cfa == CFA_RBP ? CFA_AT_RBP
							     : CFA_STOP;
	}
	if (!block.bad && block.at < block.end) {
		if (take(&block, 1) != OP_PLUS_UCONST)
			block.bad = true;
		m->now.cfa_add = narrow(&m->now, (int64_t)take_uleb(&block));
	}
	if (block.bad || block.at != block.end)
		m->now.cfa = CFA_STOP;
}

static void register_expression(struct machine *m)
{
	uint64_t reg = take_uleb(&m->c);
	struct cursor block = take_block(&m->c);

	if (reg == REG_RBP && take(&block, 1) == OP_BREG0 + REG_RBP) {
		m->now.bp = BP_AT_BP;
		m->now.bp_off = narrow(&m->now, take_sleb(&block));
		if (!block.bad && block.at == block.end)
			return;
	}
	lost(&m->now, reg);
}

/* The rarer half of the instructions; c.bad when it isn't one at all. */
static void run_rare(struct machine *m, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case CFA_offset_extended_sf:
		reg = take_uleb(&m->c);
		saved_at_cfa(&m->now, reg,
			     factored(m, (uint64_t)take_sleb(&m->c)));
		break;
	case CFA_gnu_negative_offset_extended:
		reg = take_uleb(&m->c);
		saved_at_cfa(&m->now, reg, -factored(m, take_uleb(&m->c)));
		break;
	case CFA_def_cfa_sf:
		cfa_is(&m->now, take_uleb(&m->c));
		m->now.cfa_off = narrow(
			&m->now, factored(m, (uint64_t)take_sleb(&m->c)));
		break;
	case CFA_def_cfa_offset_sf:
		m->now.cfa_off = narrow(
			&m->now, factored(m, (uint64_t)take_sleb(&m->c)));
		break;
	case CFA_val_offset:
		lost(&m->now, take_uleb(&m->c));
		take_uleb(&m->c);
		break;
	case CFA_val_offset_sf:
		lost(&m->now, take_uleb(&m->c));
		take_sleb(&m->c);
		break;
	case CFA_val_expression:
		lost(&m->now, take_uleb(&m->c));
		take_block(&m->c);
		break;
	case CFA_gnu_args_size:
		take_uleb(&m->c);
		break;
	default:
		m->c.bad = true;
	}
}

static void run_one(struct machine *m, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case CFA_nop:
		break;
	case CFA_set_loc:
		m->at = take_pointer(&m->c, m->cie->pointers, m->hdr);
		break;
	case CFA_advance_loc1:
		m->at += take(&m->c, 1) * m->cie->code_align;
		break;
	case CFA_advance_loc2:
		m->at += take(&m->c, 2) * m->cie->code_align;
		break;
	case CFA_advance_loc4:
		m->at += take(&m->c, 4) * m->cie->code_align;
		break;
	case CFA_offset_extended:
		reg = take_uleb(&m->c);
		saved_at_cfa(&m->now, reg, factored(m, take_uleb(&m->c)));
		break;
	case CFA_restore_extended:
		restored(m, take_uleb(&m->c));
		break;
	case CFA_undefined:
		lost(&m->now, take_uleb(&m->c));
		break;
	case CFA_same_value:
		reg = take_uleb(&m->c);
		if (reg == REG_RBP)
			m->now.bp = BP_SAME;
		else if (reg == REG_RBX)
			m->now.bx_off = CFI_BX_SAME;
		break;
	case CFA_register:
		lost(&m->now, take_uleb(&m->c));
		take_uleb(&m->c);
		break;
	case CFA_remember_state:
		if (m->depth == CFI_STATES_MAX)
			m->c.bad = true;
		else
			m->saved[m->depth++] = m->now;
		break;
	case CFA_restore_state:
		if (m->depth == 0)
			m->c.bad = true;
		else
			m->now = m->saved[--m->depth];
		break;
	case CFA_def_cfa:
		cfa_is(&m->now, take_uleb(&m->c));
		m->now.cfa_off = narrow(&m->now, (int64_t)take_uleb(&m->c));
		break;
	case CFA_def_cfa_register:
		cfa_is(&m->now, take_uleb(&m->c));
		break;
	case CFA_def_cfa_offset:
		m->now.cfa_off = narrow(&m->now, (int64_t)take_uleb(&m->c));
		break;
	case CFA_def_cfa_expression:
		cfa_expression(m);
		break;
	case CFA_expression:
		register_expression(m);
		break;
	default:
		run_rare(m, op);
	}
}

/* Run instructions until they end or speak of addresses behind pc. */
static bool run(struct machine *m, struct cursor program)
{
	m->c = program;
	for (unsigned i = 0; m->c.at < m->c.end; i++) {
		uint8_t op = (uint8_t)take(&m->c, 1);
		uint8_t low = op & 0x3f;

		switch (op >> 6) {
		case 1: /* DW_CFA_advance_loc */
			m->at += low * m->cie->code_align;
			break;
		case 2: /* DW_CFA_offset */
			saved_at_cfa(&m->now, low,
				     factored(m, take_uleb(&m->c)));
			break;
		case 3: /* DW_CFA_restore */
			restored(m, low);
			break;
		default:
			run_one(m, op);
		}
		if (m->c.bad || i == CFI_OPS_MAX)
			return false;
		if (m->at > m->pc) /* and then now is still pc's row */
			return true;
	}
	return true;
}

/* A record is a length and so many bytes; 64-bit ones aren't read. */
static bool record_open(const struct cfi_span *span, const uint8_t *at,
			struct cursor *ret_body)
{
	struct cursor c = { .at = at, .end = span->hi };
	uint64_t bytes;

	if (at < span->lo || at >= span->hi)
		return false;
	bytes = take(&c, 4);
	if (c.bad || bytes == 0 || bytes >= 0xfffffff0 ||
	    bytes > (uint64_t)(span->hi - c.at))
		return false;
	c.end = c.at + bytes;
	*ret_body = c;
	return true;
}

/* The letters behind the `z` of an augmentation, and their data. */
static bool augmentation_read(struct cie *cie, const uint8_t *letters,
			      struct cursor *data)
{
	for (; *letters; letters++) {
		switch (*letters) {
		case 'R':
			cie->pointers = (uint8_t)take(data, 1);
			break;
		case 'P': /* a pointer that may be indirect: only skipped */
			take_pointer(data, take(data, 1) & 0x7f, data->at);
			break;
		case 'L':
			take(data, 1);
			break;
		case 'S':
			cie->signal = true;
			break;
		default:
			return false;
		}
	}
	return !data->bad && cie->pointers != ENC_OMIT;
}

static bool cie_read(const struct cfi_span *span, const uint8_t *at,
		     struct cie *ret_cie)
{
	struct cursor c, data;
	const uint8_t *letters;
	uint64_t version;

	if (!record_open(span, at, &c) || take(&c, 4) != 0 || c.bad)
		return false;
	version = take(&c, 1);
	letters = c.at;
	while (take(&c, 1) != 0) {
	}
	ret_cie->code_align = take_uleb(&c);
	ret_cie->data_align = take_sleb(&c);
	if ((version == 1 ? take(&c, 1) : take_uleb(&c)) != REG_RA)
		return false;
	if (c.bad || (version != 1 && version != 3))
		return false;
	ret_cie->pointers = 0;
	ret_cie->signal = false;
	ret_cie->augmented = *letters == 'z';
	if (ret_cie->augmented) {
		data = take_block(&c);
		if (!augmentation_read(ret_cie, letters + 1, &data))
			return false;
	} else if (*letters) {
		return false;
	}
	ret_cie->program = c;
	return !c.bad;
}

/* The FDE whose row in the search table is the last that begins at or before
 * pc; LSB 10.6.2. */
static const uint8_t *fde_search(const struct cfi_span *span,
				 const uint8_t *hdr, uint64_t pc)
{
	struct cursor c = { .at = hdr, .end = span->hi };
	uint64_t count, low = 0, high;
	uint8_t frame_encoding, count_encoding;

	if (hdr < span->lo || hdr >= span->hi || take(&c, 1) != 1)
		return NULL;
	frame_encoding = (uint8_t)take(&c, 1);
	count_encoding = (uint8_t)take(&c, 1);
	if (take(&c, 1) != ENC_DATAREL_SDATA4 || count_encoding == ENC_OMIT)
		return NULL;
	if (frame_encoding != ENC_OMIT)
		take_pointer(&c, frame_encoding, hdr);
	count = take_pointer(&c, count_encoding, hdr);
	if (c.bad || count == 0 || count > (uint64_t)(c.end - c.at) / 8)
		return NULL;
	high = count;
	while (low + 1 < high) {
		uint64_t middle = low + (high - low) / 2;
		struct cursor row = { .at = c.at + middle * 8, .end = c.end };

		if ((uint64_t)hdr + (uint64_t)(int32_t)take(&row, 4) <= pc)
			low = middle;
		else
			high = middle;
	}
	c.at += low * 8 + 4;
	return (const uint8_t *)((uint64_t)hdr +
				 (uint64_t)(int32_t)take(&c, 4));
}

/* The kernel's signal frame is known by where it says that rsp is: in struct
 * ucontext.  Other frames with the letter S are what they say. */
#define UC_RSP 160

static struct cfi_rule row_rule(const struct row *row)
{
	struct cfi_rule rule = { .cfa = CFA_STOP };

	if (row->ra_lost || row->other || row->ra_off != (int16_t)row->ra_off ||
	    row->cfa_add != (int16_t)row->cfa_add)
		return rule;
	rule.cfa = row->cfa;
	rule.bp = row->bp;
	rule.cfa_off = row->cfa_off;
	rule.cfa_add = (int16_t)row->cfa_add;
	rule.bp_off = row->bp_off;
	rule.ra_off = (int16_t)row->ra_off;
	rule.bx_off = (int16_t)row->bx_off;
	return rule;
}

bool cfi_find(const struct cfi_span *span, const uint8_t *hdr, uint64_t pc,
	      struct cfi_rule *ret_rule)
{
	const uint8_t *fde = fde_search(span, hdr, pc);
	struct machine m;
	struct cursor c;
	struct cie cie;
	uint64_t start, bytes, back;

	if (!fde || !record_open(span, fde, &c))
		return false;
	back = take(&c, 4); /* from here to the CIE */
	if (c.bad || back == 0 || back > (uint64_t)(fde + 4 - span->lo) ||
	    !cie_read(span, fde + 4 - back, &cie))
		return false;
	start = take_pointer(&c, cie.pointers, hdr);
	bytes = take_pointer(&c, cie.pointers & 0x0f, hdr);
	if (cie.augmented)
		take_block(&c);
	if (c.bad || pc < start || pc - start >= bytes)
		return false;
	m.cie = &cie;
	m.hdr = hdr;
	m.at = start;
	m.pc = pc;
	m.depth = 0;
	m.now = m.initial = (struct row){ .cfa = CFA_STOP, .ra_lost = true };
	if (!run(&m, cie.program))
		return false;
	m.initial = m.now;
	m.at = start;
	if (!run(&m, c))
		return false;
	if (cie.signal && m.now.cfa == CFA_AT_RSP && m.now.cfa_off == UC_RSP) {
		*ret_rule = (struct cfi_rule){ .cfa = CFA_SIGNAL };
		return true;
	}
	*ret_rule = row_rule(&m.now);
	ret_rule->exact = cie.signal;
	return true;
}
