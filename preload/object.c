/* object.c - what fds are about, looked up once and remembered.
 *
 * For each fd below GUEST_FDS_MAX one bit per rule says whether all of the
 * rule's object selectors (path, peer, host, side) match.  An entry holds for
 * the phase in which it was made and until the number is closed, replaced or
 * connected anew.  Doubt is counted and matches nothing.
 */
#include <fcntl.h>
#include <sys/un.h>

#include "core/look.h"
#include "preload/guest.h"

struct known guest_fds[GUEST_FDS_MAX];

/* Counts forks above us.  A child's copies of memory and of open files may be
 * of two moments, between which another thread made an fd mean something
 * else: it starts with nothing remembered. */
static uint32_t epoch = 1;
_Atomic uint32_t object_salt;

/* site_amd64.S reckons it as well. */
static uint32_t phase_stamp(void)
{
	uint64_t began_ns = PEEK(guest_state->phase_ns);

	return ((uint32_t)began_ns ^ PEEK(guest_state->phase) << 24 ^
		PEEK(object_salt)) |
	       1;
}

/* An fd's path is what its file is called now. */
void object_renames(void)
{
	RAISE(object_salt, 0x85ebca6bu);
}

void object_forget_all(void)
{
	epoch++;
	RAISE(object_salt, 0x9e3779b9u);
}

static bool starts_with(const char *text, const char *start)
{
	while (*start) {
		if (*text++ != *start++)
			return false;
	}
	return true;
}

static uint64_t rules_of(const struct look *look)
{
	uint64_t hosts = 0;

	if (look->has_peer)
		hosts = host_rules((const void *)&look->peer, look->peer_bytes);
	return look_rules(&guest_plan, look, hosts);
}

/* Who called whom: a socket that we saw connecting is a client's; else a
 * listener, or what one has accepted, is a server's. */
bool object_is_client(int fd)
{
	if (fd >= 0 && fd < GUEST_FDS_MAX &&
	    PEEK(guest_fds[fd].client_in) == epoch)
		return true;
	return !side_is_server(fd);
}

static void look_at_socket(int fd, struct look *look)
{
	unsigned bytes = sizeof(look->peer);

	look->is_socket = true;
	look->has_peer =
		sys3(SYS_getpeername, fd, (long)&look->peer, (long)&bytes) == 0;
	look->peer_bytes = bytes;
	look->is_client = object_is_client(fd);
}

static bool is_open(int fd)
{
	return sys3(SYS_fcntl, fd, F_GETFD, 0) >= 0;
}

/* The path behind an open fd, in the small buffer or in a claimed one. */
static char *path_look(int fd, char small[PATH_SHORT_BYTES])
{
	long n = path_of_fd(fd, small, PATH_SHORT_BYTES);
	char *buf;

	if (n >= 0)
		return small;
	if (n != -ENAMETOOLONG || !(buf = scratch_claim()))
		return NULL;
	if (path_of_fd(fd, buf, GUEST_PATH_MAX) >= 0)
		return buf;
	scratch_release(buf);
	return NULL;
}

/* Returns whether the answer may be remembered. */
static bool look_up(int fd, uint64_t *ret_rules)
{
	struct look look = { .path = NULL };
	char small[PATH_SHORT_BYTES], *buf = path_look(fd, small);
	bool may_keep = true;

	*ret_rules = 0;
	if (!buf) {
		if (is_open(fd))
			BUMP(guest_state->unresolved);
		return false;
	}
	if (buf[0] == '/')
		look.path = buf;
	if (starts_with(buf, "socket:")) {
		look_at_socket(fd, &look);
		may_keep = look.has_peer;
	}
	*ret_rules = rules_of(&look);
	if (buf != small)
		scratch_release(buf);
	return may_keep;
}

uint64_t object_rules(int fd, bool will_close)
{
	uint32_t stamp = phase_stamp();
	struct known *known;
	uint64_t rules, key;

	if (fd < 0)
		return 0;
	if (fd >= GUEST_FDS_MAX) {
		look_up(fd, &rules);
		return rules;
	}
	known = &guest_fds[fd];
	key = atomic_load_explicit(&known->key, memory_order_acquire);
	if (LIKELY((uint32_t)key == stamp))
		return PEEK(known->rules);
	if (!look_up(fd, &rules) || will_close || !process_is_ours())
		return rules;
	/* Whoever looks while the two are stored sees another key. */
	if (atomic_compare_exchange_strong(&known->key, &key,
					   (key >> 32) << 32)) {
		atomic_store(&known->rules, rules);
		key = (key >> 32) << 32;
		atomic_compare_exchange_strong(&known->key, &key, key | stamp);
	}
	return rules;
}

uint64_t object_rules_addr(const struct sockaddr *addr, unsigned addrlen,
			   bool is_client)
{
	struct look look = {
		.is_socket = true,
		.has_peer = true,
		.is_client = is_client,
		.peer_bytes = addrlen,
	};

	memcpy(&look.peer, addr, addrlen);
	return rules_of(&look);
}

void object_forget(int fd)
{
	struct known *known;
	uint64_t key;

	if (fd < 0 || fd >= GUEST_FDS_MAX)
		return;
	known = &guest_fds[fd];
	key = PEEK(known->key);
	while (!atomic_compare_exchange_weak(&known->key, &key,
					     ((key >> 32) + 1) << 32))
		;
	atomic_store_explicit(&known->client_in, 0, memory_order_relaxed);
}

void object_forget_range(unsigned first, unsigned last)
{
	for (unsigned fd = first; fd <= last && fd < GUEST_FDS_MAX; fd++) {
		object_forget((int)fd);
		fdcount_forget((int)fd);
	}
}

void object_connects(int fd)
{
	object_forget(fd);
	if (fd >= 0 && fd < GUEST_FDS_MAX)
		atomic_store_explicit(&guest_fds[fd].client_in, epoch,
				      memory_order_relaxed);
}
