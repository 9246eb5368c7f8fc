/* unseen_calls.c - makes system calls that no patch plan can know: from code
 * that it writes itself.  unseen_calls N: N times getppid. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static const unsigned char code[] = {
		0xb8, SYS_getppid, 0,	 0, 0, /* mov $SYS_getppid, %eax */
		0x0f, 0x05,	   0xc3,       /* syscall; ret */
	};
	int n = argc > 1 ? atoi(argv[1]) : 1;
	long (*call)(void);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	memcpy(page, code, sizeof(code));
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC))
		return 1;
	memcpy(&call, &page, sizeof(call));
	while (n-- > 0)
		if (call() != (long)getppid())
			return 1;
	return 0;
}
