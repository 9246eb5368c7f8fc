/* stack.c - the walk from a call to those who made it.
 *
 * What an unwind table says about one address never changes, so each address
 * is looked up once and its rule cached, shared by all threads.  A cache slot
 * is guarded by a sequence number, odd while somebody writes; a reader that
 * meets a writer, or is one itself (a signal handler), looks up for itself.
 * A rule of a module that dlclose may take away is believed only after the
 * module has been seen to stand where it stood, once per walk.
 */
#include "preload/stack.h"

#define RULES	   4096 /* cache slots, a power of two */
#define RULE_WORDS (sizeof(struct rule) / sizeof(uint64_t))
#define ANSWERS	   1024 /* of `frame=`, cache slots, a power of two */
#define STEPS_MAX  (SHARED_FRAMES_MAX + 48) /* our own frames are left out */
#define UNKNOWN_ID 0x6e776f6e6b6e75ull	    /* of generated code */

/* What is known of one address. */
struct rule {
	uint64_t pc;
	uint64_t plain; /* 0, or the whole of cfi for walk_plain() */
	uint64_t id, offset;
	struct stack_place place;
	struct cfi_rule cfi;
};

struct rule_slot {
	_Atomic uint32_t sequence;
	_Atomic uint64_t words[RULE_WORDS];
};

union rule_words {
	struct rule rule;
	uint64_t words[RULE_WORDS];
};

_Static_assert(sizeof(struct rule) % sizeof(uint64_t) == 0, "words");
_Static_assert(sizeof(struct rule_slot) <= 64, "a cache line");

static _Alignas(64) struct rule_slot rules[RULES];

static struct rule_slot *rule_slot(uint64_t pc)
{
	return &rules[(pc * 0x9e3779b97f4a7c15ull >> 32) % RULES];
}

static bool rule_load(const struct rule_slot *slot, uint64_t pc,
		      union rule_words *ret)
{
	uint32_t sequence =
		atomic_load_explicit(&slot->sequence, memory_order_acquire);

