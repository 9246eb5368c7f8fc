#include "scenarios/aliases.h"

#include <string.h>

#include "core/plan.h"

#define CALL(...)
#define KERNEL(...)
#define KERNEL_IF(...)
#define SYMBOL(...)
#define ALIAS(alias, call) { #alias, CALL_##call },
const struct call_alias call_aliases[] = {
#include "core/calls.def"
};
#undef SYMBOL

const size_t call_aliases_count = sizeof(call_aliases) / sizeof(*call_aliases);

#define CALL_any CALL_NONE /* syscall(2) */
#define TWIN(call, number, fails, point, map, type, symbol, ...)               \
	{ #symbol, CALL_##call },
#define TWIN_CHK  TWIN
#define TWIN_OLD  TWIN
#define TWIN_BODY TWIN
const struct call_alias call_twins[] = {
#include "core/twins.def"
};
const size_t call_twins_count = sizeof(call_twins) / sizeof(*call_twins);

/* What the symbols' rows fill, as text: "(.size = n * size)". */
static const struct {
	uint16_t id;
	const char *view;
} symbols[] = {
#undef ALIAS
#define ALIAS(...)
#define SYMBOL(call, ret, symbol, params, args, view) { CALL_##call, #view },
#include "core/calls.def"
};
#undef ALIAS
#undef CALL
#undef KERNEL
#undef KERNEL_IF
#undef SYMBOL

static bool view_can_select(const struct view *view, unsigned selector)
{
	bool fd = view->fd || view->fd2;
	bool path = view->path || view->path2;

	switch (selector) {
	case SELECT_PATH:
		return fd || path;
	case SELECT_FD:
		return fd;
	case SELECT_PEER:
	case SELECT_HOST:
	case SELECT_SIDE:
		return fd || view->addr;
	case SELECT_SIZE:
		return view->len || view->size || view->iov || view->msg;
	default: /* thread, exe, frame: who calls, not what about */
		return true;
	}
}

static bool symbol_can_select(const char *view, unsigned selector)
{
	switch (selector) {
	case SELECT_PATH:
		return strstr(view, ".path =") != NULL;
	case SELECT_HOST:
		return strstr(view, ".host =") != NULL;
	case SELECT_SIZE:
		return strstr(view, ".size =") != NULL;
	case SELECT_FD:
	case SELECT_PEER:
	case SELECT_SIDE:
		return false;
	default:
		return true;
	}
}

bool call_can_select(unsigned id, unsigned selector)
{
	const struct call call = { .id = (uint16_t)id };

	if (selector == SELECT_CLOCK)
		return call_clock(&call) >= 0;
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		const struct call_kernel *kernel = &call_kernel_table[nr];

		if ((kernel->id == id ||
		     (kernel->other_arg && kernel->other_id == id)) &&
		    view_can_select(&kernel->view, selector))
			return true;
	}
	for (size_t i = 0; i < sizeof(symbols) / sizeof(*symbols); i++)
		if (symbols[i].id == id &&
		    symbol_can_select(symbols[i].view, selector))
			return true;
	return false;
}
