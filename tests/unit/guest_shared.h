/* guest_shared.h - a shared file with a hand-made plan, for tests of the guest
 * that need neither the language nor the engine.
 *
 * A rule is "CALLS [WORD=VALUE]…" with the words of the language, but only
 * numbers without units (bytes, ns, ppm) for values, and no checks: a test
 * says what it means.
 */
#ifndef MISHAP_TESTS_GUEST_SHARED_H
#define MISHAP_TESTS_GUEST_SHARED_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/arm.h"
#include "core/shared.h"

#define GUEST_PLAN_BYTES (64 << 10)

struct guest_plan_maker {
	char *bytes;
	size_t used;
	struct plan_rule rules[PLAN_RULES_MAX];
	bool names[PLAN_RULES_MAX][CALL_COUNT];
	unsigned count;
};

struct guest_file {
	int fd;
	char path[512];
	void *plan;
	struct state *state;
	struct plan opened;
};

static inline uint64_t guest_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint32_t guest_string(struct guest_plan_maker *maker,
				    const char *text)
{
	uint32_t at = (uint32_t)maker->used;

	memcpy(maker->bytes + at, text, strlen(text) + 1);
	maker->used += strlen(text) + 1;
	return at;
}

static inline void guest_calls(struct guest_plan_maker *maker, char *list)
{
	for (char *save, *name = strtok_r(list, ",", &save); name;
	     name = strtok_r(NULL, ",", &save)) {
		unsigned id = call_find(name, strlen(name));

		if (id == CALL_NONE) {
			fprintf(stderr, "no call is named %s\n", name);
			exit(2);
		}
		maker->names[maker->count][id] = true;
	}
}

static inline unsigned guest_fault(const char *word)
{
	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		if (strcmp(fault_table[i]->name, word) == 0)
			return i;
	}
	return FAULT_COUNT;
}

static inline void guest_peer(struct guest_plan_maker *maker,
			      struct plan_rule *rule, char *value)
{
	char *port = strrchr(value, ':');

	rule->selectors |= SELECT_PEER;
	if (value[0] == '/' || value[0] == '@') {
		rule->peer.family = AF_UNIX;
		rule->peer.path_off = guest_string(maker, value);
		return;
	}
	if (port) {
		rule->peer.port = (uint16_t)atoi(port + 1);
		*port = '\0';
	}
	if (inet_pton(AF_INET, value, rule->peer.addr) == 1) {
		rule->peer.family = AF_INET;
		rule->peer.prefix_bits = 32;
	}
}

static inline void guest_selector(struct guest_plan_maker *maker,
				  struct plan_rule *rule, const char *word,
				  char *value)
{
	if (strcmp(word, "path") == 0) {
		rule->selectors |= SELECT_PATH;
		rule->path_off = guest_string(maker, value);
	} else if (strcmp(word, "host") == 0) {
		rule->selectors |= SELECT_HOST;
		rule->host_off = guest_string(maker, value);
	} else if (strcmp(word, "thread") == 0) {
		rule->selectors |= SELECT_THREAD;
		rule->thread_off = guest_string(maker, value);
	} else if (strcmp(word, "exe") == 0) {
		rule->selectors |= SELECT_EXE;
		rule->exe_off = guest_string(maker, value);
	} else if (strcmp(word, "frame") == 0) {
		rule->selectors |= SELECT_FRAME;
		rule->frame_off = guest_string(maker, value);
	} else if (strcmp(word, "peer") == 0) {
		guest_peer(maker, rule, value);
	} else if (strcmp(word, "fd") == 0) {
		rule->selectors |= SELECT_FD;
		rule->fd_first = rule->fd_last = atoi(value);
	} else if (strcmp(word, "size") == 0) {
		rule->selectors |= SELECT_SIZE;
		rule->size_first = rule->size_last = strtoull(value, NULL, 0);
	} else if (strcmp(word, "side") == 0) {
		rule->selectors |= SELECT_SIDE;
		rule->side = *value == 'c' ? SIDE_CLIENT : SIDE_SERVER;
	} else {
		fprintf(stderr, "no selector is named %s\n", word);
		exit(2);
	}
}

