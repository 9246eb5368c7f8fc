/* site_amd64.S - from a stub to the hook and back, x86-64.
 *
 * A stub comes here with every register as at the target's `syscall`, but for
 * rcx and r11, which `syscall` spends anyway; r11 points to its struct
 * site_stub (preload/door.h).  No vector register is touched: the hook is
 * compiled without them.
 *
 * Unwinders must see through us: a thread that is cancelled, or a debugger,
 * comes from the hook, or from a call that blocks inside it.  To them each
 * frame here is a signal frame that was pushed onto the target at its
 * `syscall`: the CFA is the target's rsp, the return address is the address
 * of `syscall` itself, and all registers of struct site_regs are where we
 * saved them.
 */
#include "preload/site_pool.h"
#include "preload/site_quick.h"

#define STUB_PROCEED 0
#define STUB_RESULT  8
#define STUB_SYSCALL 16

#define CALL_NR_MAX  512 /* core/call.h */
#define RED_ZONE     128
#define SYSCALL_SLOT (-RED_ZONE - 8) /* of regs->pc, from the CFA */

/* Return address: at 16(%r11), as long as it isn't on the stack.
 * DW_CFA_expression, column 16, 2 bytes: DW_OP_breg11 16. */
#define CFI_RETURN_IN_STUB .cfi_escape 0x10, 16, 2, 0x7b, STUB_SYSCALL

	.text

/* ---- the quick pass, or the hook is asked -------------------------------- */
	.globl	site_slow
	.hidden	site_slow
	.type	site_slow, @function
	.p2align 4
site_slow:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa %rsp, 0
	CFI_RETURN_IN_STUB
	cmp	$CALL_NR_MAX, %rax
	jae	.Lask
	lea	site_quick_flags(%rip), %rcx
	cmpb	$0, (%rcx,%rax)
	je	.Lask
	lea	-RED_ZONE(%rsp), %rsp
	.cfi_def_cfa_offset RED_ZONE
	push	%rdx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rdx, 0
	push	%rsi
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rsi, 0
	push	%r10
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r10, 0

	/* r10: the number's row, rsi: the state, rdx: what is known of the fd */
	mov	%eax, %ecx
	shl	$QUICK_ROW_SHIFT, %ecx
	lea	site_quick_rows(%rip), %r10
	add	%rcx, %r10
	mov	guest_state(%rip), %rsi
	cmpb	$STATE_NR_COUNTED, (%rsi,%rax)
	je	.Lno
	movzwl	QUICK_ROW_CALL(%r10), %ecx
	cmpb	$0, STATE_ARMED_CALL(%rsi,%rcx)
	je	.Lno
	movzbl	QUICK_ROW_FLAGS(%r10), %ecx
	test	$QUICK_BY_FD, %cl
	jz	.Lany_fd
	test	$QUICK_NO_ADDR, %cl
	jz	1f
	test	%r8, %r8
	jnz	.Lno
1:	cmp	$KNOWN_FDS_MAX, %edi
	jae	.Lno
	mov	%edi, %ecx
	shl	$KNOWN_SHIFT, %ecx
	lea	guest_fds(%rip), %rdx
	add	%rcx, %rdx
	mov	STATE_PHASE(%rsi), %ecx /* phase_stamp() in object.c */
	shl	$24, %ecx
	xor	STATE_PHASE_NS(%rsi), %ecx
	xor	object_salt(%rip), %ecx
	or	$1, %ecx
	cmp	KNOWN_STAMP(%rdx), %ecx
	jne	.Lno
	mov	KNOWN_RULES(%rdx), %rcx
	test	QUICK_ROW_RULES(%r10), %rcx
	jnz	.Lno
	testb	$QUICK_FORGETS, QUICK_ROW_FLAGS(%r10)
	jnz	.Lforget

