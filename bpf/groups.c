/* groups.c - load each group of probes by itself, so that one refusal doesn't
 * sink the rest, and say of each what became of it and what would help. */
#include "bpf/watcher.h"

#include <bpf/btf.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/say.h"
#include "durable.skel.h"
#include "latency.skel.h"
#include "life.skel.h"
#include "net.skel.h"
#include "snap.skel.h"
#include "sys.skel.h"

#define SITES_BYTES_MAX (32u << 20) /* of counters, on all CPUs */
#define SITES_LEAST	4096
#define HEAP_BYTES	(32 << 20) /* what all groups want at a time */
#define BTF_PATH	"/sys/kernel/btf/vmlinux"

/* A program whose hook this kernel may lack, or know by another name. */
struct hook {
	const char *program, *name;
	const char *instead; /* a program that makes up for it; NULL: none */
	const char *lacks;   /* what isn't seen without */
};

static const struct hook hooks[] = {
	{ "on_uring", "io_uring_submit_req", "on_uring_sqe",
	  "operations of io_uring" },
	{ "on_uring_sqe", "io_uring_submit_sqe", "on_uring",
	  "operations of io_uring" },
	{ "on_cgroup", "cgroup_attach_task", NULL, "who leaves the cgroup" },
	{ "on_victim", "mark_victim", NULL, "victims of the OOM killer" },
	{ "on_victim_pid", "mark_victim", NULL, "victims of the OOM killer" },
};

static char complaint[WATCH_WHY_MAX]; /* libbpf's last */

static int print_keep(enum libbpf_print_level level, const char *format,
		      va_list args)
{
	if (getenv("MISHAP_WATCH_DEBUG"))
		return vfprintf(stderr, format, args);
	if (level == LIBBPF_WARN)
		vsnprintf(complaint, sizeof(complaint), format, args);
	return 0;
}

static void why(struct group *group, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void why(struct group *group, const char *format, ...)
{
	size_t at = strlen(group->why);
	va_list args;

	if (at && at + 2 < sizeof(group->why)) {
		strcpy(group->why + at, "; ");
		at += 2;
	}
	va_start(args, format);
	vsnprintf(group->why + at, sizeof(group->why) - at, format, args);
	va_end(args);
}

/* ---- rights
 * ------------------------------------------------------------------
 */

static bool has_capability(unsigned capability)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &head, data) < 0)
		return false;
	return data[capability / 32].effective & 1u << capability % 32;
}

static bool rights_are_there(struct group *group)
{
	char self[WATCH_WHY_MAX / 2] = "";

	if (has_capability(CAP_SYS_ADMIN) ||
	    (has_capability(CAP_BPF) && has_capability(CAP_PERFMON)))
		return true;
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		strcpy(self, "build/mishap-watch");
	group->status = WATCH_REFUSED;
	why(group,
	    "it takes root, or: sudo setcap "
	    "cap_bpf,cap_perfmon,cap_net_admin+ep %s",
	    self);
	return false;
}

/* ---- what this kernel has
 * ----------------------------------------------------
 */

/* The type of a BTF tracepoint's arguments; NULL: it isn't there. */
static const struct btf_type *tracepoint_find(const struct btf *kernel,
					      const char *name)
{
	char full[64];
	const struct btf_type *type;
	int id;

	snprintf(full, sizeof(full), "btf_trace_%s", name);
	id = btf__find_by_name_kind(kernel, full, BTF_KIND_TYPEDEF);
	if (id < 0)
		return NULL;
	type = btf__type_by_id(kernel, btf__type_by_id(kernel, id)->type);
	return type ? btf__type_by_id(kernel, type->type) : NULL;
}

/* mark_victim tells a task since 6.9, a pid before; [0] is always void *. */
static bool victim_is_task(const struct btf *kernel)
{
	const struct btf_type *victim = tracepoint_find(kernel, "mark_victim");
	const struct btf_type *argument;

	if (!victim || btf_vlen(victim) < 2)
		return true;
	argument = btf__type_by_id(kernel, btf_params(victim)[1].type);
	return argument && btf_is_ptr(argument);
}

static bool hook_is_there(const struct btf *kernel, const struct hook *hook)
{
	if (strcmp(hook->program, "on_victim") == 0 && !victim_is_task(kernel))
		return false;
	if (strcmp(hook->program, "on_victim_pid") == 0 &&
	    victim_is_task(kernel))
		return false;
	return tracepoint_find(kernel, hook->name);
}

