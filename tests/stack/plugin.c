/* plugin.c - built twice, with frames of different size: one is mapped where
 * the other was, and a rule remembered for the one is wrong for the other. */
#ifndef FRAME_BYTES
#define FRAME_BYTES 64
#endif

int plugin_call(int (*back)(void *), void *arg);
int plugin_call(int (*back)(void *), void *arg)
{
	volatile char frame[FRAME_BYTES];
	int result;

	frame[0] = 1;
	result = back(arg);
	frame[FRAME_BYTES - 1] = (char)result;
	return result + frame[0] - 1;
}