static inline bool guest_trigger(struct plan_rule *rule, const char *word,
				 const char *value)
{
	uint64_t n = value ? strtoull(value, NULL, 0) : 0;

	if (strcmp(word, "nth") == 0) {
		rule->triggers |= TRIGGER_NTH;
		rule->nth_first = n;
		rule->nth_last = strchr(value, '+') ? NTH_FOREVER : n;
	} else if (strcmp(word, "times") == 0) {
		rule->triggers |= TRIGGER_TIMES;
		rule->times = n;
	} else if (strcmp(word, "p") == 0) {
		rule->triggers |= TRIGGER_P;
		rule->p_ppm = (uint32_t)n;
	} else if (strcmp(word, "after_bytes") == 0) {
		rule->triggers |= TRIGGER_AFTER_BYTES;
		rule->after_bytes = n;
	} else if (strcmp(word, "after_ns") == 0) {
		rule->triggers |= TRIGGER_AFTER_NS;
		rule->after_ns = n;
	} else if (strcmp(word, "per") == 0) {
		rule->per = *value == 't'   ? PER_THREAD
			    : *value == 'f' ? PER_FD
					    : PER_PROCESS;
	} else if (strcmp(word, "at") == 0) {
		rule->at = AT_AFTER;
	} else if (strcmp(word, "phase") == 0) {
		rule->phases = 1u << n;
	} else if (strcmp(word, "also") == 0) {
		rule->also = 1;
	} else if (strcmp(word, "adversarial") == 0) {
		rule->adversarial = 1;
	} else {
		return false;
	}
	return true;
}

static inline void guest_arg(struct plan_rule *rule, const char *value)
{
	switch (fault_table[rule->fault]->arg) {
	case ARG_NONE:
		break;
	case ARG_ERROR:
		rule->arg.v[0] =
			(uint64_t)(int64_t)error_find(value, strlen(value));
		break;
	case ARG_DELAY:
		rule->arg.v[0] = DELAY_FIXED;
		rule->arg.v[1] = strtoull(value, NULL, 0);
		break;
	case ARG_SIGNAL:
	case ARG_BYTES:
	case ARG_STATUS:
	case ARG_BITS:
	case ARG_LIMIT:
	case ARG_COUNT:
	case ARG_SHARE:
	case ARG_SHIFT:
	case ARG_DRIFT:
		rule->arg.v[0] = strtoull(value, NULL, 0);
		break;
	}
}

static inline void guest_rule(struct guest_plan_maker *maker, const char *text)
{
	struct plan_rule *rule = &maker->rules[maker->count];
	char copy[PLAN_STRING_MAX], *save;
	char *word;

	*rule = (struct plan_rule){ .phases = 1, .nth_step = 1 };
	rule->text_off = guest_string(maker, text);
	snprintf(copy, sizeof(copy), "%s", text);
	word = strtok_r(copy, " ", &save);
	guest_calls(maker, word);
	while ((word = strtok_r(NULL, " ", &save)) != NULL) {
		char *value = strchr(word, '=');
		unsigned fault;

		if (value)
			*value++ = '\0';
		fault = guest_fault(word);
		if (fault < FAULT_COUNT) {
			rule->fault = (uint16_t)fault;
			guest_arg(rule, value);
		} else if (!guest_trigger(rule, word, value)) {
			guest_selector(maker, rule, word, value);
		}
	}
	maker->count++;
}