static const struct hook *hook_of(const char *program)
{
	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++)
		if (strcmp(hooks[i].program, program) == 0)
			return &hooks[i];
	return NULL;
}

static bool is_loaded_instead(const struct group *group, const char *program)
{
	struct bpf_program *other = program ? bpf_object__find_program_by_name(
						      group->object, program)
					    : NULL;

	return other && bpf_program__autoload(other);
}

/* Programs whose hooks are missing are switched off, and named. */
static void hooks_probe(struct group *group, const struct btf *kernel)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, group->object)
	{
		const struct hook *hook = hook_of(bpf_program__name(program));

		if (hook && !hook_is_there(kernel, hook))
			bpf_program__set_autoload(program, false);
	}
	bpf_object__for_each_program(program, group->object)
	{
		const struct hook *hook = hook_of(bpf_program__name(program));

		if (bpf_program__autoload(program))
			group->programs++;
		else if (hook && !is_loaded_instead(group, hook->instead) &&
			 strncmp(hook->program, "on_victim", 9) != 0)
			why(group, "not seen: %s (no tracepoint %s)",
			    hook->lacks, hook->name);
	}
}

/* ---- one group
 * ---------------------------------------------------------------
 */

static bool map_is_shared(const char *name)
{
	return strcmp(name, "members") == 0 || strcmp(name, "events") == 0 ||
	       strcmp(name, "words") == 0 || strcmp(name, "losses") == 0;
}

static int maps_share(struct watcher *w, struct group *group)
{
	struct bpf_map *map;
	int error = 0;

	if (group == &w->groups[WATCH_LIFE])
		return 0;
	bpf_object__for_each_map(map, group->object)
	{
		const char *name = bpf_map__name(map);

		if (map_is_shared(name) && !error)
			error = bpf_map__reuse_fd(
				map, group_map(w, WATCH_LIFE, name));
	}
	return error;
}

/* Its skeleton, typed: the structs that hold them live as long as we do. */
#define OPENS(name)                                                            \
	static struct name##_bpf *name##_open(struct group *group)             \
	{                                                                      \
		struct name##_bpf *name = name##_bpf__open();                  \
                                                                               \
		if (name) {                                                    \
			group->skeleton = name->skeleton;                      \
			group->object = name->obj;                             \
		}                                                              \
		return name;                                                   \
	}

OPENS(life)
OPENS(net)
OPENS(sys)
OPENS(durable)
OPENS(latency)
OPENS(snap)

static bool sys_prepare(struct sys_bpf *sys, const struct btf *kernel)
{
	__u32 cpus = (__u32)libbpf_num_possible_cpus();
	__u32 room = SITES_BYTES_MAX / sizeof(struct site_count) / cpus;

	if (!sys)
		return false;
	sys->rodata->has_find_vma =
		btf__find_by_name_kind(kernel, "bpf_find_vma", BTF_KIND_FUNC) >
		0;
	if (room < SITES_LEAST)
		room = SITES_LEAST;
	if (room < bpf_map__max_entries(sys->maps.sites))
		bpf_map__set_max_entries(sys->maps.sites, room);
	return true;
}

static bool group_begin(struct watcher *w, enum watch_group number,
			const struct btf *kernel)
{
	struct group *group = &w->groups[number];

	switch (number) {
	case WATCH_LIFE:
		return (w->life = life_open(group));
	case WATCH_NET:
		return (w->net = net_open(group));
	case WATCH_SYS:
		return sys_prepare(sys_open(group), kernel);
	case WATCH_DURABLE_GROUP:
		return (w->durable = durable_open(group));
	case WATCH_LATENCY_GROUP:
		return latency_open(group);
	case WATCH_SNAP:
		return snap_open(group);
	case WATCH_GROUPS:
		break;
	}
	return false;
}

static void group_refused(struct group *group, const char *step, int error)
{
	group->status = error == -EPERM || error == -EACCES ? WATCH_REFUSED
							    : WATCH_ABSENT;
	complaint[strcspn(complaint, "\n")] = '\0';
	why(group, "the kernel doesn't %s it: %s%s%s", step, strerror(-error),
	    *complaint ? "; " : "", complaint);
	if (group->skeleton)
		bpf_object__destroy_skeleton(group->skeleton);
	group->skeleton = NULL;
	group->object = NULL;
}

