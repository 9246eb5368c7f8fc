#include "runner/sweep/cage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"

#define COPY_BYTES_MAX	 (512ull << 20)
#define COPY_ENTRIES_MAX 50000
#define FILE_BYTES_MAX	 (1ull << 30) /* RLIMIT_FSIZE of a target */
#define LINGER_NS	 (200 * NS_PER_MS)
#define NAMES_MAX	 256

static const char *const temporaries[SWEEP_TEMPORARIES] = { "/tmp", "/var/tmp",
							    "/dev/shm" };
static const char *const prefixes[SWEEP_TEMPORARIES] = { "/tmp/", "/var/tmp/",
							 "/dev/shm/" };

/* ---- surroundings ------------------------------------------------------- */

static int dir_open(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int dir_make(int at, const char *name, int *ret_fd)
{
	if (mkdirat(at, name, 0755) != 0)
		return -errno;
	*ret_fd = dir_open(at, name);
	return *ret_fd < 0 ? -errno : 0;
}

/* The names that stand there already: ours, and the way to the directory. */
static char **names_of(int fd)
{
	char **names = calloc(NAMES_MAX + 1, sizeof(*names));
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	size_t n = 0;

	while (names && dir && n < NAMES_MAX && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' ||
		    (entry->d_name[1] && entry->d_name[1] != '.'))
			names[n++] = strdup(entry->d_name);
	if (dir)
		closedir(dir);
	return names;
}

static int base_make(struct cage *cage)
{
	uint64_t bytes = COPY_BYTES_MAX;
	uint32_t entries = COPY_ENTRIES_MAX;
	uid_t uid;
	gid_t gid;
	int error;

	cage->step = STEP_COPY;
	sandbox_ids(cage->sandbox, &uid, &gid);
	error = dir_make(cage->stage_fd, "base", &cage->base_fd);
	if (!error)
		error = tree_copy(cage->sweep->cwd_fd, cage->base_fd, uid, gid,
				  &bytes, &entries);
	return error;
}

int cage_open(struct cage *cage)
{
	const char *stage = cage->sweep->place.scratch;
	int error = 0;

	cage->step = STEP_MOUNT;
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("mishap", stage, "tmpfs", MS_NOSUID | MS_NODEV,
		  "mode=0755") != 0)
		return -errno;
	cage->stage_fd = dir_open(AT_FDCWD, stage);
	if (cage->stage_fd < 0)
		return -errno;
	error = base_make(cage);
	if (error)
		return error;
	cage->step = STEP_MOUNT;
	cage->out_fd = memfd_create("stdout", MFD_CLOEXEC);
	cage->err_fd = memfd_create("stderr", MFD_CLOEXEC);
	cage->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cage->end = mmap(NULL, sizeof(*cage->end), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (cage->out_fd < 0 || cage->err_fd < 0 || cage->null_fd < 0 ||
	    cage->end == MAP_FAILED)
		return -errno;
	for (unsigned i = 0; i < SWEEP_TEMPORARIES; i++) {
		cage->temporaries[i] = dir_open(AT_FDCWD, temporaries[i]);
		if (cage->temporaries[i] >= 0)
			cage->keep[i] = names_of(cage->temporaries[i]);
	}
	return 0;
}

int cage_fresh(struct cage *cage)
{
	struct stat st;
	char options[256];

	cage->step = STEP_MOUNT;
	if (dir_make(cage->stage_fd, "upper", &cage->upper_fd) < 0 ||
	    dir_make(cage->stage_fd, "work", &cage->work_fd) < 0 ||
	    fstat(cage->base_fd, &st) != 0 ||
	    fchmod(cage->upper_fd, st.st_mode & 07777) != 0)
		return -errno;
	if (geteuid() == 0 && fchown(cage->upper_fd, st.st_uid, st.st_gid) != 0)
		return -errno;
	snprintf(options, sizeof(options),
		 "lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,"
		 "workdir=/proc/self/fd/%d,userxattr",
		 cage->base_fd, cage->upper_fd, cage->work_fd);
	return mount("overlay", cage->sweep->cwd, "overlay",
		     MS_NOSUID | MS_NODEV, options) != 0
		       ? -errno
		       : 0;
}

int cage_stale(struct cage *cage)
{
	cage->step = STEP_MOUNT;
	if (umount2(cage->sweep->cwd, MNT_DETACH) != 0)
		return -errno;
	close(cage->upper_fd);
	close(cage->work_fd);
	for (unsigned i = 0; i < SWEEP_TEMPORARIES; i++)
		if (cage->temporaries[i] >= 0)
			tree_wipe(cage->temporaries[i], cage->keep[i]);
	return tree_wipe(cage->stage_fd, (char *[]){ "base", NULL });
}

/* ---- the run ------------------------------------------------------------ */

static _Noreturn void target_exec(const struct cage *cage,
				  const struct cage_run *run, int in)
{
	struct rlimit none = { 0, 0 };
	struct rlimit file = { FILE_BYTES_MAX, FILE_BYTES_MAX };
	sigset_t set;

	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	setrlimit(RLIMIT_CORE, &none);
	setrlimit(RLIMIT_FSIZE, &file);
	if (dup2(in, 0) == 0 && dup2(cage->out_fd, 1) == 1 &&
	    dup2(cage->err_fd, 2) == 2) {
		close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
		execve(run->path, run->argv, cage->envp);
		dprintf(2, "mishap: %s: %s\n", run->path, strerror(errno));
	}
	_exit(127);
}

/* All have gone, or those that the target has left behind have had time to. */
static void linger(pid_t pid, struct cage_end *end)
{
	struct timespec slice = { .tv_nsec = 20 * NS_PER_MS };
	uint64_t until_ns = 0;
	int status;
	sigset_t set;
	pid_t got;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (;;) {
		while ((got = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
			if (got == pid) {
				end->status = status;
				end->end_ns = clock_now_ns();
				end->ended = true;
				until_ns = end->end_ns + LINGER_NS;
			}
		if (got < 0 || (until_ns && clock_now_ns() > until_ns))
			return;
		sigtimedwait(&set, NULL, &slice);
	}
}

/* pid 1 of the run. */
static _Noreturn void init_run(const struct cage *cage,
			       const struct cage_run *run, int in)
{
	sigset_t set;
	pid_t pid;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	umask(022);
	setsid();
	if (sandbox_drop(cage->sandbox) < 0 || chdir(cage->sweep->cwd) != 0)
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user clears it */
	personality(ADDR_NO_RANDOMIZE);	  /* may be forbidden: no matter */
	pid = vfork();
	if (pid == 0)
		target_exec(cage, run, in);
	if (pid < 0)
		_exit(126);
	linger(pid, cage->end);
	_exit(0);
}

static void area_prepare(const struct cage *cage, const struct cage_run *run,
			 int in)
{
	const int fds[3] = { in, cage->out_fd, cage->err_fd };
	struct sweep_area *sweep = cage->area->sweep;
	struct timespec now;
	struct stat st;

	area_reset(cage->area);
	for (unsigned i = 0; i < 3; i++)
		if (fstat(fds[i], &st) == 0) {
			sweep->std_dev[i] = st.st_dev;
			sweep->std_ino[i] = st.st_ino;
		}
	if (fstat(in, &st) != 0 || !S_ISREG(st.st_mode))
		sweep->std_ino[0] = 0; /* /dev/null is nobody's input */
	sweep->mode = run->mode;
	sweep->seed = run->seed;
	if (run->cell)
		sweep->cell = *run->cell;
	area_arm(cage->area, run->armed);
	clock_gettime(CLOCK_REALTIME, &now);
	sweep->epoch_ns = cage->sweep->epoch_ns;
	sweep->began_ns =
		(uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static bool wait_end(struct cage *cage, pid_t pid, uint64_t timeout_ns)
{
	uint64_t until = clock_now_ns() + timeout_ns;
	struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, pid, 0),
			      .events = POLLIN };
	int ready = 0;

	while (end.fd >= 0 && ready <= 0 && clock_now_ns() < until)
		ready = poll(&end, 1, clock_left_ms(until, 1000));
	if (end.fd >= 0)
		close(end.fd);
	if (ready <= 0 && cage->on_hang)
		cage->on_hang(cage->arg);
	if (ready <= 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return ready > 0;
}

/* ---- what it left ------------------------------------------------------- */

static uint64_t stream_hash(int fd, uint64_t *ret_size)
{
	static char block[65536];
	uint64_t hash = 0xcbf29ce484222325ull, size = 0;
	ssize_t n;

	while ((n = pread(fd, block, sizeof(block), (off_t)size)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			hash = (hash ^ (uint8_t)block[i]) * 0x100000001b3ull;
		size += (uint64_t)n;
	}
	*ret_size = size;
	return hash;
}

static char *stream_take(int fd, size_t *ret_bytes)
{
	struct stat st;
	size_t n = fstat(fd, &st) == 0 ? (size_t)st.st_size : 0;
	char *text;
	ssize_t got;

	if (n > SIGHT_OUTPUT_MAX)
		n = SIGHT_OUTPUT_MAX;
	text = malloc(n + 1);
	if (!text)
		return NULL;
	got = n ? pread(fd, text, n, 0) : 0;
	*ret_bytes = got > 0 ? (size_t)got : 0;
	text[*ret_bytes] = '\0';
	for (size_t i = 0; i < *ret_bytes; i++) /* lines are looked for */
		if (!text[i])
			text[i] = '\1';
	return text;
}

static int look(struct cage *cage, struct sight *sight)
{
	int error;

	cage->step = STEP_LOOK;
	sight->out_hash = stream_hash(cage->out_fd, &sight->out_size);
	sight->out = stream_take(cage->out_fd, &sight->out_bytes);
	sight->err = stream_take(cage->err_fd, &sight->err_bytes);
	if (!sight->out || !sight->err)
		return -ENOMEM;
	error = tree_list(cage->upper_fd, cage->base_fd, &sight->files);
	for (unsigned i = 0; i < SWEEP_TEMPORARIES && !error; i++)
		if (cage->temporaries[i] >= 0)
			error = tree_list_temporary(cage->temporaries[i],
						    prefixes[i], cage->keep[i],
						    &sight->files);
	entries_sort(&sight->files);
	return error;
}

int cage_run(struct cage *cage, const struct cage_run *run,
	     struct sight *ret_sight)
{
	const char *file = cage->sweep->stdin_file;
	int in = file ? open(file, O_RDONLY | O_CLOEXEC) : cage->null_fd;
	struct sight sight = { .leader_pid = 2 };
	uint64_t start_ns;
	pid_t pid;

	cage->step = STEP_RUN;
	if (in < 0 || ftruncate(cage->out_fd, 0) != 0 ||
	    ftruncate(cage->err_fd, 0) != 0)
		return -errno;
	lseek(cage->out_fd, 0, SEEK_SET);
	lseek(cage->err_fd, 0, SEEK_SET);
	*cage->end = (struct cage_end){ .ended = false };
	area_prepare(cage, run, in);
	start_ns = clock_now_ns();
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		init_run(cage, run, in);
	if (in != cage->null_fd)
		close(in);
	if (pid < 0)
		return -errno;
	sight.hung = !wait_end(cage, pid, run->timeout_ns);
	sight.ended = cage->end->ended;
	if (sight.ended) {
		sight.hung = false;
		sight.signal = WIFSIGNALED(cage->end->status)
				       ? WTERMSIG(cage->end->status)
				       : 0;
		sight.status = WIFEXITED(cage->end->status)
				       ? WEXITSTATUS(cage->end->status)
				       : 0;
		sight.duration_ns = cage->end->end_ns - start_ns;
	} else {
		sight.duration_ns = clock_now_ns() - start_ns;
	}
	*ret_sight = sight;
	return look(cage, ret_sight);
}

/* ---- in a debugger ------------------------------------------------------ */

static _Noreturn void gdb_exec(const struct cage *cage,
			       const struct cage_run *run)
{
	char preload[PATH_MAX], *argv[512] = { "gdb",
					       "-q",
					       "-nx",
					       "-ex",
					       "set startup-with-shell off",
					       "-ex",
					       "set breakpoint pending on",
					       "-ex",
					       preload,
					       "-ex",
					       NULL, /* MISHAP_SHARED */
					       "-ex",
					       "break sweep_fault_here",
					       "-ex",
					       "run",
					       "-ex",
					       "backtrace",
					       "--args",
					       (char *)run->path };
	char shared[PATH_MAX];
	size_t at = 19;

	snprintf(preload, sizeof(preload), "set environment LD_PRELOAD %s",
		 cage->sweep->library);
	snprintf(shared, sizeof(shared), "set environment %s",
		 cage->area->envp_shared);
	argv[10] = shared;
	for (size_t i = 1; run->argv[i] && at < 510; i++)
		argv[at++] = run->argv[i];
	argv[at] = NULL;
	unsetenv("LD_PRELOAD");
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	umask(022);
	if (sandbox_drop(cage->sandbox) == 0 && chdir(cage->sweep->cwd) == 0)
		execvp(argv[0], argv);
	dprintf(2, "mishap: gdb: %s\n", strerror(errno));
	_exit(127);
}

int cage_debug(struct cage *cage, const struct cage_run *run)
{
	int status;
	pid_t pid;

	cage->step = STEP_RUN;
	area_prepare(cage, run, cage->null_fd);
	pid = fork();
	if (pid == 0)
		gdb_exec(cage, run);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return 0;
}
