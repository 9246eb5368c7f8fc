/* stack_module.c - which library an address belongs to.
 *
 * _dl_find_object(3) answers without a lock or a system call, also in a child
 * that was forked while another thread ran dlopen.  What it doesn't say (the
 * build-id, the segment of the unwind table) is read from the mapped file's
 * headers once (stack_elf.c) and cached; a slot's sequence number is also its
 * generation, odd while somebody writes.
 */
#include "preload/stack.h"

#include <dlfcn.h>

#define PROBES_MAX   8
#define LASTING_MAX  128
#define PAGE	     4096
#define HEADERS_MAX  64 /* program headers that are looked at */
#define MODULE_WORDS (sizeof(struct stack_module) / sizeof(uint64_t))

_Static_assert(sizeof(struct stack_module) % sizeof(uint64_t) == 0, "words");

struct slot {
	_Atomic uint32_t sequence;
	_Atomic uint64_t words[MODULE_WORDS];
};

union module_words {
	struct stack_module module;
	uint64_t words[MODULE_WORDS];
};

static struct slot slots[STACK_MODULES_MAX];

/* What was there when the program started stays until its end.  (Something
 * that an earlier constructor has opened with dlopen passes for such.) */
static const struct link_map *lasting[LASTING_MAX];

const void *stack_own_address HIDDEN = &slots;

extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak));
extern __typeof__(_r_debug) _r_debug __attribute__((weak)); /* musl: none */

static __attribute__((constructor)) void modules_remember(void)
{
	const struct link_map *map = &_r_debug ? _r_debug.r_map : NULL;

	for (unsigned i = 0; map && i < LASTING_MAX; map = map->l_next)
		lasting[i++] = map;
}

/* libc's code uses vector registers, and the target's may be live in them. */
#define EACH_VECTOR(move)                                                      \
	move("0") move("1") move("2") move("3") move("4") move("5") move("6")  \
		move("7") move("8") move("9") move("10") move("11") move("12") \
			move("13") move("14") move("15")
#define SAVE(n) "movups %%xmm" n ", 16*" n "(%0)\n\t"
#define LOAD(n) "movups 16*" n "(%0), %%xmm" n "\n\t"

static __attribute__((noinline)) bool object_find(uint64_t pc,
						  struct dl_find_object *ret)
{
	unsigned char vectors[16 * 16];
	int rc;

	if (!_dl_find_object)
		return false;
	__asm__ volatile(EACH_VECTOR(SAVE) : : "r"(vectors) : "memory");
	rc = _dl_find_object((void *)pc, ret);
	__asm__ volatile(EACH_VECTOR(LOAD) : : "r"(vectors) : "memory");
	return rc == 0;
}

static bool is_lasting(const struct link_map *map)
{
	for (unsigned i = 0; i < LASTING_MAX && lasting[i]; i++) {
		if (lasting[i] == map)
			return true;
	}
	return false;
}

static uint64_t hash_bytes(const uint8_t *bytes, uint64_t count)
{
	uint64_t hash = count;

	for (uint64_t i = 0; i < count; i++)
		hash = stack_mix(hash, bytes[i]);
	return hash ? hash : 1;
}

static uint64_t module_id(const struct stack_module *module)
{
	const char *name;
	uint64_t length = 0;

	if (module->build_id_bytes)
		return hash_bytes(module->build_id, module->build_id_bytes);
	name = stack_elf_name(module);
	while (name[length])
		length++;
	return hash_bytes((const uint8_t *)name, length);
}

static void module_read(const struct dl_find_object *object,
			struct stack_module *ret)
{
	ret->lo = (uint64_t)object->dlfo_map_start;
	ret->hi = (uint64_t)object->dlfo_map_end;
	ret->map = object->dlfo_link_map;
	ret->bias = ret->map->l_addr;
	ret->own = (uint64_t)stack_own_address >= ret->lo &&
		   (uint64_t)stack_own_address < ret->hi;
	ret->passing = !is_lasting(ret->map);
	stack_elf_read(object->dlfo_eh_frame, ret);
	ret->id = module_id(ret);
	ret->runs = stack_python_meet(ret);
}

static bool has_name(const struct link_map *map, const char *part)
{
	for (const char *at = map->l_name; *at; at++) {
		unsigned i = 0;

		while (part[i] && at[i] == part[i])
			i++;
		if (!part[i])
			return true;
	}
	return false;
}

/* An interpreter is met before the first walk, which may not reach it. */
static __attribute__((constructor)) void modules_meet(void)
{
	struct dl_find_object object;
	struct stack_module module;

	for (const struct link_map *map = &_r_debug ? _r_debug.r_map : NULL;
	     map; map = map->l_next) {
		if ((map == _r_debug.r_map || has_name(map, "python")) &&
		    object_find((uint64_t)map->l_ld, &object))
			module_read(&object, &module);
	}
}

