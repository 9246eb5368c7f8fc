/* left_call.c - reads by libc, and by a `syscall` that leaves no room for a
 * jump: its function is too short.  Status 1: libc's read failed. */
#include <unistd.h>

long left_read(long fd, void *bytes, long n);

__asm__(".text\n"
	".globl left_read\n"
	".type left_read, @function\n"
	"left_read:\n"
	"	.cfi_startproc\n"
	"	xor %eax, %eax\n" /* SYS_read */
	"	syscall\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size left_read, .-left_read\n");

int main(void)
{
	char byte;

	if (left_read(0, &byte, 1) < 0)
		return 2;
	return read(0, &byte, 1) < 0;
}