.Lcount:
	mov	guest_process(%rip), %rdx
	test	%rdx, %rdx
	jz	.Lno
	movzwl	QUICK_ROW_CALL(%r10), %ecx
	lea	PROCESS_CALLS(%rdx,%rcx,8), %rdx
	mov	guest_single_threaded(%rip), %rcx
	cmpb	$0, (%rcx)
	je	.Lcount_locked
	incq	(%rdx)
.Lpass:
	.cfi_remember_state
	pop	%r10
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r10
	pop	%rsi
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rsi
	pop	%rdx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rdx
	lea	RED_ZONE(%rsp), %rsp
	.cfi_def_cfa_offset 0
	jmp	*STUB_PROCEED(%r11)
	.cfi_restore_state

.Lcount_locked:
	lock incq (%rdx)
	jmp	.Lpass

	/* Nothing need be known of the fd, unless there is to forget. */
.Lany_fd:
	test	$QUICK_FORGETS, %cl
	jz	.Lcount
	cmp	$KNOWN_FDS_MAX, %edi
	jae	.Lcount
	mov	%edi, %ecx
	shl	$KNOWN_SHIFT, %ecx
	lea	guest_fds(%rip), %rdx
	add	%rcx, %rdx

	/* As object_forget(): a new life comes first, so that a look at the old
	 * one that is under way isn't remembered.  Counts of `per=fd` are left
	 * to fdcount_forget(), which knows whose they are. */
.Lforget:
	cmpl	$0, KNOWN_COUNTS_EPOCH(%rdx)
	jne	.Lno
	lock incl KNOWN_LIVES(%rdx)
	movl	$0, KNOWN_STAMP(%rdx)
	movl	$0, KNOWN_CLIENT_IN(%rdx)
	jmp	.Lcount

.Lno:
	pop	%r10
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r10
	pop	%rsi
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rsi
	pop	%rdx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rdx
	lea	RED_ZONE(%rsp), %rsp
	.cfi_def_cfa_offset 0

.Lask:
	lea	-RED_ZONE(%rsp), %rsp
	.cfi_def_cfa_offset RED_ZONE
	pushq	STUB_SYSCALL(%r11)
	.cfi_adjust_cfa_offset 8
	.cfi_offset 16, SYSCALL_SLOT
	push	%r11
	.cfi_adjust_cfa_offset 8
	push	%rax
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rax, 0
	push	%rdi
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rdi, 0
	push	%rsi
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rsi, 0
	push	%rdx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rdx, 0
	push	%r10
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r10, 0
	push	%r8
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r8, 0
	push	%r9
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r9, 0
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	push	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	push	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	push	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	push	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	mov	%rsp, %rbx
	.cfi_def_cfa_register %rbx
	mov	%rsp, %rdi
	cld
	and	$-16, %rsp
	call	site_enter
	mov	%rbx, %rsp
	.cfi_def_cfa_register %rsp

	/* rcx: where to go on. */
	mov	13*8(%rsp), %r11
	mov	STUB_PROCEED(%r11), %rcx
	test	%eax, %eax
	jz	1f
	mov	STUB_RESULT(%r11), %rcx
1:	pop	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	pop	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	pop	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	pop	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	pop	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	pop	%r9
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r9
	pop	%r8
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r8
	pop	%r10
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r10
	pop	%rdx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rdx
	pop	%rsi
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rsi
	pop	%rdi
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rdi
	pop	%rax
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rax
	pop	%r11
	.cfi_adjust_cfa_offset -8
	CFI_RETURN_IN_STUB
	lea	RED_ZONE+8(%rsp), %rsp
	.cfi_def_cfa_offset 0
	jmp	*%rcx
	.cfi_endproc
	.size	site_slow, .-site_slow

/* ---- SITE_FUNNEL: glibc >= 2.41, musl ------------------------------------
 * The stub was called in place of the funnel, whose C arguments are: a
 * pointer to the thread's cancel flags, the number, six arguments (two on the
 * stack).  Turn them into a system call's registers and go to site_slow; the
 * pointer waits at 8(%rsp), where the funnel itself would put it, for that
 * word belongs to the function that was called.  To unwinders the "return
 * address" is the funnel's first instruction, where nothing is pushed yet. */
	.globl	site_funnel
	.hidden	site_funnel
	.type	site_funnel, @function
	.p2align 4
