/* jit_writes FILE N M - N writes of a byte by libc, M from code that is made at
 * run time, which no patch plan can know. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static const unsigned char code[] = {
		0xb8, 1, 0, 0, 0, /* mov $SYS_write, %eax */
		0x0f, 0x05, 0xc3, /* syscall; ret */
	};
	long (*jit_write)(int fd, const void *bytes, size_t n);
	int n = argc > 2 ? atoi(argv[2]) : 1, m = argc > 3 ? atoi(argv[3]) : 1;
	int fd = open(argc > 1 ? argv[1] : "/dev/null",
		      O_WRONLY | O_CREAT | O_TRUNC, 0644);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0 || page == MAP_FAILED)
		return 2;
	memcpy(page, code, sizeof(code));
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC))
		return 2;
	memcpy(&jit_write, &page, sizeof(jit_write));
	while (n-- > 0)
		if (write(fd, "a", 1) != 1)
			return 1;
	while (m-- > 0)
		if (jit_write(fd, "b", 1) != 1)
			return 1;
	return close(fd) != 0;
}
