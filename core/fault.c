/* fault.c - the table of fault kinds, in the order of their names.  Each is
 * defined in faults/NAME.c; the list comes from the names of those files. */
#include "core/fault.h"

#define FAULT(name) extern const struct fault fault_##name;
#include "faults.def"
#undef FAULT

void call_take_room(struct call *call, int error)
{
	if (call->room && call->room < call->len &&
	    call->id != CALL_fallocate) {
		call->len_max = call->room;
		return;
	}
	call->skip = true;
	call->error = error;
}

const char *call_tells_no_time(unsigned call_id, const struct fault_arg *arg)
{
	const struct call call = { .id = (uint16_t)call_id };

	(void)arg;
	return call_clock(&call) < 0 ? "it tells no time" : NULL;
}

const struct fault *const fault_table[FAULT_COUNT] = {
#define FAULT(name) [FAULT_##name] = &fault_##name,
#include "faults.def"
#undef FAULT
};
