#include "runner/watched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/call.h"
#include "runner/words.h"

#define SECOND_NS 1000000000ull

const char *const watched_group_names[WATCHED_GROUPS] = {
	[WATCHED_life] = "life",
	[WATCHED_net] = "net",
	[WATCHED_sys] = "sys",
	[WATCHED_durable] = "durable",
};

void watched_clear(struct watched *watched)
{
	for (size_t i = 0; i < WATCHED_GROUPS; i++)
		free(watched->groups[i].why);
	for (size_t i = 0; i < watched->escapes_count; i++)
		free(watched->escapes[i].site);
	free(watched->unobserved);
	free(watched->data);
	free(watched->exits);
	free(watched->net);
	free(watched->calls);
	free(watched->escapes);
	free(watched->errors);
	memset(watched, 0, sizeof(*watched));
}

static void *bytes_copy(const void *from, size_t n, bool *failed)
{
	void *to = from && !*failed ? malloc(n ? n : 1) : NULL;

	*failed |= from && !to;
	return to ? memcpy(to, from, n) : NULL;
}

static char *text_copy(const char *from, bool *failed)
{
	return from ? bytes_copy(from, strlen(from) + 1, failed) : NULL;
}

int watched_copy(const struct watched *from, struct watched *ret_to)
{
	struct watched to = *from;
	bool failed = false;

#define ITEMS(field)                                                           \
	(to.field = bytes_copy(from->field,                                    \
			       from->field##_count * sizeof(*from->field),     \
			       &failed))
	ITEMS(exits);
	ITEMS(net);
	ITEMS(calls);
	ITEMS(errors);
	ITEMS(escapes);
#undef ITEMS
	if (!to.escapes)
		to.escapes_count = 0;
	to.unobserved = text_copy(from->unobserved, &failed);
	to.data = text_copy(from->data, &failed);
	for (size_t i = 0; i < WATCHED_GROUPS; i++)
		to.groups[i].why = text_copy(from->groups[i].why, &failed);
	for (size_t i = 0; i < to.escapes_count; i++)
		to.escapes[i].site = text_copy(from->escapes[i].site, &failed);
	if (failed) {
		watched_clear(&to);
		memset(ret_to, 0, sizeof(*ret_to));
		return -ENOMEM;
	}
	*ret_to = to;
	return 0;
}

char *watched_missing(const struct watched *watched, unsigned groups)
{
	if (!watched->asked)
		return words_say("unobserved: this run was made without "
				 "probes");
	if (watched->unobserved)
		return words_say("unobserved: %s", watched->unobserved);
	for (unsigned i = 0; i < WATCHED_GROUPS; i++) {
		const struct watched_group_seen *group = &watched->groups[i];

		if (!(groups >> i & 1))
			continue;
		if (group->why)
			return words_say("unobserved: probes '%s': %s",
					 watched_group_names[i], group->why);
		if (!group->on)
			return words_say("unobserved: probes '%s' weren't on",
					 watched_group_names[i]);
		if (group->lost)
			return words_say("%llu records of the probes '%s' "
					 "were lost",
					 (unsigned long long)group->lost,
					 watched_group_names[i]);
	}
	return NULL;
}

const struct watched_exit *watched_exit_of(const struct watched *watched,
					   uint32_t pid)
{
	for (size_t i = watched->exits_count; i-- > 0;)
		if (watched->exits[i].pid == pid)
			return &watched->exits[i];
	return NULL;
}

/* sender_words - who sent it, with its comma; "" where nobody knows. */
static char *sender_words(const struct watched_exit *exit)
{
	if (exit->oom)
		return words_say(", by the kernel: out of memory");
	if (!exit->sender_known)
		return strdup("");
	if (exit->sender_is_kernel)
		return words_say(", by the kernel");
	if (exit->sender_is_runner)
		return words_say(", sent by mishap");
	if (exit->sender == exit->pid)
		return words_say(", sent by itself");
	return words_say(", sent by %.16s (pid %u%s)", exit->sender_comm,
			 exit->sender,
			 exit->sender_is_inside ? ", of the target's own" : "");
}

char *watched_sender_words(const struct watched *watched, uint32_t pid,
			   int signal)
{
	const struct watched_exit *exit = watched_exit_of(watched, pid);

	return exit && exit->signal == signal ? sender_words(exit) : strdup("");
}

char *watched_exit_words(const struct watched_exit *exit)
{
	_cleanup_words_ char *sender = sender_words(exit);
	char name[WORDS_SHORT_MAX];

	if (!sender)
		return NULL;
	if (!exit->signal)
		return words_say("exit status %d", exit->status);
	return words_say("killed by %s%s%s", words_signal(exit->signal, name),
			 exit->core ? " (core dumped)" : "", sender);
}

static bool is_within(const struct watched_net *net, uint64_t from_ns,
		      uint64_t to_ns)
{
	return net->at_ns + WATCHED_BUCKET_NS > from_ns && net->at_ns < to_ns;
}

struct watched_net watched_net_sum(const struct watched *watched,
				   uint64_t from_ns, uint64_t to_ns)
{
	struct watched_net sum = { .at_ns = from_ns, .until_ns = to_ns };

	for (size_t i = 0; i < watched->net_count; i++) {
		const struct watched_net *net = &watched->net[i];

		if (!is_within(net, from_ns, to_ns))
			continue;
		sum.connects += net->connects;
		sum.retransmits += net->retransmits;
		sum.resets += net->resets;
	}
	return sum;
}

/* A look that came late covers more than a second: its share of one. */
static uint64_t connects_of_second(const struct watched_net *net)
{
	uint64_t lasted_ns = net->until_ns - net->at_ns;

	return lasted_ns > SECOND_NS ? net->connects * SECOND_NS / lasted_ns
				     : net->connects;
}

uint64_t watched_connects_peak(const struct watched *watched, uint64_t from_ns,
			       uint64_t to_ns, uint64_t *ret_at_ns)
{
	const struct watched_net *net = watched->net;
	uint64_t peak = 0, sum = 0, at_ns = from_ns;
	size_t first = 0;

	for (size_t i = 0; i < watched->net_count; i++) {
		if (!is_within(&net[i], from_ns, to_ns)) {
			first = i + 1;
			sum = 0;
			continue;
		}
		sum += connects_of_second(&net[i]);
		while (first < i &&
		       net[i].until_ns - net[first].at_ns > SECOND_NS)
			sum -= connects_of_second(&net[first++]);
		if (sum > peak) {
			peak = sum;
			at_ns = net[first].at_ns;
		}
	}
	*ret_at_ns = at_ns;
	return peak;
}

static void error_pardon(struct watched *watched, unsigned call, int number)
{
	for (size_t i = 0; i < watched->errors_count; i++) {
		struct watched_error *error = &watched->errors[i];

		if (error->error != number || !error->count ||
		    error->nr >= CALL_NR_MAX ||
		    call_kernel_table[error->nr].id != call)
			continue;
		error->count--;
		return;
	}
}

void watched_pardon(struct watched *watched, const struct event *events,
		    size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (events[i].flags & EVENT_NOTIFY &&
		    !(events[i].flags & EVENT_LAPSED) && events[i].error)
			error_pardon(watched, events[i].call, events[i].error);
	for (size_t i = 0; i < watched->errors_count; i++)
		if (watched->errors[i].count)
			watched->errors[kept++] = watched->errors[i];
	watched->errors_count = kept;
}
