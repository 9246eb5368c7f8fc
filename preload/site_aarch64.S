/* site_aarch64.S - from a stub to the hook and back, 64-bit ARM.
 *
 * A system call keeps every register but x0 here, so a stub has to push those
 * that it uses: it comes with x16 and x17 at (sp), x16 pointing to its struct
 * site_stub (preload/door.h), and all else as at the target's `svc`.  It takes
 * them off again itself, at stub->proceed and stub->result.
 *
 * To unwinders each frame here is a signal frame: the CFA is the target's sp,
 * and the place to return to, the `svc` itself, isn't in x30 but in column 96,
 * which libgcc and the kernel's own signal frames use for that.
 */
#include "preload/site_pool.h"

#define STUB_PROCEED 0
#define STUB_RESULT  8
#define STUB_SYSCALL 16

#define PC_COLUMN   96
#define REGS_BYTES  192 /* struct site_regs */
#define REGS_X29    152
#define REGS_X30    160
#define REGS_NZCV   168
#define REGS_STUB   176
#define REGS_PC	    184
#define PUSHED	    16

/* Instructions of a slot at which x16 and x17 are pushed: 15 to 23, and 26. */
#define SLOT_PUSHED 0x04ff8000

/* DW_CFA_expression, column 96, 2 bytes: DW_OP_breg16 16. */
#define CFI_RETURN_IN_STUB .cfi_escape 0x10, PC_COLUMN, 2, 0x80, STUB_SYSCALL

	.text

	.globl	site_slow
	.hidden	site_slow
	.type	site_slow, %function
	.p2align 4
site_slow:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_return_column PC_COLUMN
	.cfi_def_cfa sp, PUSHED
	CFI_RETURN_IN_STUB
	sub	sp, sp, #REGS_BYTES
	.cfi_adjust_cfa_offset REGS_BYTES
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	str	x18, [sp, #144]
	stp	x29, x30, [sp, #REGS_X29]
	.cfi_rel_offset x29, REGS_X29
	.cfi_rel_offset x30, REGS_X30
	mrs	x9, nzcv
	ldr	x17, [x16, #STUB_SYSCALL]
	str	x9, [sp, #REGS_NZCV]
	stp	x16, x17, [sp, #REGS_STUB]
	.cfi_rel_offset PC_COLUMN, REGS_PC
	mov	x0, sp
	bl	site_enter

	/* x17: where to go on. */
	ldr	x16, [sp, #REGS_STUB]
	ldr	x17, [x16, #STUB_PROCEED]
	cbz	w0, 1f
	ldr	x17, [x16, #STUB_RESULT]
1:	ldr	x9, [sp, #REGS_NZCV]
	msr	nzcv, x9
	CFI_RETURN_IN_STUB
	ldp	x0, x1, [sp]
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldr	x18, [sp, #144]
	ldp	x29, x30, [sp, #REGS_X29]
	.cfi_restore x29
	.cfi_restore x30
	add	sp, sp, #REGS_BYTES
	.cfi_adjust_cfa_offset -REGS_BYTES
	br	x17
	.cfi_endproc
	.size	site_slow, .-site_slow

/* ---- SITE_FUNNEL: glibc >= 2.41 ------------------------------------------
 * The stub was called in place of the funnel, whose C arguments are: a
 * pointer to the thread's cancel flags, the number, six arguments.  Turn them
 * into a system call's registers, the flags into x9, and go to site_slow.  To
 * unwinders the "return address" is the funnel's first instruction. */
	.globl	site_funnel
	.hidden	site_funnel
	.type	site_funnel, %function
	.p2align 4
site_funnel:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_return_column PC_COLUMN
	.cfi_def_cfa sp, PUSHED
	CFI_RETURN_IN_STUB
	mov	x9, x0
	mov	x8, x1
	mov	x0, x2
	mov	x1, x3
	mov	x2, x4
	mov	x3, x5
	mov	x4, x6
	mov	x5, x7
	b	site_slow
	.cfi_endproc
	.size	site_funnel, .-site_funnel

/* And back: into the funnel, with what the hook left in the registers. */
	.globl	site_funnel_proceed
	.hidden	site_funnel_proceed
	.type	site_funnel_proceed, %function
	.p2align 4
site_funnel_proceed:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_return_column PC_COLUMN
	.cfi_def_cfa sp, PUSHED
	CFI_RETURN_IN_STUB
	mov	x7, x5
	mov	x6, x4
	mov	x5, x3
	mov	x4, x2
	mov	x3, x1
	mov	x2, x0
	mov	x1, x8
	mov	x0, x9
	ldr	x17, [x16, #STUB_SYSCALL]
	add	sp, sp, #PUSHED
	.cfi_adjust_cfa_offset -PUSHED
	br	x17
	.cfi_endproc
	.size	site_funnel_proceed, .-site_funnel_proceed

/* Or back to the funnel's caller, with the hook's result in x0. */
	.globl	site_funnel_result
	.hidden	site_funnel_result
	.type	site_funnel_result, %function
	.p2align 4
site_funnel_result:
	.cfi_startproc
	.cfi_def_cfa sp, PUSHED
	add	sp, sp, #PUSHED
	.cfi_adjust_cfa_offset -PUSHED
	ret
	.cfi_endproc
	.size	site_funnel_result, .-site_funnel_result

/* ---- where stubs stand ---------------------------------------------------
 * Slots of STUB_BYTES_MAX, filled by site_aarch64.c.  The place to return to
 * is in the struct site_stub with which a slot begins: DW_CFA_expression,
 * column 96, 8 bytes: (pc & -128) + 16.  Where x16 and x17 are pushed is the
 * same in each slot, SLOT_PUSHED has a bit for every instruction of it:
 * DW_CFA_def_cfa_expression, 20 bytes:
 * sp + ((SLOT_PUSHED >> (pc >> 2 & 31) & 1) << 4). */
	.p2align 12
	.globl	site_around
	.hidden	site_around
site_around:
	.globl	site_pool
	.hidden	site_pool
	.type	site_pool, %function
site_pool:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_return_column PC_COLUMN
	.cfi_escape 0x10, PC_COLUMN, 8, 0x92, PC_COLUMN, 0, 0x09, 0x80, 0x1a, \
		0x23, STUB_SYSCALL
	.cfi_escape 0x0f, 20, 0x8f, 0, 0x0c, SLOT_PUSHED & 0xff, \
		SLOT_PUSHED >> 8 & 0xff, SLOT_PUSHED >> 16 & 0xff, \
		SLOT_PUSHED >> 24, 0x92, PC_COLUMN, 0, 0x32, 0x25, 0x4f, \
		0x1a, 0x25, 0x31, 0x1a, 0x34, 0x24, 0x22
	.skip	SITE_POOL_BYTES, 0
	.cfi_endproc
	.size	site_pool, .-site_pool
	.globl	site_around_end
	.hidden	site_around_end
site_around_end:
	.p2align 12

	.section .note.GNU-stack, "", %progbits
