/* stack_handler.c FILE - a handler writes to FILE while main reads. */
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static int out;

static NOINLINE void handler_writes(int sig)
{
	(void)sig;
	if (write(out, "tick\n", 5) < 0)
		out = -1;
	__asm__ volatile("" : : : "memory");
}

static NOINLINE int waits(int fd)
{
	char bytes[16];
	int got = (int)read(fd, bytes, sizeof bytes);

	__asm__ volatile("" : : : "memory");
	return got;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = handler_writes,
				    .sa_flags = SA_RESTART };
	struct itimerval once = { .it_value.tv_usec = 50000 };
	int zero = open("/dev/zero", O_RDONLY), got;

	if (argc != 2)
		return 2;
	out = open(argv[1], O_CREAT | O_WRONLY, 0644);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &once, NULL);
	got = waits(zero);
	__asm__ volatile("" : : : "memory");
	return got == 16 && out >= 0 ? 0 : 1;
}
