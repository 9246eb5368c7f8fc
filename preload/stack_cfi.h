/* stack_cfi.h - what .eh_frame says about one address: how to find the frame
 * that called it.
 *
 * Pure: reads only inside the span that it is given, whatever the bytes say,
 * writes only its result, calls nothing.  Signal-safe, thread-safe.
 * Only what x86-64 needs to find rsp, rbp, rbx and the return address is
 * tracked; where a frame depends on anything else the rule says STOP.
 * Formats: System V ABI AMD64 supplement, section 4.2.4 (EH_FRAME);
 * LSB Core 5.0, 10.6 (.eh_frame, .eh_frame_hdr); DWARF 4, 6.4.
 */
#ifndef MISHAP_PRELOAD_STACK_CFI_H
#define MISHAP_PRELOAD_STACK_CFI_H

#include <stdbool.h>
#include <stdint.h>

#define CFI_STATES_MAX 8     /* nested DW_CFA_remember_state */
#define CFI_OPS_MAX    65536 /* instructions of one CIE or FDE */

/* Memory that may be read: bytes lo up to, not including, hi. */
struct cfi_span {
	const uint8_t *lo, *hi;
};

/* Where the canonical frame address is: rsp after the return. */
enum cfi_cfa {
	CFA_STOP,   /* can't be had, or there is no caller */
	CFA_RSP,    /* rsp + cfa_off */
	CFA_RBP,    /* rbp + cfa_off */
	CFA_RBX,    /* rbx + cfa_off: site_amd64.S */
	CFA_AT_RSP, /* what stands at rsp + cfa_off, plus cfa_add */
	CFA_AT_RBP, /* what stands at rbp + cfa_off, plus cfa_add */
	CFA_SIGNAL, /* the kernel's: struct ucontext stands at rsp */
};

/* Where the caller's rbp is. */
enum cfi_bp {
	BP_SAME,
	BP_AT_CFA, /* saved at CFA + bp_off */
	BP_AT_BP,  /* saved at rbp + bp_off */
	BP_LOST,   /* a caller that needs it ends the walk */
};

#define CFI_BX_SAME 0
#define CFI_BX_LOST INT16_MIN

struct cfi_rule {
	uint8_t cfa;	   /* enum cfi_cfa */
	uint8_t bp : 7;	   /* enum cfi_bp */
	uint8_t exact : 1; /* the return address is an instruction that hasn't
			      run yet, not one behind a call */
	int16_t ra_off;	   /* return address: at CFA + ra_off */
	int16_t cfa_add;
	int16_t bx_off; /* caller's rbx: at CFA + bx_off, or CFI_BX_ above */
	int32_t cfa_off, bp_off;
};

/* cfi_find - the rule that holds at pc.
 * hdr: the module's .eh_frame_hdr, which with its .eh_frame lies in span.
 * Returns false, *ret_rule untouched, when nothing covers pc or when the
 * bytes make no sense; a rule with CFA_STOP when pc is covered but has no
 * caller that we could find. */
bool cfi_find(const struct cfi_span *span, const uint8_t *hdr, uint64_t pc,
	      struct cfi_rule *ret_rule);

#endif