/* The whole plan, sealed, at most GUEST_PLAN_BYTES. */
static inline void guest_plan_write(void *to, size_t to_bytes, uint64_t seed,
				    unsigned phases, const char *const *rules,
				    unsigned count)
{
	static struct guest_plan_maker maker;
	struct plan_header *header = to;
	uint16_t(*chain)[2], *index;
	size_t at;

	memset(&maker, 0, sizeof(maker));
	memset(to, 0, to_bytes);
	maker.bytes = to;
	maker.used = sizeof(*header) + 1;
	for (unsigned i = 0; i < count; i++)
		guest_rule(&maker, rules[i]);
	*header = (struct plan_header){ .seed = seed,
					.phases_count = phases,
					.rules_count = maker.count };
	header->strings_off = sizeof(*header);
	header->strings_bytes = (uint32_t)(maker.used - sizeof(*header));
	at = (maker.used + 63) & ~63ul;
	header->rules_off = (uint32_t)at;
	memcpy((char *)to + at, maker.rules,
	       maker.count * sizeof(struct plan_rule));
	at += maker.count * sizeof(struct plan_rule);
	header->chain_off = (uint32_t)at;
	chain = (void *)((char *)to + at);
	at += CALL_COUNT * sizeof(*chain);
	header->index_off = (uint32_t)at;
	index = (void *)((char *)to + at);
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		chain[id][0] = (uint16_t)header->index_count;
		for (unsigned r = 0; r < maker.count; r++) {
			if (maker.names[r][id])
				index[header->index_count++] = (uint16_t)r;
		}
		chain[id][1] = (uint16_t)(header->index_count - chain[id][0]);
	}
	at += header->index_count * sizeof(*index);
	at = (at + 7) & ~7ul;
	header->decisions_off = (uint32_t)at;
	header->bytes = (uint32_t)at;
	plan_seal(to, at);
}

static inline void guest_lease_take(struct state *state)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&state->lease, &attr);
	pthread_mutex_lock(&state->lease);
	atomic_store(&state->heartbeat_ns, guest_now_ns());
	state->runner_pid = getpid();
}

static inline void guest_arm(struct guest_file *file, unsigned phase)
{
	atomic_store(&file->state->phase, phase);
	atomic_store(&file->state->phase_ns, guest_now_ns());
	plan_arm(&file->opened, phase, file->state->armed_nr,
		 file->state->armed_call);
	atomic_store(&file->state->armed, 1);
}

/* A new file in dir, mapped here as the runner has it, lease taken, phase 0
 * armed.  Exits with a message when it can't. */
static inline void guest_file_make(struct guest_file *file, const char *dir,
				   const char *library, const char *sites_dir,
				   unsigned phases, const char *const *rules,
				   unsigned count)
{
	struct shared_header header = {
		.magic = SHARED_MAGIC,
		.abi = shared_abi(),
		.plan_off = SHARED_PAGE,
		.plan_bytes = GUEST_PLAN_BYTES,
		.state_off = SHARED_PAGE + GUEST_PLAN_BYTES,
		.state_bytes = sizeof(struct state),
	};
	size_t bytes = header.state_off + header.state_bytes;
	char *map;

	bytes = (bytes + SHARED_PAGE - 1) & ~(size_t)(SHARED_PAGE - 1);
	if (getenv("MISHAP_DOORS"))
		header.doors = DOORS_SYMBOLS;
	snprintf(header.sites_dir, sizeof(header.sites_dir), "%s", sites_dir);
	snprintf(header.library, sizeof(header.library), "%s", library);
	snprintf(file->path, sizeof(file->path), "%s/shared", dir);
	file->fd =
		open(file->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (file->fd < 0 || fchmod(file->fd, 0666) ||
	    posix_fallocate(file->fd, 0, (off_t)bytes)) {
		perror(file->path);
		exit(2);
	}
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd,
		   0);
	if (map == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	memcpy(map, &header, sizeof(header));
	file->plan = map + header.plan_off;
	file->state = (void *)(map + header.state_off);
	guest_plan_write(file->plan, GUEST_PLAN_BYTES, 42, phases, rules,
			 count);
	if (plan_open(file->plan, GUEST_PLAN_BYTES, &file->opened)) {
		fprintf(stderr, "the plan isn't well-formed\n");
		exit(2);
	}
	guest_lease_take(file->state);
	guest_arm(file, 0);
}

#endif
