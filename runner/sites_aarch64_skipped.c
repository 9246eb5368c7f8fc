/* sites_aarch64_skipped.c - by the kernel's generic numbers, which 64-bit ARM
 * uses; a file of its own, for the runner's machine may have other ones. */
#define __ARCH_WANT_SYS_CLONE3 /* as arch/arm64/include/uapi/asm/unistd.h */
#include <asm-generic/unistd.h>
#include <stdbool.h>

#include "core/sites_skipped.h"

bool aarch64_is_skipped(long nr);

#define SKIP(name) case __NR_##name:

bool aarch64_is_skipped(long nr)
{
	switch (nr) {
		SITES_SKIPPED(SKIP)
		return true;
	}
	return false;
}
