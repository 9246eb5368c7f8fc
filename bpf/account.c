#include "bpf/account.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/places.h"
#include "bpf/plans.h"
#include "core/sites.h"

#define SYSCALL_BYTES 2

/* A module that the library announced. */
struct patched {
	__u64 base;
	const struct plan_sites *plan; /* NULL: it can't be read */
};

/* A program's text as it stands from one change to the next. */
struct image {
	char exe[WATCH_NAME_MAX];
	__u32 processes; /* that run it */
	__u32 next;	 /* what it became when the library was ready */
	bool ready, dead;
	__u64 own[2], around[2];
	__u32 announced, received, modules_count;
	__u64 dead_ns; /* since when */
	struct patched *modules;
	struct places places;
};

struct account {
	struct table images;  /* __u32 -> struct image * */
	struct table members; /* tgid -> image's number */
	struct plans *plans;
	size_t dead;
	__u64 now_ns; /* of the last record */
};

/* ---- sums
 * --------------------------------------------------------------------
 */

void sums_init(struct sums *sums)
{
	*sums = (struct sums){
		.tallies = { .key_bytes = sizeof(struct tally_key),
			     .value_bytes = sizeof(struct tally) },
		.rows = { .key_bytes = sizeof(struct row_key),
			  .value_bytes = sizeof(struct row) },
		.faults = { .key_bytes = sizeof(struct fault_key),
			    .value_bytes = sizeof(__u64) },
		.programs = { .key_bytes = sizeof(struct program_key),
			      .value_bytes = sizeof(struct program) },
		.uring = { .key_bytes = sizeof(__u32),
			   .value_bytes = sizeof(__u64) },
	};
}

void sums_clear(struct sums *sums)
{
	table_clear(&sums->tallies);
	table_clear(&sums->rows);
	table_clear(&sums->faults);
	table_clear(&sums->programs);
	table_clear(&sums->uring);
}

int sums_copy(const struct sums *sums, struct sums *ret)
{
	sums_init(ret);
	if (table_copy(&sums->tallies, &ret->tallies) < 0 ||
	    table_copy(&sums->rows, &ret->rows) < 0 ||
	    table_copy(&sums->faults, &ret->faults) < 0 ||
	    table_copy(&sums->programs, &ret->programs) < 0 ||
	    table_copy(&sums->uring, &ret->uring) < 0) {
		sums_clear(ret);
		return -ENOMEM;
	}
	return 0;
}

/* ---- images
 * ------------------------------------------------------------------
 */

static struct image *image_find(const struct account *account, __u32 number)
{
	struct image **at = table_find(&account->images, &number);

	return at ? *at : NULL;
}

static struct image *image_take(struct account *account, __u32 number)
{
	struct image **at = table_take(&account->images, &number);

	if (at && !*at)
		*at = calloc(1, sizeof(**at));
	return at ? *at : NULL;
}

static void image_free(struct image *image)
{
	places_clear(&image->places);
	free(image->modules);
	free(image);
}

static void image_leave(struct account *account, __u32 number)
{
	struct image *image = image_find(account, number);

	if (image && image->processes && --image->processes == 0) {
		image->dead = true;
		image->dead_ns = account->now_ns;
		account->dead++;
	}
}

static int member_set(struct account *account, __u32 tgid, __u32 number)
{
	__u32 *at = table_take(&account->members, &tgid);
	struct image *image = image_take(account, number);

	if (!at || !image)
		return -ENOMEM;
	if (*at == number)
		return 0;
	if (image->dead) {
		image->dead = false;
		account->dead--;
	}
	image->processes++;
	if (*at)
		image_leave(account, *at);
	*at = number;
	return 0;
}

int account_member(struct account *account, __u32 tgid, __u32 number,
		   const char *exe)
{
	struct image *image = image_take(account, number);

	if (!image)
		return -ENOMEM;
	strncpy(image->exe, exe, sizeof(image->exe) - 1);
	return member_set(account, tgid, number);
}

static int take_fork(struct account *account, const struct watch_record *record,
		     const struct watch_fork_body *body)
{
	__u32 *of = table_find(&account->members, &record->tgid);

	return of ? member_set(account, body->child, *of) : 0;
}

static int take_exit(struct account *account, const struct watch_record *record)
{
	__u32 *of = table_find(&account->members, &record->tgid);

	if (of)
		image_leave(account, *of);
	table_drop(&account->members, &record->tgid);
	return 0;
}

