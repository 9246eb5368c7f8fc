/* watcher.h - mishap-watch: what its parts share.  One thread. */
#ifndef MISHAP_BPF_WATCHER_H
#define MISHAP_BPF_WATCHER_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <sys/types.h>

#include "bpf/account.h"

struct life_bpf;
struct net_bpf;
struct durable_bpf;

struct group {
	enum watch_status status;
	struct bpf_object_skeleton *skeleton; /* owned; NULL: not loaded */
	struct bpf_object *object;
	__u32 programs, attached;
	__u64 attach_ns;
	char why[WATCH_WHY_MAX];
};

struct watcher {
	struct group groups[WATCH_GROUPS];
	__u32 wanted; /* bits 1 << enum watch_group */
	const char *sites_dir, *data_path;
	bool no_cgroup;

	struct ring_buffer *ring;
	int members_fd, words_fd, losses_fd;
	struct life_bpf *life;
	struct net_bpf *net;
	struct durable_bpf *durable;

	struct account *account;
	struct sums sums; /* of images that are no more */
	__u16 phase;
	bool stopping;

	char cgroup[512];      /* its directory; "": none */
	char cgroup_home[512]; /* where its processes came from */
	__u64 cgroup_id;
};

/* groups.c */
/* groups_open - load and attach what is wanted, tell a GROUP for each. */
void groups_open(struct watcher *w);
void groups_close(struct watcher *w);
int group_map(const struct watcher *w, enum watch_group group,
	      const char *name); /* its fd, or -1 */
int group_link(const struct watcher *w, enum watch_group group,
	       const char *program); /* an iterator's link's fd, or -1 */
static inline bool group_works(const struct watcher *w, enum watch_group group)
{
	return w->groups[group].skeleton;
}

/* follow.c: 0 or -errno; ret_value goes into DONE. */
int follow_start(struct watcher *w, pid_t pid, __u64 *ret_value);
int follow_adopt(struct watcher *w, pid_t pid, __u64 *ret_value);
void follow_end(struct watcher *w);

/* snapshot.c, threads.c: 0 or -errno. */
int snapshot_say(struct watcher *w, __u64 id);
/* snapshot_collapse - move the counts of images that are no more into sums. */
void snapshot_collapse(struct watcher *w);
int threads_say(struct watcher *w, __u64 id);
/* iterate - read all that an iterator writes; *ret is the caller's to free. */
int iterate(int link_fd, char **ret, size_t *ret_bytes);

#endif