bool stack_has_sanitizer(void)
{
	const struct link_map *map = &_r_debug ? _r_debug.r_map : NULL;
	struct dl_find_object object;
	struct stack_module module;

	for (; map; map = map->l_next) {
		if (has_name(map, "/libasan.so") ||
		    has_name(map, "/liblsan.so") ||
		    has_name(map, "/libtsan.so") ||
		    has_name(map, "/libclang_rt."))
			return true;
	}
	map = &_r_debug ? _r_debug.r_map : NULL;
	if (!map || !object_find((uint64_t)map->l_ld, &object))
		return false;
	module_read(&object, &module);
	return stack_elf_symbol(&module, "__lsan_do_leak_check") != 0;
}

/* Is it still the same file at the same place?  A build-id is read again,
 * because another library may come to stand where one was unmapped. */
static bool module_same(const struct stack_module *module,
			const struct dl_find_object *object)
{
	if (module->lo != (uint64_t)object->dlfo_map_start ||
	    module->hi != (uint64_t)object->dlfo_map_end ||
	    module->map != object->dlfo_link_map)
		return false;
	return !module->passing || module_id(module) == module->id;
}

/* A whole copy of a slot, or generation 0. */
static uint32_t slot_read(const struct slot *slot, struct stack_module *ret)
{
	union module_words *copy = (void *)ret;
	uint32_t sequence =
		atomic_load_explicit(&slot->sequence, memory_order_acquire);

	if (sequence == 0 || sequence & 1)
		return 0;
	for (unsigned i = 0; i < MODULE_WORDS; i++)
		copy->words[i] = atomic_load_explicit(&slot->words[i],
						      memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&slot->sequence, memory_order_relaxed) ==
			       sequence
		       ? sequence
		       : 0;
}

/* Returns the new generation; 0 when somebody else is writing there. */
static uint32_t slot_write(struct slot *slot, const struct stack_module *module)
{
	const union module_words *copy = (const void *)module;
	uint32_t sequence =
		atomic_load_explicit(&slot->sequence, memory_order_relaxed);

	if (sequence & 1 || !atomic_compare_exchange_strong_explicit(
				    &slot->sequence, &sequence, sequence + 1,
				    memory_order_acquire, memory_order_relaxed))
		return 0;
	atomic_thread_fence(memory_order_release);
	for (unsigned i = 0; i < MODULE_WORDS; i++)
		atomic_store_explicit(&slot->words[i], copy->words[i],
				      memory_order_relaxed);
	atomic_store_explicit(&slot->sequence, sequence + 2,
			      memory_order_release);
	return sequence + 2;
}

static void place_set(struct stack_place *place,
		      const struct stack_module *module, unsigned slot,
		      uint32_t generation)
{
	place->slot = (uint16_t)slot;
	place->generation = generation;
	place->own = module->own;
	place->passing = module->passing;
}

bool stack_module_find(uint64_t pc, struct stack_module *ret_module,
		       struct stack_place *ret_place)
{
	struct dl_find_object object;
	unsigned home, slot = STACK_NO_SLOT;
	uint32_t generation;

	if (!object_find(pc, &object))
		return false;
	home = stack_mix(0, (uint64_t)object.dlfo_map_start) %
	       STACK_MODULES_MAX;
	for (unsigned i = 0; i < PROBES_MAX; i++) {
		unsigned at = (home + i) % STACK_MODULES_MAX;

		generation = slot_read(&slots[at], ret_module);
		if (generation && module_same(ret_module, &object)) {
			place_set(ret_place, ret_module, at, generation);
			return true;
		}
		if (slot == STACK_NO_SLOT &&
		    (!generation ||
		     ret_module->lo == (uint64_t)object.dlfo_map_start))
			slot = at;
	}
	if (slot == STACK_NO_SLOT)
		slot = home;
	module_read(&object, ret_module);
	generation = slot_write(&slots[slot], ret_module);
	place_set(ret_place, ret_module, generation ? slot : STACK_NO_SLOT,
		  generation);
	return true;
}

bool stack_module_stands(struct stack_place place, uint64_t pc)
{
	struct dl_find_object object;
	struct stack_module module;

	return object_find(pc, &object) && stack_module_get(place, &module) &&
	       module_same(&module, &object);
}

bool stack_module_get(struct stack_place place, struct stack_module *ret_module)
{
	return place.generation && place.slot < STACK_MODULES_MAX &&
	       slot_read(&slots[place.slot], ret_module) == place.generation;
}
