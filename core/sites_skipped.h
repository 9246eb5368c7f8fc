/* sites_skipped.h - the calls that must never pass a hook, on every machine;
 * preprocessor only, for whoever has numbers for the names. */
#ifndef MISHAP_CORE_SITES_SKIPPED_H
#define MISHAP_CORE_SITES_SKIPPED_H

#define SITES_SKIPPED(X)                                                       \
	X(clone)                                                               \
	X(clone3)                                                              \
	X(rt_sigreturn)                                                        \
	X(exit)                                                                \
	X(exit_group)                                                          \
	X(futex)                                                               \
	X(rt_sigprocmask)                                                      \
	X(set_robust_list)                                                     \
	X(set_tid_address)                                                     \
	X(rseq)

#endif