	if (UNLIKELY(sequence & 1 ||
		     atomic_load_explicit(&slot->words[0],
					  memory_order_relaxed) != pc))
		return false;
	for (unsigned i = 0; i < RULE_WORDS; i++)
		ret->words[i] = atomic_load_explicit(&slot->words[i],
						     memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	return ret->rule.pc == pc &&
	       atomic_load_explicit(&slot->sequence, memory_order_relaxed) ==
		       sequence;
}

static void rule_store(struct rule_slot *slot, const union rule_words *words)
{
	uint32_t sequence =
		atomic_load_explicit(&slot->sequence, memory_order_relaxed);

	if (sequence & 1 || !atomic_compare_exchange_strong_explicit(
				    &slot->sequence, &sequence, sequence + 1,
				    memory_order_acquire, memory_order_relaxed))
		return;
	atomic_thread_fence(memory_order_release);
	for (unsigned i = 0; i < RULE_WORDS; i++)
		atomic_store_explicit(&slot->words[i], words->words[i],
				      memory_order_relaxed);
	atomic_store_explicit(&slot->sequence, sequence + 2,
			      memory_order_release);
}

/* Nearly every frame: CFA = rsp or rbp + n, rbp kept or saved below, nothing
 * else to look at.  cfa_off, 32 bits; bp_off, 16; then these. */
enum { PLAIN = 1, PLAIN_RBP = 2, PLAIN_SAVED = 4 };

static uint64_t rule_plain(const struct rule *rule)
{
	const struct cfi_rule *cfi = &rule->cfi;

	if (rule->place.own || rule->place.passing || cfi->ra_off != -8 ||
	    cfi->exact || (cfi->cfa != CFA_RSP && cfi->cfa != CFA_RBP) ||
	    (cfi->bp != BP_SAME && cfi->bp != BP_AT_CFA) ||
	    cfi->bp_off != (int16_t)cfi->bp_off)
		return 0;
	return (uint64_t)(uint32_t)cfi->cfa_off << 32 |
	       (uint64_t)(uint16_t)cfi->bp_off << 16 | PLAIN |
	       (cfi->cfa == CFA_RBP ? PLAIN_RBP : 0) |
	       (cfi->bp == BP_AT_CFA ? PLAIN_SAVED : 0);
}

static __attribute__((noinline)) void rule_find(uint64_t pc, struct rule *ret)
{
	struct stack_module module;

	ret->pc = pc;
	ret->id = UNKNOWN_ID;
	ret->offset = 0;
	ret->cfi = (struct cfi_rule){ .cfa = CFA_STOP };
	ret->place = (struct stack_place){ .slot = STACK_NO_SLOT };
	ret->plain = 0;
	if (!stack_module_find(pc, &module, &ret->place))
		return;
	ret->offset = pc - module.bias;
	ret->id = stack_mix(module.id, ret->offset);
	if (module.eh_frame_hdr)
		cfi_find(&module.span, module.eh_frame_hdr, pc, &ret->cfi);
	ret->plain = rule_plain(ret);
}

/* The rule of pc, from the cache if it is there. */
static void rule_get(uint64_t pc, union rule_words *ret)
{
	struct rule_slot *slot = rule_slot(pc);

	if (LIKELY(rule_load(slot, pc, ret)))
		return;
	rule_find(pc, &ret->rule);
	/* An address in no module may belong to one tomorrow. */
	if (ret->rule.place.slot != STACK_NO_SLOT)
		rule_store(slot, ret);
}

/* One walk: the registers of the frame that it has come to. */
struct walk {
	uint64_t pc, sp, bp, bx;
	bool bp_lost, bx_lost;
	uint64_t end;	/* the frame that this lies in ends it */
	bool own_stack; /* still on the stack where it began */
	bool ended;
	unsigned steps;
	struct stack_range range, kept; /* kept: of the own stack */
	struct stack_place seen[4];	/* modules that stood in this walk */
	unsigned seen_count;
};

static bool has_stood(const struct walk *walk, struct stack_place place)
{
	for (unsigned i = 0; i < walk->seen_count && i < 4; i++) {
		if (walk->seen[i].slot == place.slot &&
		    walk->seen[i].generation == place.generation)
			return true;
	}
	return false;
}

/* The rule of the frame that the walk is in, good for now. */
static void walk_rule(struct walk *walk, union rule_words *ret)
{
	struct stack_place place;

	rule_get(walk->pc, ret);
	if (LIKELY(!ret->rule.place.passing))
		return;
	place = ret->rule.place;
	if (has_stood(walk, place))
		return;
	if (!stack_module_stands(place, walk->pc)) {
		rule_find(walk->pc, &ret->rule);
		if (ret->rule.place.slot == STACK_NO_SLOT)
			return;
		rule_store(rule_slot(walk->pc), ret);
	}
	walk->seen[walk->seen_count++ % 4] = ret->rule.place;
}

/* The frame that a signal interrupted; struct ucontext stands at sp, as the
 * kernel left it (arch/x86/include/uapi/asm/ucontext.h, sigcontext.h). */
static bool step_signal(struct walk *walk)
{
	enum { UC_RBP = 120, UC_RBX = 128, UC_RSP = 160, UC_RIP = 168 };
	uint64_t sp = walk->sp;

	if (!stack_range_read(&walk->range, sp + UC_RBP, &walk->bp) ||
	    !stack_range_read(&walk->range, sp + UC_RBX, &walk->bx) ||
	    !stack_range_read(&walk->range, sp + UC_RSP, &walk->sp) ||
	    !stack_range_read(&walk->range, sp + UC_RIP, &walk->pc))
		return false;
	walk->bp_lost = walk->bx_lost = false;
	if (walk->sp > sp && walk->sp - sp < STACK_FRAME_BYTES_MAX)
		return walk->pc != 0;
	/* The handler had a stack of its own. */
	if (!walk->own_stack || !stack_page_readable(walk->sp))
		return false;
	walk->own_stack = false;
	walk->range.lo = walk->sp & -4096ull;
	walk->range.hi = walk->range.lo + 4096;
	return walk->pc != 0;
}

/* The canonical frame address; false: can't be had. */
static bool frame_address(struct walk *walk, const struct cfi_rule *cfi,
			  uint64_t *ret_cfa)
{
	uint64_t base = walk->sp;
	uint64_t cfa;

	if (cfi->cfa == CFA_RBP || cfi->cfa == CFA_AT_RBP) {
		if (walk->bp_lost)
			return false;
		base = walk->bp;
	} else if (cfi->cfa == CFA_RBX) {
		if (walk->bx_lost)
			return false;
		base = walk->bx;
	}
	cfa = base + (uint64_t)(int64_t)cfi->cfa_off;
	if (cfi->cfa == CFA_AT_RSP || cfi->cfa == CFA_AT_RBP) {
		if (!stack_range_read(&walk->range, cfa, &cfa))
			return false;
		cfa += (uint64_t)(int64_t)cfi->cfa_add;
	}
	*ret_cfa = cfa;
	return cfa > walk->sp && cfa - walk->sp <= STACK_FRAME_BYTES_MAX;
}

/* The caller's rbp and rbx; where they can't be had that is remembered, and
 * matters only to a frame that needs them. */
static void step_saved(struct walk *walk, const struct cfi_rule *cfi,
		       uint64_t cfa)
{
	uint64_t at = cfi->bp == BP_AT_CFA ? cfa : walk->bp;

	if (cfi->bx_off == CFI_BX_LOST)
		walk->bx_lost = true;
	else if (cfi->bx_off != CFI_BX_SAME)
		walk->bx_lost = !stack_range_read(
			&walk->range, cfa + (uint64_t)(int64_t)cfi->bx_off,
			&walk->bx);
	if (cfi->bp == BP_LOST || (cfi->bp == BP_AT_BP && walk->bp_lost))
		walk->bp_lost = true;
	else if (cfi->bp != BP_SAME)
		walk->bp_lost = !stack_range_read(
			&walk->range, at + (uint64_t)(int64_t)cfi->bp_off,
			&walk->bp);
}

/* To the caller's frame; false: there is none that we could find. */
static bool step(struct walk *walk, const struct cfi_rule *cfi)
{
	uint64_t cfa, ra;

	if (UNLIKELY(cfi->cfa == CFA_SIGNAL))
		return step_signal(walk);
	if (cfi->cfa == CFA_STOP || !frame_address(walk, cfi, &cfa) ||
	    !stack_range_read(&walk->range,
			      cfa + (uint64_t)(int64_t)cfi->ra_off, &ra))
		return false;
	step_saved(walk, cfi, cfa);
	walk->sp = cfa;
	walk->pc = cfi->exact ? ra : ra - 1; /* inside the call instruction */
	return ra != 0;
}

static void walk_begin(struct walk *walk, uint64_t pc, uint64_t sp, uint64_t bp)
{
	walk->pc = pc;
	walk->sp = sp;
	walk->bp = bp;
	walk->bp_lost = false;
	walk->bx_lost = true; /* nobody told us */
	walk->own_stack = true;
	walk->ended = false;
	walk->range = walk->kept = stack_range_at(sp);
	walk->steps = walk->seen_count = 0;
}

/* The next frame that isn't ours; false, and the walk is over: none. */
static bool walk_next(struct walk *walk, struct stack_frame *ret_frame)
{
	union rule_words words;

	while (!walk->ended && walk->steps++ < STEPS_MAX) {
		uint64_t sp = walk->sp;

		walk_rule(walk, &words);
		walk->ended = !step(walk, &words.rule.cfi);
		if (walk->own_stack)
			walk->kept = walk->range;
		if (UNLIKELY(sp <= walk->end && walk->sp > walk->end))
			return false;
		if (words.rule.place.own)
			continue;
		ret_frame->id = words.rule.id;
		ret_frame->offset = words.rule.offset;
		ret_frame->place = words.rule.place;
		return true;
	}
	return false;
}

#define WORD(slot, field)                                                      \
	atomic_load_explicit(&(slot)->words[offsetof(struct rule, field) / 8], \
			     memory_order_relaxed)

/* Plain frames whose rules are cached and whose words are in the range; stops
 * before the first that isn't so.  What it does is what step() does. */
static unsigned walk_plain(struct walk *walk, struct stack_frame *ret_frames,
			   unsigned max)
{
	uint64_t pc = walk->pc, sp = walk->sp, bp = walk->bp;
	const uint64_t lo = walk->range.lo;
	const uint64_t hi = walk->end >= sp && walk->end < walk->range.hi
				    ? walk->end
				    : walk->range.hi;
	unsigned n = 0;

	for (; n < max && !walk->bp_lost; n++) {
		const struct rule_slot *slot = rule_slot(pc);
		uint32_t sequence = atomic_load_explicit(&slot->sequence,
							 memory_order_acquire);
		uint64_t plain = WORD(slot, plain);
		uint64_t cfa = (plain & PLAIN_RBP ? bp : sp) +
			       (uint64_t)((int64_t)plain >> 32);
		uint64_t at = cfa + (uint64_t)(int16_t)(plain >> 16);
		union {
			uint64_t word;
			struct stack_place place;
		} place = { .word = WORD(slot, place) };

		ret_frames[n].id = WORD(slot, id);
		ret_frames[n].offset = WORD(slot, offset);
		ret_frames[n].place = place.place;
		if (WORD(slot, pc) != pc || !plain || sequence & 1)
			break;
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&slot->sequence,
					 memory_order_relaxed) != sequence)
			break;
		if (cfa <= sp || cfa > hi || (cfa | at) & 7)
			break;
		if (plain & PLAIN_SAVED) {
			if (at < lo || at >= hi)
				break;
			bp = stack_peek(at);
		}
		sp = cfa;
		pc = stack_peek(cfa - 8) - 1;
	}
	walk->pc = pc;
	walk->sp = sp;
	walk->bp = bp;
	walk->bx_lost |= n > 0;
	walk->ended = pc == (uint64_t)-1; /* it returns to 0: the outermost */
	return n;
}