static void group_open(struct watcher *w, enum watch_group number,
		       const struct btf *kernel)
{
	struct group *group = &w->groups[number];
	__u64 start_ns = say_now_ns();
	int error = 0;

	*complaint = '\0';
	if (!group_begin(w, number, kernel)) {
		group_refused(group, "know", -errno);
		return;
	}
	hooks_probe(group, kernel);
	error = maps_share(w, group);
	if (!error)
		error = bpf_object__load_skeleton(group->skeleton);
	if (error) {
		group_refused(group, "load", error);
		return;
	}
	error = bpf_object__attach_skeleton(group->skeleton);
	if (error) {
		group_refused(group, "attach", error);
		return;
	}
	group->attached = group->programs;
	group->attach_ns = say_now_ns() - start_ns;
	group->status = *group->why ? WATCH_PARTLY : WATCH_WORKS;
}

/* ---- all
 * ---------------------------------------------------------------------
 */

static void group_say(const struct watcher *w, enum watch_group number)
{
	const struct group *group = &w->groups[number];
	struct watch_group_body body = {
		.group = number,
		.status = group->status,
		.programs = group->programs,
		.attached = group->attached,
		.attach_ns = group->attach_ns,
	};

	memcpy(body.why, group->why, sizeof(body.why));
	say(WATCH_GROUP, 0, 0, 0, 0, &body, sizeof(body));
}

/* What holds for every group; false: there is no sense in trying. */
static bool can_try(struct group *group, const struct btf *kernel)
{
	if (!rights_are_there(group))
		return false;
	if (kernel)
		return true;
	group->status = WATCH_ABSENT;
	why(group,
	    access(BTF_PATH, R_OK) == 0
		    ? "%s isn't to be understood"
		    : "this kernel has no %s (CONFIG_DEBUG_INFO_BTF)",
	    BTF_PATH);
	return false;
}

/* For each group libbpf reads all of the kernel's BTF, 5 MB and twice while it
 * looks, and gives it back: in fresh pages that is most of what attaching
 * takes. So memory is kept between, in one arena and in huge pages where there
 * are. */
static void heap_prepare(void)
{
	const uintptr_t huge = 2 << 20;
	char *heap;
	uintptr_t at;

	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, HEAP_BYTES);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	heap = malloc(HEAP_BYTES - huge);
	at = ((uintptr_t)heap + huge - 1) & ~(huge - 1);
	if (heap)
		madvise((void *)at, HEAP_BYTES - 3 * huge, MADV_HUGEPAGE);
	free(heap);
}

/* Nothing goes without life, so it says what holds for all. */
void groups_open(struct watcher *w)
{
	struct group *life = &w->groups[WATCH_LIFE];
	struct btf *kernel;

	heap_prepare();
	libbpf_set_print(print_keep);
	kernel = btf__load_vmlinux_btf();
	if (libbpf_get_error(kernel))
		kernel = NULL;
	if (can_try(life, kernel))
		group_open(w, WATCH_LIFE, kernel);
	if (group_works(w, WATCH_LIFE))
		for (unsigned i = WATCH_LIFE + 1; i < WATCH_GROUPS; i++)
			if (w->wanted & 1u << i)
				group_open(w, i, kernel);
	for (unsigned i = 0; i < WATCH_GROUPS; i++) {
		struct group *group = &w->groups[i];

		if ((w->wanted & 1u << i) && !group_works(w, WATCH_LIFE)) {
			group->status = life->status;
			memmove(group->why, life->why, sizeof(group->why));
		}
		group_say(w, i);
	}
	btf__free(kernel);
	w->members_fd = group_map(w, WATCH_LIFE, "members");
	w->words_fd = group_map(w, WATCH_LIFE, "words");
	w->losses_fd = group_map(w, WATCH_LIFE, "losses");
}

void groups_close(struct watcher *w)
{
	for (unsigned i = WATCH_GROUPS; i-- > 0;)
		if (w->groups[i].skeleton)
			bpf_object__destroy_skeleton(w->groups[i].skeleton);
}

int group_map(const struct watcher *w, enum watch_group group, const char *name)
{
	return group_works(w, group) ? bpf_object__find_map_fd_by_name(
					       w->groups[group].object, name)
				     : -1;
}

int group_link(const struct watcher *w, enum watch_group group,
	       const char *program)
{
	const struct bpf_object_skeleton *s = w->groups[group].skeleton;

	for (int i = 0; s && i < s->prog_cnt; i++)
		if (strcmp(s->progs[i].name, program) == 0)
			return bpf_link__fd(*s->progs[i].link);
	return -1;
}
