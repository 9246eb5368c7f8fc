/* worker.c - lay a tree, ask the checker, write down what it said. */
#include "runner/powercut/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define REWRITE_NODES 40 /* smaller trees are written anew */
#define REWRITE_BYTES (256u << 10)

static _Noreturn void give_up(const struct worker *worker,
			      enum worker_step step, int error)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&worker->shared->error, &none,
					   error))
		atomic_store(&worker->shared->step, step);
	atomic_store(&worker->shared->stop, true);
	_exit(1);
}

/* Ports of their own for those who look at the same time. */
static void network_leave(void)
{
	struct ifreq request = { .ifr_name = "lo",
				 .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd;

	if (unshare(CLONE_NEWNET) != 0)
		return; /* then they share the sandbox's */
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

static int mount_over(struct worker *worker)
{
	const char *tree = worker->judge->tree;
	uid_t uid;
	gid_t gid;

	sandbox_ids(worker->sandbox, &uid, &gid);
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("mishap", tree, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") !=
		    0)
		return -errno;
	worker->mount_fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (worker->mount_fd < 0)
		return -errno;
	worker->root_fd = worker->mount_fd;
	if (geteuid() == 0 && fchown(worker->mount_fd, uid, gid) != 0 &&
	    errno != EPERM && errno != EINVAL)
		return -errno;
	/* What we make is the checker's. */
	setfsgid(gid);
	setfsuid(uid);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user clears it */
	return 0;
}

static int subdir_make(const struct worker *worker, const char *name, int *fd)
{
	if (mkdirat(worker->mount_fd, name, 0755) != 0)
		return -errno;
	*fd = openat(worker->mount_fd, name,
		     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

/* Is the tree so large that writing all of it for each state is waste? */
static bool is_large(const struct history *history)
{
	uint32_t nodes = 0;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < history->nodes_count; i++)
		if (history->nodes[i].base) {
			nodes++;
			bytes += history->nodes[i].size;
		}
	return nodes > REWRITE_NODES || bytes > REWRITE_BYTES;
}

static int base_make(struct worker *worker)
{
	int error = subdir_make(worker, "base", &worker->base_fd);

	if (!error)
		error = subdir_make(worker, "upper", &worker->upper_fd);
	if (!error)
		error = subdir_make(worker, "work", &worker->work_fd);
	if (!error)
		error = lay_base(&worker->lay, worker->base_fd);
	if (!error && worker->base_fd >= 0)
		error = fchmod(worker->upper_fd,
			       worker->dag->history->nodes[0].mode) != 0
				? -errno
				: 0;
	return error;
}

static int overlay_on(struct worker *worker)
{
	char options[256];
	uid_t fsuid = (uid_t)setfsuid(geteuid());
	gid_t fsgid = (gid_t)setfsgid(getegid());
	int error = 0;

	snprintf(options, sizeof(options),
		 "lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,"
		 "workdir=/proc/self/fd/%d,userxattr",
		 worker->base_fd, worker->upper_fd, worker->work_fd);
	if (mount("overlay", worker->judge->tree, "overlay",
		  MS_NOSUID | MS_NODEV, options) != 0)
		error = -errno;
	setfsgid(fsgid);
	setfsuid(fsuid);
	if (error)
		return error;
	worker->root_fd =
		open(worker->judge->tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return worker->root_fd < 0 ? -errno : 0;
}

static int overlay_off(struct worker *worker)
{
	uid_t uid;
	gid_t gid;

	sandbox_ids(worker->sandbox, &uid, &gid);
	close(worker->root_fd);
	worker->root_fd = -1;
	if (umount2(worker->judge->tree, MNT_DETACH) != 0)
		return -errno;
	setfsuid(geteuid()); /* work/ is the kernel's own */
	lay_wipe(worker->work_fd);
	lay_wipe(worker->upper_fd);
	setfsuid(uid);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return 0;
}

/* Shapes are of one dag; items of one dag come together. */
static int dag_take(struct worker *worker, const struct dag *dag)
{
	int error;

	if (worker->dag == dag)
		return 0;
	if (worker->dag) {
		lay_clear(&worker->lay);
		shape_clear(&worker->shape);
	}
	worker->dag = NULL;
	error = shape_make(dag, &worker->shape);
	if (error)
		return error;
	error = lay_make(&worker->shape, &worker->lay);
	if (!error)
		worker->dag = dag;
	return error;
}

static int state_lay(struct worker *worker, const struct judge_item *item)
{
	int error = dag_take(worker, item->dag);

	if (error)
		return error;
	worker->lay.tamper = item->tamper;
	if (worker->base_fd >= 0) {
		error = overlay_on(worker);
		return error ? error
			     : lay_changes(&worker->lay, item->set,
					   worker->root_fd);
	}
	error = lay_wipe(worker->root_fd);
	if (!error)
		error = lay_all(&worker->lay, item->set, worker->root_fd);
	if (!error &&
	    fchmod(worker->root_fd, item->dag->history->nodes[0].mode) != 0)
		error = -errno;
	return error;
}

static int ask(struct worker *worker, struct verdict_row *row)
{
	int error = 0;

	if (ftruncate(worker->out_fd, 0) != 0 ||
	    lseek(worker->out_fd, 0, SEEK_SET) != 0)
		return -errno;
	if (worker->argv[0]) {
		error = check_exec(worker, worker->argv[0], row);
		row->recovering = true;
		if (error || row->kind != OUTCOME_EXITED || row->status != 0)
			return error;
	}
	row->recovering = false;
	if (worker->argv[1])
		return check_exec(worker, worker->argv[1], row);
	return worker->judge->server ? check_server(worker, row) : 0;
}

static int answer_write(const struct worker *worker, struct verdict_row *row)
{
	off_t bytes = lseek(worker->out_fd, 0, SEEK_END);
	static char text[JUDGE_TEXT_MAX];
	ssize_t n;

	if (bytes < 0)
		return -errno;
	if (bytes > JUDGE_TEXT_MAX)
		bytes = JUDGE_TEXT_MAX;
	n = bytes ? pread(worker->out_fd, text, (size_t)bytes, 0) : 0;
	row->bytes = n > 0 ? (uint32_t)n : 0;
	if (write(worker->results_fd, row, sizeof(*row)) != sizeof(*row) ||
	    write(worker->results_fd, text, row->bytes) != (ssize_t)row->bytes)
		return -EIO;
	return 0;
}

static void one_state(struct worker *worker, uint32_t at)
{
	struct verdict_row row = { .item = at, .kind = OUTCOME_EXITED };
	int error = state_lay(worker, &worker->items[at]);

	if (error)
		give_up(worker, STEP_LAY, error);
	error = ask(worker, &row);
	if (!error)
		error = answer_write(worker, &row);
	if (error)
		give_up(worker, STEP_CHECKER, error);
	if (worker->base_fd >= 0) {
		error = overlay_off(worker);
		if (error)
			give_up(worker, STEP_LAY, error);
	}
	atomic_fetch_add(&worker->shared->done, 1);
}

void worker_run(struct worker *worker)
{
	const struct judge *judge = worker->judge;
	int error;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	umask(0);
	worker->mount_fd = worker->base_fd = -1;
	worker->server = -1;
	worker->out_fd = memfd_create("mishap-out", MFD_CLOEXEC);
	worker->ending =
		mmap(NULL, sizeof(*worker->ending), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	worker->argv[0] = judge->recover ? command_split(judge->recover) : NULL;
	worker->argv[1] = judge->check ? command_split(judge->check) : NULL;
	network_leave();
	error = mount_over(worker);
	if (error || worker->out_fd < 0 || worker->ending == MAP_FAILED)
		give_up(worker, STEP_MOUNT, error ? error : -ENOMEM);
	if (worker->count) {
		error = dag_take(worker, worker->items[0].dag);
		/* A server may stand in the tree: its mount must not change. */
		if (!error && !judge->server &&
		    is_large(worker->items[0].dag->history))
			error = base_make(worker);
		if (error)
			give_up(worker, STEP_LAY, error);
	}
	while (!atomic_load(&worker->shared->stop)) {
		uint32_t at = atomic_fetch_add(&worker->shared->next, 1);

		if (at >= worker->count)
			break;
		one_state(worker, at);
	}
	check_server_end(worker);
	_exit(0);
}
