/* sweep.c - list the call, fail it, or note that it was made. */
#include "preload/sweep.h"

#include "preload/stack.h"

struct sweep_area *guest_sweep;

/* Where `mishap replay --gdb` stops: the caller's caller makes the call. */
NOINLINE void sweep_fault_here(void)
{
	__asm__ volatile("" : : : "memory");
}

static void note(const struct flight *flight, enum sweep_object object,
		 bool failed)
{
	struct sweep_note *slot;
	uint32_t at;

	if (call_table[flight->call.id].family == FAMILY_alloc)
		return;
	at = BUMP(guest_sweep->notes_count);
	if (at >= SWEEP_NOTES_MAX)
		return;
	slot = &guest_sweep->notes[at];
	slot->call = flight->call.id;
	slot->object = (uint8_t)object;
	slot->failed = failed;
	slot->fd = flight->call.fd;
	slot->pid = (uint32_t)PEEK(guest_process->pid);
	sweep_path(flight, object, slot->path);
}

/* Write the verdict, as faults/fail.c and faults/short.c do. */
static bool act(struct flight *flight, enum sweep_object object)
{
	const struct sweep_cell *cell = &guest_sweep->cell;
	struct call *call = &flight->call;
	bool first;

	if (cell->kind == KIND_SHORT) {
		size_t half = call->len / 2;

		if (!half || !bend_can_cut(flight, half))
			return false;
		call->len_max = half;
	} else {
		if (call_table[call->id].flags & CALL_RELEASES_FD)
			call->after = true;
		call->skip = !call->after;
		call->error = cell->error;
	}
	first = BUMP(guest_sweep->fired) == 0;
	if (first) {
		atomic_store(&guest_sweep->fired_pid,
			     (uint32_t)PEEK(guest_process->pid));
		attend_ask();
		sweep_fault_here();
	} else {
		note(flight, object, true);
	}
	flight->acts = true;
	return true;
}

static bool is_on_path(const struct flight *flight, enum sweep_object object)
{
	char tail[SWEEP_PATH_MAX];

	return sweep_path(flight, object, tail) == guest_sweep->cell.path_hash;
}

static bool is_the_call(const struct flight *flight, enum sweep_object object)
{
	const struct sweep_cell *cell = &guest_sweep->cell;

	return flight->call.id == cell->call && object == cell->object &&
	       sweep_site_id(flight, object) == cell->site &&
	       BUMP(guest_sweep->seen) + 1 == cell->nth;
}

static bool fail(struct flight *flight, enum sweep_object object)
{
	const struct sweep_cell *cell = &guest_sweep->cell;
	bool in_group = cell->group[flight->call.id] &&
			cell->group_objects >> object & 1;
	bool has_fired = PEEK(guest_sweep->fired) != 0;

	if (cell->span == SPAN_PATH) {
		if (in_group && is_on_path(flight, object))
			return act(flight, object);
	} else if (has_fired) {
		if (in_group && cell->span == SPAN_ONWARD)
			return act(flight, object);
	} else {
		return is_the_call(flight, object) && act(flight, object);
	}
	if (has_fired)
		note(flight, object, false);
	return false;
}

bool sweep_judge(struct flight *flight)
{
	enum sweep_object object;
	uint32_t mode = guest_sweep->mode;

	if (mode == SWEEP_CLEAN || !process_is_ours())
		return false;
	flight_fill(flight);
	object = sweep_object_of(flight);
	if (mode == SWEEP_FAULT)
		return fail(flight, object);
	sweep_site_list(flight, object);
	return false;
}

bool sweep_listens(const struct flight *flight)
{
	return guest_sweep->mode == SWEEP_LIST && flight->filled &&
	       flight->row->view.path && flight->call.id != CALL_execve &&
	       process_is_ours();
}

void sweep_heard(const struct flight *flight, long ret)
{
	uint64_t id = sweep_site_id(flight, sweep_object_of(flight));

	if (ret >= 0 || ret < -4095)
		return;
	for (unsigned i = 0; i < 64; i++) {
		struct sweep_site *site =
			&guest_sweep->sites[(id + i) % SWEEP_SITES_MAX];

		if (PEEK(site->id) == id) {
			BUMP(site->failed);
			return;
		}
	}
}
