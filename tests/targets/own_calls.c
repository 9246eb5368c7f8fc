/* own_calls.c - writes to standard output by `syscall`s of its own text.
 * own_calls N: N lines; its status is 1 if a write failed. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((noinline)) static long own_write(int fd, const char *bytes,
						unsigned long n)
{
	long ret;

	__asm__ volatile("movl %1, %%eax\n\tsyscall"
			 : "=&a"(ret)
			 : "i"(SYS_write), "D"((long)fd), "S"(bytes), "d"(n)
			 : "rcx", "r11", "memory");
	return ret;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;

	while (n-- > 0)
		if (own_write(1, "own\n", 4) != 4)
			return 1;
	return 0;
}
