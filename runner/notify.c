#include "runner/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/guardian.h"
#include "runner/launch.h"
#include "runner/words.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

#define QUIET_WITHIN_MS 5000
#define TRY_WITHIN_MS	2000

/* The one message that passes the filter: it stands at the same address in
 * every child of ours, and the filter knows that. */
static struct {
	struct msghdr header;
	struct iovec iov;
	char word;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
} message;

static void message_make(void)
{
	struct cmsghdr *control;

	message.word = GUARDIAN_LISTENER;
	message.iov = (struct iovec){ .iov_base = &message.word, .iov_len = 1 };
	message.header = (struct msghdr){
		.msg_iov = &message.iov,
		.msg_iovlen = 1,
		.msg_control = message.control,
		.msg_controllen = sizeof(message.control),
	};
	control = CMSG_FIRSTHDR(&message.header);
	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	control->cmsg_len = CMSG_LEN(sizeof(int));
}

/* The listener, or -errno. */
static int filter_put_on(const struct notify_filter *filter)
{
	const struct sock_fprog program = {
		.len = (unsigned short)filter->count,
		.filter = (struct sock_filter *)(uintptr_t)filter->insns,
	};
	long fd;

	/* Yama lets nobody but an ancestor read our memory, unless we say
	 * so; EINVAL where there is no Yama. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		     SECCOMP_FILTER_FLAG_NEW_LISTENER |
			     SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
		     &program);
	return fd < 0 ? -errno : (int)fd;
}

int notify_enter(const struct notify *notify)
{
	int listener = filter_put_on(&notify->filter);

	if (listener < 0)
		return listener;
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message.header)), &listener,
	       sizeof(listener));
	/* The listener itself goes with the exec. */
	return sendmsg(notify->channel, &message.header, MSG_NOSIGNAL) < 0
		       ? -errno
		       : 0;
}

/* Whoever waits for all of its children must not wait for this one: it isn't
 * a child of ours. */
static int guardian_start_alone(const struct notify_input *input, int channel)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			guardian_main(input, channel);
		if (pid > 0)
			atomic_store(&input->state->guardian_pid, pid);
		_exit(pid > 0 ? 0 : EAGAIN);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0 ? 0 : -EAGAIN;
}

static int guardian_start(struct tree *tree, const struct notify_input *input,
			  int channel, struct tree_process **ret_guardian)
{
	pid_t pid;

	tree_begin(tree);
	pid = fork();
	if (pid == 0)
		guardian_main(input, channel);
	if (pid < 0) {
		int error = -errno;

		tree_add(tree, 0, TREE_GUARDIAN, ret_guardian);
		return error;
	}
	atomic_store(&input->state->guardian_pid, pid);
	return tree_add(tree, pid, TREE_GUARDIAN, ret_guardian);
}

int notify_open(struct tree *tree, const struct notify_input *input,
		struct notify *ret_notify)
{
	struct notify notify = { .channel = -1 };
	bool wanted[CALL_NR_MAX];
	int ends[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -errno;
	/* Above every fd that is put in a place of its own. */
	notify.channel = fcntl(ends[0], F_DUPFD_CLOEXEC, LAUNCH_LEDGER_FD + 1);
	close(ends[0]);
	message_make();
	notify_wants(input->plan, input->counted, wanted);
	error = notify.channel < 0
			? -errno
			: notify_filter_make(wanted, notify.channel,
					     &message.header, &notify.filter);
	if (error) {
		close(ends[1]);
		return error;
	}
	error = tree ? guardian_start(tree, input, ends[1], &notify.guardian)
		     : guardian_start_alone(input, ends[1]);
	close(ends[1]);
	if (error) {
		close(notify.channel);
		return error;
	}
	*ret_notify = notify;
	return 0;
}

bool notify_close(struct notify *notify)
{
	struct pollfd pollfd = { .fd = notify->channel, .events = POLLIN };
	char word = GUARDIAN_QUIET;
	bool answered;

	if (notify->channel < 0)
		return true;
	answered = send(notify->channel, &word, 1, MSG_NOSIGNAL) == 1 &&
		   poll(&pollfd, 1, QUIET_WITHIN_MS) == 1 &&
		   recv(notify->channel, &word, 1, 0) == 1 &&
		   word == GUARDIAN_QUIET;
	close(notify->channel);
	notify->channel = -1;
	return answered;
}

/* ---- does it work here? -------------------------------------------------- */

#define TRY_ERROR EXDEV /* getppid(2) never says so */

/* Answer what the child asks, once: with an error that nobody else gives. */
static bool answer_once(int listener)
{
	struct seccomp_notif_sizes sizes;
	char ask[256] = { 0 }, tell[256] = { 0 };
	struct seccomp_notif *asked = (void *)ask;
	struct seccomp_notif_resp *told = (void *)tell;
	struct pollfd pollfd = { .fd = listener, .events = POLLIN };

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0 ||
	    sizes.seccomp_notif > sizeof(ask) ||
	    sizes.seccomp_notif_resp > sizeof(tell) ||
	    poll(&pollfd, 1, TRY_WITHIN_MS) != 1 ||
	    ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, asked) != 0)
		return false;
	told->id = asked->id;
	told->error = -TRY_ERROR;
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, told) == 0;
}

/* A thread of the child answers for it: the listener needn't travel. */
static void *try_answer(void *arg)
{
	return answer_once(*(int *)arg) ? arg : NULL;
}

_Noreturn static void try_child(void)
{
	static const struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct notify_filter filter = { .count = sizeof(insns) /
						 sizeof(*insns) };
	pthread_t thread;
	int listener;

	memcpy(filter.insns, insns, sizeof(insns));
	listener = filter_put_on(&filter);
	if (listener < 0)
		_exit(-listener);
	if (pthread_create(&thread, NULL, try_answer, &listener) != 0)
		_exit(EAGAIN);
	alarm(TRY_WITHIN_MS / 1000 + 1);
	_exit(syscall(SYS_getppid) == -1 && errno == TRY_ERROR ? 0 : ENOTSUP);
}

static char *try_words(int status)
{
	if (!WIFEXITED(status))
		return words_say("a try of seccomp user notification died");
	switch (WEXITSTATUS(status)) {
	case EINVAL:
		return words_say("the notify door wants Linux 5.19 or newer");
	case EBUSY:
		return words_say("another supervisor's seccomp filter is on us "
				 "already: there can be only one listener");
	default:
		return words_say("seccomp user notification is refused here: "
				 "%s",
				 strerror(WEXITSTATUS(status)));
	}
}

bool notify_works(char **ret_why)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		try_child();
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && status == 0)
		return true;
	*ret_why = pid < 0 ? words_say("fork: %s", strerror(errno))
			   : try_words(status);
	return false;
}
