/* nostack_aarch64.c - no stacks on 64-bit ARM yet: preload/stack.c and those
 * beside it read x86-64's unwind tables.  A rule with frame= never matches. */
#include "preload/stack.h"

uint32_t stack_number(uint64_t pc, uint64_t sp, uint64_t bp)
{
	(void)pc;
	(void)sp;
	(void)bp;
	return 0;
}

bool stack_has_frame(uint64_t pc, uint64_t sp, uint64_t bp, const char *glob)
{
	(void)pc;
	(void)sp;
	(void)bp;
	(void)glob;
	return false;
}

uint32_t stack_number_here(void)
{
	return 0;
}

bool stack_has_frame_here(const char *glob)
{
	(void)glob;
	return false;
}

unsigned stack_deep(uint64_t pc, uint64_t sp, uint64_t bp,
		    struct stack_frame *ret_frames, unsigned max)
{
	(void)pc;
	(void)sp;
	(void)bp;
	(void)ret_frames;
	(void)max;
	return 0;
}

unsigned stack_deep_here(struct stack_frame *ret_frames, unsigned max)
{
	(void)ret_frames;
	(void)max;
	return 0;
}

void stack_table_frames(struct state *state, const struct stack_frame *frames,
			unsigned count, struct shared_frame *ret_frames)
{
	(void)state;
	(void)frames;
	(void)count;
	(void)ret_frames;
}

bool stack_has_sanitizer(void)
{
	return false;
}