site_funnel:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa %rsp, 0
	CFI_RETURN_IN_STUB
	mov	%rsi, %rax
	mov	%rcx, %rsi
	mov	%r9, %r10
	mov	%rdi, %r9
	mov	%rdx, %rdi
	mov	%r8, %rdx
	mov	8(%rsp), %r8
	mov	%r9, 8(%rsp)
	mov	16(%rsp), %r9
	jmp	site_slow
	.cfi_endproc
	.size	site_funnel, .-site_funnel

/* And back: into the funnel, with what the hook left in the registers. */
	.globl	site_funnel_proceed
	.hidden	site_funnel_proceed
	.type	site_funnel_proceed, @function
	.p2align 4
site_funnel_proceed:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa %rsp, 0
	CFI_RETURN_IN_STUB
	mov	8(%rsp), %rcx
	mov	%r8, 8(%rsp)
	mov	%r9, 16(%rsp)
	mov	%r10, %r9
	mov	%rdx, %r8
	mov	%rdi, %rdx
	mov	%rcx, %rdi
	mov	%rsi, %rcx
	mov	%rax, %rsi
	jmp	*STUB_SYSCALL(%r11)
	.cfi_endproc
	.size	site_funnel_proceed, .-site_funnel_proceed

/* Or back to the funnel's caller, with the hook's result in rax. */
	.globl	site_funnel_result
	.hidden	site_funnel_result
	.type	site_funnel_result, @function
	.p2align 4
site_funnel_result:
	.cfi_startproc
	ret
	.cfi_endproc
	.size	site_funnel_result, .-site_funnel_result

/* ---- SITE_AROUND: `syscall` was displaced, make it here ------------------
 * For stubs of which unwinders know nothing; those of the pool below make it
 * themselves.  All calls of this section, preload/mark.h, are the target's. */
	.section mishap_around, "ax", @progbits
	.globl	site_around
	.hidden	site_around
	.type	site_around, @function
	.p2align 4
site_around:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa %rsp, 0
	CFI_RETURN_IN_STUB
	lea	-RED_ZONE(%rsp), %rsp
	.cfi_def_cfa_offset RED_ZONE
	pushq	STUB_SYSCALL(%r11)
	.cfi_adjust_cfa_offset 8
	.cfi_offset 16, SYSCALL_SLOT
	push	%r11
	.cfi_adjust_cfa_offset 8
	syscall
	pop	%r11
	.cfi_adjust_cfa_offset -8
	CFI_RETURN_IN_STUB
	lea	RED_ZONE+8(%rsp), %rsp
	.cfi_def_cfa_offset 0
	jmp	*STUB_RESULT(%r11)
	.cfi_endproc
	.size	site_around, .-site_around

/* ---- where stubs stand ---------------------------------------------------
 * Slots of SLOT_BYTES on pages of their own, filled by sites.c, so that
 * unwinders have a table for them: as above, the return address is in the
 * struct site_stub, with which the slot begins.  To them that is
 * DW_CFA_expression, column 16, 7 bytes: (rip & -SLOT_BYTES) + 16, that is
 * DW_OP_breg16 0, DW_OP_const1s -128, DW_OP_and, DW_OP_plus_uconst 16. */
#define SLOT_BYTES 128
	.p2align 12
	.globl	site_pool
	.hidden	site_pool
	.type	site_pool, @function
site_pool:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa %rsp, 0
	.cfi_escape 0x10, 16, 7, 0x80, 0, 0x09, 0x80, 0x1a, 0x23, STUB_SYSCALL
	.skip	SITE_POOL_BYTES, 0xcc
	.cfi_endproc
	.size	site_pool, .-site_pool
	.p2align 12

	.section .note.GNU-stack, "", @progbits
