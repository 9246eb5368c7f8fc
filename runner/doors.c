#include "runner/doors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int doors_wanted(uint32_t *ret_doors)
{
	const char *word = getenv(DOORS_ENV);

	if (!word || !*word || strcmp(word, "best") == 0)
		*ret_doors = DOORS_BEST;
	else if (strcmp(word, "symbols") == 0)
		*ret_doors = DOORS_SYMBOLS;
	else if (strcmp(word, "notify") == 0)
		*ret_doors = DOORS_NOTIFY;
	else
		return -EINVAL;
	return 0;
}

const char *doors_refused_words(uint32_t sites)
{
	switch (sites) {
	case SITES_NO_PLAN:
		return "there is no patch plan for its libc";
	case SITES_MISMATCH:
		return "its libc isn't what the patch plan was made for";
	case SITES_NO_MEMORY:
		return "there was no room for stubs near its libc";
	case SITES_OTHER_LIBC:
		return "its libc isn't glibc";
	case SITES_UNWANTED:
		return DOORS_ENV "=symbols";
	default:
		return NULL;
	}
}

bool doors_by_symbols(const struct evidence *evidence)
{
	for (size_t i = 0; i < evidence->processes_count; i++)
		if (sites_are_refused(evidence->processes[i].sites))
			return true;
	return false;
}