unsigned stack_walk_below(uint64_t pc, uint64_t sp, uint64_t bp, uint64_t end,
			  struct stack_frame *ret_frames, unsigned max)
{
	struct walk walk;
	unsigned count = 0;

	walk_begin(&walk, pc, sp, bp);
	walk.end = end;
	do
		count += walk_plain(&walk, &ret_frames[count], max - count);
	while (count < max && walk_next(&walk, &ret_frames[count]) &&
	       ++count < max);
	stack_range_keep(&walk.kept);
	return count;
}

unsigned stack_walk(uint64_t pc, uint64_t sp, uint64_t bp,
		    struct stack_frame *ret_frames, unsigned max)
{
	return stack_walk_below(pc, sp, bp, UINT64_MAX, ret_frames, max);
}

/* ---- and the functions that an interpreter runs ------------------------ */

/* Of C code below an interpreter's function; the rest is for such functions. */
#define LEAVES_MAX (SHARED_FRAMES_MAX / 2)

static __attribute__((noinline)) unsigned
stack_walk_python(uint64_t pc, uint64_t sp, uint64_t bp,
		  struct stack_frame ret_frames[SHARED_FRAMES_MAX])
{
	struct stack_python python;
	unsigned count;

	if (!stack_python_begin(&python))
		return 0;
	count = stack_walk_below(pc, sp, bp, python.loop, ret_frames,
				 LEAVES_MAX);
	while (count < SHARED_FRAMES_MAX &&
	       stack_python_next(&python, &ret_frames[count]))
		count++;
	return count;
}

