/* plugin.c - a library that writes by a `syscall` of its own.  PLUGIN_SAYS
 * makes it another library. */
#include <sys/syscall.h>

long plugin_write(int fd);

long plugin_write(int fd)
{
	static const char says[] = PLUGIN_SAYS "\n";
	long ret;

	__asm__ volatile("movl %1, %%eax\n\tsyscall"
			 : "=&a"(ret)
			 : "i"(SYS_write), "D"((long)fd), "S"(says),
			   "d"(sizeof(says) - 1)
			 : "rcx", "r11", "memory");
	return ret;
}