/* image_becomes - what is known of one holds for the next. */
static struct image *image_becomes(struct account *account, __u32 tgid,
				   __u32 number, __u32 next)
{
	struct image *from = image_take(account, number);
	struct image *to = image_take(account, next);

	if (!from || !to || member_set(account, tgid, next) < 0)
		return NULL;
	if (from == to)
		return to;
	from->next = next;
	memcpy(to->exe, from->exe, sizeof(to->exe));
	to->ready = from->ready;
	memcpy(to->own, from->own, sizeof(to->own));
	memcpy(to->around, from->around, sizeof(to->around));
	to->announced = from->announced;
	to->received = from->received;
	to->modules = calloc(from->modules_count + 1, sizeof(*to->modules));
	if (!to->modules)
		return NULL;
	memcpy(to->modules, from->modules,
	       from->modules_count * sizeof(*to->modules));
	to->modules_count = from->modules_count;
	return to;
}

static bool covers(const struct patched *m, __u64 address)
{
	return m->plan && address >= m->base + m->plan->text_start &&
	       address < m->base + m->plan->text_end;
}

static int take_module(struct account *account,
		       const struct watch_record *record,
		       const struct inner_module_body *body)
{
	struct image *image =
		image_becomes(account, record->tgid, body->image, body->next);
	struct patched *grown, new = { .base = body->base };
	__u32 kept = 0;

	if (!image)
		return -ENOMEM;
	new.plan = plans_find(account->plans, body->module.build_id,
			      body->module.build_id_bytes);
	grown = realloc(image->modules,
			(image->modules_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	image->modules = grown;
	/* Whatever stood in its place is gone. */
	for (__u32 i = 0; i < image->modules_count; i++)
		if (!new.plan ||
		    !covers(&grown[i], new.base + new.plan->text_start))
			grown[kept++] = grown[i];
	grown[kept++] = new;
	image->modules_count = kept;
	image->announced++;
	image->received++;
	return 0;
}

static int take_range(struct account *account,
		      const struct watch_record *record,
		      const struct inner_range_body *body)
{
	bool is_own = record->type == INNER_READY;
	struct image *image =
		image_becomes(account, record->tgid, body->image, body->next);

	if (!image)
		return -ENOMEM;
	(is_own ? image->own : image->around)[0] = body->start;
	(is_own ? image->own : image->around)[1] = body->end;
	if (is_own) {
		image->ready = true;
		image->announced = body->modules;
	}
	return 0;
}

static int take_site(struct account *account, const struct watch_record *record,
		     const struct inner_site_body *body)
{
	struct image *image = image_take(account, body->key.image);

	return image ? places_add(&image->places, record->tgid,
				  body->key.ip - SYSCALL_BYTES, &body->place)
		     : -ENOMEM;
}

int account_event(struct account *account, const struct watch_record *record)
{
	const void *body = record + 1;

	account->now_ns = record->time_ns;
	switch (record->type) {
	case WATCH_FORK:
		return take_fork(account, record, body);
	case WATCH_EXEC: {
		const struct watch_exec_body *exec = body;

		return account_member(account, record->tgid, exec->image,
				      exec->name);
	}
	case WATCH_EXIT:
		return take_exit(account, record);
	case INNER_MODULE:
		return take_module(account, record, body);
	case INNER_AROUND:
	case INNER_READY:
		return take_range(account, record, body);
	case INNER_SITE:
		return take_site(account, record, body);
	}
	return 0;
}

bool account_is_dead(struct account *account, __u32 number, __u64 before_ns)
{
	struct image *image = image_find(account, number);

	return image && image->dead && image->dead_ns < before_ns;
}

size_t account_dead(const struct account *account)
{
	return account->dead;
}

void account_forget(struct account *account, __u64 before_ns)
{
	struct table_entry *e = table_next(&account->images, NULL), *next;

	for (; e; e = next) {
		struct image *image =
			*(struct image **)table_value(&account->images, e);
		__u32 number = *(__u32 *)table_key(&account->images, e);

		next = table_next(&account->images, e);
		if (!image->dead || image->dead_ns >= before_ns)
			continue;
		image_free(image);
		table_drop(&account->images, &number);
		account->dead--;
	}
}

/* ---- classes
 * -----------------------------------------------------------------
 */

/* What was lost can't be told from what escaped. */
static enum watch_class class_outside(const struct image *image)
{
	if (image->announced != image->received)
		return WATCH_UNKNOWN;
	if (!image->announced)
		return WATCH_SYMBOLS;
	for (__u32 i = 0; i < image->modules_count; i++)
		if (!image->modules[i].plan)
			return WATCH_UNKNOWN;
	return WATCH_ESCAPED;
}

/* An exec by our own text is the target's: see preload/exec.c. */
static bool is_exec(const struct site_key *key)
{
	return key->abi == ABI_64 &&
	       (key->nr == SYS_execve || key->nr == SYS_execveat);
}

static enum watch_class class_of(const struct image *image,
				 const struct site_key *key)
{
	enum watch_class marked = key->vfork ? WATCH_VFORK : WATCH_MARKED;
	__u64 at = key->ip - SYSCALL_BYTES;

	if (key->abi == ABI_64 && site_is_skipped(key->nr))
		return WATCH_SKIPPED;
	if (!image)
		return WATCH_UNKNOWN;
	if (!image->ready)
		return WATCH_BEFORE;
	if (key->abi != ABI_64)
		return WATCH_ESCAPED;
	if (at >= image->around[0] && at < image->around[1])
		return marked;
	if (at >= image->own[0] && at < image->own[1])
		return is_exec(key) ? marked : WATCH_OWN;
	for (__u32 i = 0; i < image->modules_count; i++) {
		const struct patched *m = &image->modules[i];

		if (covers(m, at))
			return plan_has(m->plan, at - m->base) ? marked
							       : WATCH_ESCAPED;
	}
	return class_outside(image);
}

static bool is_told(const struct image *image, enum watch_class class)
{
	return class == WATCH_ESCAPED || class == WATCH_UNKNOWN ||
	       (class == WATCH_BEFORE && !(image && image->next));
}

static int row_add(const struct image *image, const struct site_key *key,
		   enum watch_class class, const struct site_count *count,
		   struct sums *sums)
{
	__u64 address = key->ip - SYSCALL_BYTES;
	struct row_key at = { .nr = key->nr,
			      .abi = key->abi == ABI_32 ? 32 : 64,
			      .class = class };
	struct row *row;

	if (image) {
		memcpy(at.exe, image->exe, sizeof(at.exe));
		places_name(&image->places, address, at.path, &at.offset);
	}
	if (!*at.path)
		at.address = address;
	row = table_take(&sums->rows, &at);
	if (!row)
		return -ENOMEM;
	row->calls += count->calls;
	row->failed += count->failed;
	row->address = address;
	return 0;
}

static int program_add(const struct image *image, __u64 calls,
		       struct sums *sums)
{
	struct program_key at = { .ready = image->ready || image->next };
	struct program *program;
	__u32 missing = 0;

	memcpy(at.exe, image->exe, sizeof(at.exe));
	program = table_take(&sums->programs, &at);
	if (!program)
		return -ENOMEM;
	for (__u32 i = 0; i < image->modules_count; i++)
		missing += !image->modules[i].plan;
	program->calls += calls;
	if (image->modules_count > program->modules)
		program->modules = image->modules_count;
	if (missing > program->plans_missing)
		program->plans_missing = missing;
	return 0;
}

int account_add(struct account *account, const struct site_key *key,
		const struct site_count *count, struct sums *sums)
{
	struct image *image = image_find(account, key->image);
	enum watch_class class = class_of(image, key);
	struct tally_key at = { .nr = key->nr,
				.abi = key->abi == ABI_32 ? 32 : 64 };
	struct tally *tally = table_take(&sums->tallies, &at);

	if (!tally)
		return -ENOMEM;
	tally->calls[class] += count->calls;
	tally->failed[class] += count->failed;
	if (is_told(image, class) &&
	    row_add(image, key, class, count, sums) < 0)
		return -ENOMEM;
	return image ? program_add(image, count->calls, sums) : 0;
}

int account_add_error(struct account *account, const struct error_key *key,
		      __u64 calls, struct sums *sums)
{
	struct image *image = image_find(account, key->site.image);
	struct fault_key at = { .nr = key->site.nr,
				.abi = key->site.abi == ABI_32 ? 32 : 64,
				.error = (__u32)key->error,
				.class = class_of(image, &key->site) };
	__u64 *sum;

	if (at.class == WATCH_OWN)
		return 0;
	sum = table_take(&sums->faults, &at);
	if (!sum)
		return -ENOMEM;
	*sum += calls;
	return 0;
}

int account_add_uring(struct sums *sums, __u32 opcode, __u64 submitted)
{
	__u64 *sum = table_take(&sums->uring, &opcode);

	if (!sum)
		return -ENOMEM;
	*sum += submitted;
	return 0;
}

/* ---- life
 * --------------------------------------------------------------------
 */

int account_open(const char *sites_dir, struct account **ret)
{
	struct account *account = calloc(1, sizeof(*account));
	int error;

	if (!account)
		return -ENOMEM;
	account->images = (struct table){ .key_bytes = sizeof(__u32),
					  .value_bytes = sizeof(void *) };
	account->members = (struct table){ .key_bytes = sizeof(__u32),
					   .value_bytes = sizeof(__u32) };
	error = plans_open(sites_dir, &account->plans);
	if (error) {
		free(account);
		return error;
	}
	*ret = account;
	return 0;
}

void account_close(struct account *account)
{
	struct table_entry *e = NULL;

	while ((e = table_next(&account->images, e)))
		image_free(*(struct image **)table_value(&account->images, e));
	table_clear(&account->images);
	table_clear(&account->members);
	plans_close(account->plans);
	free(account);
}