static unsigned stack_walk_all(uint64_t pc, uint64_t sp, uint64_t bp,
			       struct stack_frame ret_frames[SHARED_FRAMES_MAX])
{
	unsigned count = 0;

	if (stack_python_is_here())
		count = stack_walk_python(pc, sp, bp, ret_frames);
	if (!count)
		count = stack_walk(pc, sp, bp, ret_frames, SHARED_FRAMES_MAX);
	return count;
}

uint32_t stack_number(uint64_t pc, uint64_t sp, uint64_t bp)
{
	struct stack_frame frames[SHARED_FRAMES_MAX];
	unsigned count;

	if (!guest_shared) /* no runner: there is nobody to tell */
		return 0;
	count = stack_walk_all(pc, sp, bp, frames);
	return count ? stack_table_number(guest_state, frames, count) : 0;
}

/* ---- frame= ------------------------------------------------------------ */

/* Answers by (frame, glob): 63 bits of a hash, and the answer in bit 0. */
static _Atomic uint64_t answers[ANSWERS];

static __attribute__((noinline)) bool
frame_matches(const struct stack_frame *frame, const char *glob,
	      uint64_t glob_hash)
{
	uint64_t key = stack_mix(frame->id, glob_hash) | 1;
	_Atomic uint64_t *slot = &answers[(key >> 8) % ANSWERS];
	uint64_t seen = atomic_load_explicit(slot, memory_order_relaxed);
	struct stack_module module;
	bool matches;

	if (LIKELY((seen | 1) == key))
		return seen & 1;
	if (!stack_module_get(frame->place, &module))
		return false;
	matches = glob_match(glob, stack_elf_name(&module)) ||
		  stack_elf_has_symbol(&module, frame->offset + module.bias,
				       glob);
	atomic_store_explicit(slot, matches ? key : key - 1,
			      memory_order_relaxed);
	return matches;
}

