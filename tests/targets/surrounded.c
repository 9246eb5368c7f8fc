/* surrounded - writes "abc" to ./out once, in a corner that a hook may not
 * like.  Exit 0; 7: the write failed; 8: the corner can't be had. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PR_SET_MDWE_ 65 /* linux/prctl.h, since 6.3 */

static int fd;

static int put(void)
{
	return write(fd, "abc", 3) == 3 ? 0 : 7;
}

static void *put_in_thread(void *arg)
{
	*(int *)arg = put();
	return NULL;
}

static int put_on_small_stack(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int got = 8;

	pthread_attr_init(&attr);
	if (pthread_attr_setstacksize(&attr, 16384) != 0 ||
	    pthread_create(&thread, &attr, put_in_thread, &got) != 0)
		return 8;
	pthread_join(thread, NULL);
	return got;
}

/* Nothing but write and exit. */
static int put_under_filter(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 5, filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return 8;
	syscall(SYS_exit_group, put());
	return 8;
}

int main(int argc, char **argv)
{
	const char *corner = argc > 1 ? argv[1] : "";
	const struct rlimit small = { 300ul << 20, 300ul << 20 };

	fd = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return 8;
	if (!strcmp(corner, "stack"))
		return put_on_small_stack();
	if (!strcmp(corner, "filter"))
		return put_under_filter();
	if (!strcmp(corner, "mdwe") && prctl(PR_SET_MDWE_, 1, 0, 0, 0) != 0)
		return 8;
	if (!strcmp(corner, "as") && setrlimit(RLIMIT_AS, &small) != 0)
		return 8;
	return put();
}
