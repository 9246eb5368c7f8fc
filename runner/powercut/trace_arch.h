/* trace_arch.h - what the tracer must know of the machine: x86-64. */
#ifndef MISHAP_RUNNER_POWERCUT_TRACE_ARCH_H
#define MISHAP_RUNNER_POWERCUT_TRACE_ARCH_H

#define TRACE_ARCH AUDIT_ARCH_X86_64

#endif
