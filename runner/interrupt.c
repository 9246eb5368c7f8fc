#include "runner/interrupt.h"

#include <signal.h>
#include <string.h>

#include "runner/shared_file.h"

static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
#define NUMBERS_COUNT (sizeof(numbers) / sizeof(*numbers))

static struct sigaction before[NUMBERS_COUNT];
static atomic_int first;
static atomic_bool hurry;
static _Atomic(struct state *) watched;
static bool is_open;

static void interrupted(int number)
{
	struct state *state = atomic_load(&watched);
	int none = 0;

	if (state)
		shared_state_disarm(state);
	if (!atomic_compare_exchange_strong(&first, &none, number))
		atomic_store(&hurry, true);
}

void interrupt_open(void)
{
	struct sigaction action = { .sa_handler = interrupted };

	if (is_open)
		return;
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < NUMBERS_COUNT; i++) {
		sigaction(numbers[i], NULL, &before[i]);
		if (before[i].sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
	is_open = true;
}

void interrupt_watch(struct state *state)
{
	atomic_store(&watched, state);
}

void interrupt_close(void)
{
	atomic_store(&watched, NULL);
	if (!is_open)
		return;
	for (size_t i = 0; i < NUMBERS_COUNT; i++)
		sigaction(numbers[i], &before[i], NULL);
	is_open = false;
}

int interrupt_signal(void)
{
	return atomic_load(&first);
}

bool interrupt_hurry(void)
{
	return atomic_load(&hurry);
}
