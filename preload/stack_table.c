/* stack_table.c - stacks and modules in the memory that the runner reads.
 *
 * Both tables are open-addressed by a hash that is 0 while a slot is free.
 * Whoever takes a slot writes it and then sets ready; whoever finds a slot
 * that isn't ready yet writes the same bytes again, so that a writer that was
 * killed halfway leaves nothing behind.
 */
#include "preload/stack.h"

#define PROBES_MAX 64

/* Writers of one slot race, but with equal bytes; the compiler is told. */
#define PUT(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELAXED)

/* Is this the slot of the hash, or free and from now on its slot? */
static bool slot_take(_Atomic uint64_t *key, uint64_t hash)
{
	uint64_t seen = atomic_load_explicit(key, memory_order_relaxed);

	if (seen == 0)
		atomic_compare_exchange_strong(key, &seen, hash);
	return seen == 0 || seen == hash;
}

static void module_write(struct shared_module *slot,
			 const struct stack_module *module)
{
	char path[sizeof slot->path];

	stack_elf_path(module, path, sizeof path);
	for (unsigned i = 0; i < sizeof path; i++) {
		PUT(slot->path[i], path[i]);
		if (!path[i])
			break;
	}
	for (unsigned i = 0; i < module->build_id_bytes; i++)
		PUT(slot->build_id[i], module->build_id[i]);
	PUT(slot->build_id_bytes, module->build_id_bytes);
	PUT(slot->runs, module->runs);
	atomic_store_explicit(&slot->ready, 1, memory_order_release);
}

/* Its number plus 1; 0: gone meanwhile, or the table is full. */
static uint32_t module_number(struct state *state, struct stack_place place)
{
	struct stack_module module;

	if (!stack_module_get(place, &module))
		return 0;
	for (unsigned i = 0; i < PROBES_MAX; i++) {
		unsigned at = (module.id + i) % SHARED_MODULES_MAX;
		struct shared_module *slot = &state->modules[at];

		if (!slot_take(&slot->key, module.id))
			continue;
		if (!atomic_load_explicit(&slot->ready, memory_order_acquire))
			module_write(slot, &module);
		return at + 1;
	}
	return 0;
}

static void text_put(char *to, unsigned max, const char *from)
{
	for (unsigned i = 0; i < max; i++) {
		PUT(to[i], i < max - 1 ? from[i] : '\0');
		if (!from[i])
			break;
	}
}

uint32_t stack_table_code(struct state *state, uint64_t key, const char *file,
			  const char *function)
{
	for (unsigned i = 0; i < PROBES_MAX; i++) {
		unsigned at = (key + i) % SHARED_CODES_MAX;
		struct shared_code *slot = &state->codes[at];

		if (!slot_take(&slot->key, key))
			continue;
		if (!atomic_load_explicit(&slot->ready, memory_order_acquire)) {
			text_put(slot->file, sizeof(slot->file), file);
			text_put(slot->function, sizeof(slot->function),
				 function);
			atomic_store_explicit(&slot->ready, 1,
					      memory_order_release);
		}
		return at + 1;
	}
	return 0;
}

void stack_table_frames(struct state *state, const struct stack_frame *frames,
			unsigned count, struct shared_frame *ret_frames)
{
	for (unsigned i = 0; i < count; i++) {
		struct stack_place place = frames[i].place;
		bool is_python = place.slot == STACK_PYTHON_SLOT;

		PUT(ret_frames[i].module,
		    is_python ? place.generation : module_number(state, place));
		PUT(ret_frames[i].language,
		    is_python ? FRAME_PYTHON : FRAME_NATIVE);
		PUT(ret_frames[i].offset, frames[i].offset);
	}
}

static void stack_write(struct state *state, struct shared_stack *slot,
			const struct stack_frame *frames, unsigned count)
{
	stack_table_frames(state, frames, count, slot->frames);
	PUT(slot->count, count);
	atomic_store_explicit(&slot->ready, 1, memory_order_release);
}

uint32_t stack_table_number(struct state *state,
			    const struct stack_frame *frames, unsigned count)
{
	uint64_t hash = count;

	for (unsigned i = 0; i < count; i++)
		hash = stack_mix(hash, frames[i].id);
	hash = hash ? hash : 1;
	for (unsigned i = 0; i < PROBES_MAX; i++) {
		unsigned at = (hash + i) % SHARED_STACKS_MAX;
		struct shared_stack *slot = &state->stacks[at];

		if (!slot_take(&slot->hash, hash))
			continue;
		if (!atomic_load_explicit(&slot->ready, memory_order_acquire))
			stack_write(state, slot, frames, count);
		return at + 1;
	}
	return 0;
}
