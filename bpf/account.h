/* account.h - the books of calls: counts by image and address become counts by
 * call and class, see enum watch_class.
 *
 * Pure but for reading plans and /proc/PID/maps; no BPF.  Not thread-safe.
 */
#ifndef MISHAP_BPF_ACCOUNT_H
#define MISHAP_BPF_ACCOUNT_H

#include "bpf/table.h"
#include "bpf/watch.h"

struct tally_key {
	__u32 nr, abi; /* 32, 64 */
};

struct tally {
	__u64 calls[WATCH_CLASSES], failed[WATCH_CLASSES];
};

struct row_key { /* of a site that is told, wherever it was mapped */
	__u32 nr, abi, class, pad;
	__u64 offset, address; /* address only where no file is known */
	char exe[WATCH_NAME_MAX];
	char path[WATCH_PATH_MAX];
};

struct row {
	__u64 calls, failed, address;
};

struct fault_key { /* real errors */
	__u32 nr, abi, error, class;
};

struct program_key {
	char exe[WATCH_NAME_MAX];
	__u32 ready, pad;
};

struct program {
	__u64 calls;
	__u32 modules, plans_missing;
};

/* What has been counted; figures only ever go up. */
struct sums {
	struct table tallies;  /* struct tally_key -> struct tally */
	struct table rows;     /* struct row_key -> struct row */
	struct table faults;   /* struct fault_key -> __u64 */
	struct table programs; /* struct program_key -> struct program */
	struct table uring;    /* __u32 opcode -> __u64 */
};

void sums_clear(struct sums *sums);
/* sums_copy - 0; -ENOMEM.  ret is fresh. */
int sums_copy(const struct sums *sums, struct sums *ret);
void sums_init(struct sums *sums);

struct account;

/* account_open - sites_dir: of plans, NULL: there are none; kept. */
int account_open(const char *sites_dir, struct account **ret);
void account_close(struct account *account);

/* account_event - follow what happens to images: FORK, EXEC, EXIT and the
 * INNER_* records, in the order of the ring.  0; -ENOMEM. */
int account_event(struct account *account, const struct watch_record *record);
/* account_member - a process is followed from now on. */
int account_member(struct account *account, __u32 tgid, __u32 image,
		   const char *exe);

/* account_is_dead - has the image had no process since before then? */
bool account_is_dead(struct account *account, __u32 image, __u64 before_ns);
/* account_forget - such images, when their counts have all been added. */
void account_forget(struct account *account, __u64 before_ns);
size_t account_dead(const struct account *account);

/* account_add - counts of one site; of one errno; of one opcode. */
int account_add(struct account *account, const struct site_key *key,
		const struct site_count *count, struct sums *sums);
int account_add_error(struct account *account, const struct error_key *key,
		      __u64 calls, struct sums *sums);
int account_add_uring(struct sums *sums, __u32 opcode, __u64 submitted);

#endif