static __attribute__((noinline)) bool python_has_frame(const char *glob)
{
	struct stack_python python;

	return stack_python_begin(&python) && stack_python_has(&python, glob);
}

bool stack_has_frame(uint64_t pc, uint64_t sp, uint64_t bp, const char *glob)
{
	struct stack_frame frames[SHARED_FRAMES_MAX];
	unsigned count = stack_walk(pc, sp, bp, frames, SHARED_FRAMES_MAX);
	uint64_t hash = 0;

	for (const char *c = glob; *c; c++)
		hash = stack_mix(hash, (uint8_t)*c);
	for (unsigned i = 0; i < count; i++) {
		if (frame_matches(&frames[i], glob, hash))
			return true;
	}
	return stack_python_is_here() && python_has_frame(glob);
}

/* ---- from where we are ------------------------------------------------- */

struct here {
	uint64_t pc, sp, bp;
};

/* The three belong together: nothing is pushed between them. */
#define HERE(here)                                                             \
	__asm__ volatile("lea 0f(%%rip), %0\n0:\n\t"                           \
			 "mov %%rsp, %1\n\t"                                   \
			 "mov %%rbp, %2"                                       \
			 : "=&r"((here).pc), "=&r"((here).sp),                 \
			   "=&r"((here).bp))

/* This frame must outlive the walk: the call isn't made a jump. */
#define STAY() __asm__ volatile("" : : : "memory")

__attribute__((noinline)) uint32_t stack_number_here(void)
{
	struct here here;
	uint32_t number;

	HERE(here);
	number = stack_number(here.pc, here.sp, here.bp);
	STAY();
	return number;
}

unsigned stack_deep(uint64_t pc, uint64_t sp, uint64_t bp,
		    struct stack_frame *ret_frames, unsigned max)
{
	if (stack_python_is_here())
		return stack_walk_all(pc, sp, bp, ret_frames);
	return stack_walk(pc, sp, bp, ret_frames, max);
}

__attribute__((noinline)) unsigned
stack_deep_here(struct stack_frame *ret_frames, unsigned max)
{
	struct here here;
	unsigned count;

	HERE(here);
	count = stack_deep(here.pc, here.sp, here.bp, ret_frames, max);
	STAY();
	return count;
}

__attribute__((noinline)) bool stack_has_frame_here(const char *glob)
{
	struct here here;
	bool has;

	HERE(here);
	has = stack_has_frame(here.pc, here.sp, here.bp, glob);
	STAY();
	return has;
}
