/* conform - are the models true?  Random programs on a real ext4, xfs or btrfs,
 * power cut by a copy of the disk while it is mounted, and the question whether
 * what the kernel has left is a state that the model allows.
 *
 *   conform DIR FS COUNT SEED      FS: ext4, xfs, btrfs; DIR: for images
 *
 * Needs root, loop devices, mkfs.FS.  The copy holds every block that had been
 * written by then and no other: as after a power cut of a drive without a
 * cache.  Exit status 1: a model forbids what was seen (btrfs: more than 0.5
 * %), 77: it can't be done here. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/powercut/enumerate.h"

#define OPS_MAX	   9
#define IDEALS_MAX 400000
#define CANT	   77

static char dir[200], fs[16];
static uint64_t chance;

static uint64_t draw(void) /* splitmix64 */
{
	uint64_t z = chance += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static int sh(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int sh(const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	return system(line);
}

/* ---- the log of what was done ---------------------------------------------
 */
static struct {
	char *bytes;
	size_t count, room;
	uint64_t order;
} oplog;

static void put(const void *from, size_t n)
{
	if (oplog.count + n > oplog.room) {
		oplog.room = 2 * (oplog.count + n) + 65536;
		oplog.bytes = realloc(oplog.bytes, oplog.room);
	}
	memcpy(oplog.bytes + oplog.count, from, n);
	oplog.count += n;
}

static void record(struct oplog_record what, const char *name,
		   const char *name2, const void *data, size_t bytes)
{
	static const char zeroes[8];
	size_t all;

	what.issued = ++oplog.order;
	what.returned = ++oplog.order;
	what.name_bytes = name ? (uint32_t)strlen(name) : 0;
	what.name2_bytes = name2 ? (uint32_t)strlen(name2) : 0;
	what.data_bytes = bytes;
	all = sizeof(what) + what.name_bytes + what.name2_bytes + bytes;
	put(&what, sizeof(what));
	if (name)
		put(name, what.name_bytes);
	if (name2)
		put(name2, what.name2_bytes);
	if (bytes)
		put(data, bytes);
	put(zeroes, oplog_bytes(&what) - all);
}

#define R(...) ((struct oplog_record){ __VA_ARGS__ })

static void log_begin(void)
{
	struct oplog_header header = { .magic = OPLOG_MAGIC,
				       .version = OPLOG_VERSION,
				       .root_bytes = 1,
				       .root = "r" };

	oplog.count = 0;
	put(&header, sizeof(header));
	record(R(.kind = OPLOG_BASE_DIR, .ino = 1), NULL, NULL, NULL, 0);
}

/* ---- random programs ------------------------------------------------------
 */
static const char *const names[] = { "a", "b", "c", "d/x", "d/y" };
static char said[4096]; /* the program, for who has to look into it */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
	size_t n = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + n, sizeof(said) - n, format, args);
	va_end(args);
}

/* A file system gives numbers of removed files again: ours are given once. */
static struct {
	ino_t theirs;
	uint64_t ours;
} inos[64];
static unsigned inos_count;

static uint64_t ino_at(int root, const char *path)
{
	struct stat st;

	if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	for (unsigned i = inos_count; i-- > 0;)
		if (inos[i].theirs == st.st_ino)
			return inos[i].ours;
	return 0;
}

static uint64_t ino_new(int root, const char *path)
{
	struct stat st;

	fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW);
	inos[inos_count].theirs = st.st_ino;
	inos[inos_count].ours = 100 + inos_count;
	return inos[inos_count++].ours;
}

static uint64_t dir_of(const char *path, uint64_t d)
{
	return path[1] == '/' ? d : 1;
}

static const char *base_of(const char *path)
{
	return path[1] == '/' ? path + 2 : path;
}

static void write_at(int fd, uint64_t ino, uint64_t offset, size_t bytes,
		     char letter)
{
	char data[16384];

	memset(data, letter, bytes);
	if (pwrite(fd, data, bytes, (off_t)offset) == (ssize_t)bytes)
		record(R(.kind = OPLOG_WRITE, .ino = ino, .offset = offset),
		       NULL, NULL, data, bytes);
}

static void do_create(int root, const char *path, uint64_t d, char letter)
{
	static const size_t sizes[] = { 10, 3000, 5000, 9000 };
	size_t bytes = sizes[draw() % 4];
	uint64_t before = ino_at(root, path), ino;
	struct stat st;
	int fd;

	if (before)
		fstatat(root, path, &st, 0);
	fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return;
	ino = before ? before : ino_new(root, path);
	say("create %s %zu; ", path, bytes);
	if (!before)
		record(R(.kind = OPLOG_CREATE, .ino = ino,
			 .dir = dir_of(path, d), .size = 0644),
		       base_of(path), NULL, NULL, 0);
	else if (st.st_size)
		record(R(.kind = OPLOG_TRUNCATE, .ino = ino), NULL, NULL, NULL,
		       0);
	write_at(fd, ino, 0, bytes, letter);
	close(fd);
	record(R(.kind = OPLOG_CLOSE, .ino = ino), NULL, NULL, NULL, 0);
}

static void do_write(int root, const char *path, bool append, char letter)
{
	static const size_t sizes[] = { 99, 4096, 5000, 50 };
	size_t bytes = sizes[draw() % 4];
	int fd = openat(root, path, O_WRONLY);
	uint64_t ino = ino_at(root, path), offset;
	struct stat st;

	if (fd < 0)
		return;
	fstat(fd, &st);
	offset = append ? (uint64_t)st.st_size : draw() % 3 * 2048;
	say("write %s %zu at %llu; ", path, bytes, (unsigned long long)offset);
	write_at(fd, ino, offset, bytes, letter);
	close(fd);
	record(R(.kind = OPLOG_CLOSE, .ino = ino), NULL, NULL, NULL, 0);
}

static void do_truncate(int root, const char *path)
{
	static const uint64_t sizes[] = { 0, 5, 4096 };
	uint64_t size = sizes[draw() % 3];
	int fd = openat(root, path, O_WRONLY);
	uint64_t ino = ino_at(root, path);
	struct stat st;

	if (fd < 0)
		return;
	fstat(fd, &st);
	if ((uint64_t)st.st_size != size && ftruncate(fd, (off_t)size) == 0) {
		say("truncate %s %llu; ", path, (unsigned long long)size);
		record(R(.kind = OPLOG_TRUNCATE, .ino = ino, .size = size),
		       NULL, NULL, NULL, 0);
	}
	close(fd);
	record(R(.kind = OPLOG_CLOSE, .ino = ino), NULL, NULL, NULL, 0);
}

static void do_rename(int root, const char *from, const char *to, uint64_t d)
{
	uint64_t a = ino_at(root, from), b = ino_at(root, to);

	if (a == b || renameat(root, from, root, to) != 0)
		return;
	say("rename %s %s; ", from, to);
	record(R(.kind = OPLOG_RENAME, .dir = dir_of(from, d),
		 .dir2 = dir_of(to, d)),
	       base_of(from), base_of(to), NULL, 0);
}

static void do_link(int root, const char *from, const char *to, uint64_t d)
{
	uint64_t ino = ino_at(root, from);

	if (linkat(root, from, root, to, 0) != 0)
		return;
	say("link %s %s; ", from, to);
	record(R(.kind = OPLOG_LINK, .ino = ino, .dir = dir_of(to, d)),
	       base_of(to), NULL, NULL, 0);
}

static void do_unlink(int root, const char *path, uint64_t d)
{
	if (unlinkat(root, path, 0) != 0)
		return;
	say("unlink %s; ", path);
	record(R(.kind = OPLOG_UNLINK, .dir = dir_of(path, d)), base_of(path),
	       NULL, NULL, 0);
}

static void do_sync(int root, const char *path, bool data, bool of_dir,
		    uint64_t d)
{
	int fd = of_dir ? openat(root, path[1] == '/' ? "d" : ".", O_RDONLY)
			: openat(root, path, O_WRONLY);
	uint64_t ino = of_dir ? dir_of(path, d) : ino_at(root, path);

	if (fd < 0)
		return;
	if ((data ? fdatasync(fd) : fsync(fd)) == 0) {
		say("%s %s%s; ", data ? "fdatasync" : "fsync",
		    of_dir ? "dir of " : "", path);
		record(R(.kind = data ? OPLOG_FDATASYNC : OPLOG_FSYNC,
			 .ino = ino),
		       NULL, NULL, NULL, 0);
	}
	close(fd);
	if (!of_dir)
		record(R(.kind = OPLOG_CLOSE, .ino = ino), NULL, NULL, NULL, 0);
}

static void one_op(int root, uint64_t d, char letter)
{
	const char *f = names[draw() % 5], *g = names[draw() % 5];

	switch (draw() % 15) {
	case 0:
	case 1:
		do_create(root, f, d, letter);
		return;
	case 2:
	case 3:
		do_write(root, f, true, letter);
		return;
	case 4:
		do_write(root, f, false, letter);
		return;
	case 5:
		do_truncate(root, f);
		return;
	case 6:
	case 7:
		do_rename(root, f, g, d);
		return;
	case 8:
		do_unlink(root, f, d);
		return;
	case 9:
		do_link(root, f, g, d);
		return;
	case 10:
	case 11:
		do_sync(root, f, false, false, d);
		return;
	case 12:
		do_sync(root, f, true, false, d);
		return;
	default:
		do_sync(root, f, false, true, d);
	}
}

static void program_run(const char *mount_point)
{
	int root = open(mount_point, O_RDONLY | O_DIRECTORY);
	unsigned count = 4 + (unsigned)(draw() % (OPS_MAX - 3));
	uint64_t d;

	*said = '\0';
	inos_count = 0;
	log_begin();
	mkdirat(root, "d", 0755);
	d = ino_new(root, "d");
	record(R(.kind = OPLOG_MKDIR, .ino = d, .dir = 1, .size = 0755), "d",
	       NULL, NULL, 0);
	for (unsigned i = 0; i < count; i++)
		one_op(root, d, (char)('A' + i));
	record(R(.kind = OPLOG_END), NULL, NULL, NULL, 0);
	close(root);
}

/* ---- what was left --------------------------------------------------------
 */
static void walk(int fd, uint64_t path, struct oplog_hash *hash, int depth)
{
	DIR *stream = fdopendir(dup(fd));
	struct dirent *entry;

	rewinddir(stream);
	while ((entry = readdir(stream)) && depth < 8) {
		const char *name = entry->d_name;
		struct oplog_hash part = SHAPE_DIR;
		uint64_t at =
			shape_path(path, oplog_hash(name, strlen(name)).a);
		enum node_kind kind = NODE_DIR;
		struct stat st;
		int sub;

		if (!strcmp(name, ".") || !strcmp(name, "..") ||
		    !strcmp(name, "lost+found"))
			continue;
		fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW);
		sub = openat(fd, name, O_RDONLY);
		if (S_ISDIR(st.st_mode)) {
			walk(sub, at, hash, depth + 1);
		} else {
			char *bytes = malloc((size_t)st.st_size + 1);
			ssize_t n = read(sub, bytes, (size_t)st.st_size);

			part = oplog_hash(bytes, n > 0 ? (size_t)n : 0);
			kind = NODE_FILE;
			free(bytes);
		}
		close(sub);
		shape_add(hash, at, part, kind);
	}
	closedir(stream);
}

/* ---- is it allowed? --------------------------------------------------------
 */
enum answer { ALLOWED, FORBIDDEN, UNDECIDED };

struct ideals {
	uint64_t *sets;
	size_t count, room;
	uint64_t *seen;
	size_t seen_room;
	uint32_t words;
};

static bool ideal_add(struct ideals *ideals, const uint64_t *set)
{
	uint64_t key = oplog_hash(set, ideals->words * sizeof(*set)).a | 1;
	size_t at = key & (ideals->seen_room - 1);

	for (; ideals->seen[at]; at = (at + 1) & (ideals->seen_room - 1))
		if (ideals->seen[at] == key)
			return true;
	if (ideals->count == IDEALS_MAX)
		return false;
	ideals->seen[at] = key;
	memcpy(ideals->sets + ideals->count++ * ideals->words, set,
	       ideals->words * sizeof(*set));
	return true;
}

static bool may_join(const struct dag *dag, const uint64_t *set, uint32_t id)
{
	for (uint32_t e = dag->needs_at[id]; e < dag->needs_at[id + 1]; e++)
		if (!set_has(set, dag->needs[e]))
			return false;
	return true;
}

/* Every closed set between what is durable and all, one by one. */
static enum answer search(const struct dag *dag, struct shape *shape,
			  struct oplog_hash left)
{
	struct ideals ideals = { .words = dag->words, .seen_room = 1 << 21 };
	size_t bytes = (dag->words + 1) * sizeof(uint64_t);
	uint64_t *full = malloc(bytes), *set = malloc(bytes);
	enum answer answer = FORBIDDEN;

	ideals.sets = malloc((size_t)IDEALS_MAX * dag->words * 8 + 8);
	ideals.seen = calloc(ideals.seen_room, sizeof(uint64_t));
	cut_sets(dag, dag->ops_count - 1, full, set);
	ideal_add(&ideals, set);
	for (size_t i = 0; i < ideals.count && answer == FORBIDDEN; i++) {
		struct oplog_hash hash =
			shape_hash(shape, ideals.sets + i * dag->words);

		if (hash.a == left.a && hash.b == left.b)
			answer = ALLOWED;
		for (uint32_t id = 0; id < dag->count && answer == FORBIDDEN;
		     id++) {
			memcpy(set, ideals.sets + i * dag->words,
			       dag->words * sizeof(*set));
			if (!set_has(full, id) || set_has(set, id) ||
			    !may_join(dag, set, id))
				continue;
			set_add(set, id);
			if (!ideal_add(&ideals, set))
				answer = UNDECIDED;
		}
	}
	free(ideals.sets);
	free(ideals.seen);
	free(full);
	free(set);
	return answer;
}

static enum answer ask(const struct history *history, enum model_id model,
		       struct oplog_hash left)
{
	enum answer answer = UNDECIDED;
	struct shape shape;
	struct dag dag;

	if (dag_make(history, history->ops, history->ops_count,
		     &model_table[model], &dag) < 0)
		return UNDECIDED;
	if (shape_make(&dag, &shape) == 0) {
		answer = search(&dag, &shape, left);
		shape_clear(&shape);
	}
	dag_clear(&dag);
	return answer;
}

/* ---- the machine -----------------------------------------------------------
 */
static bool master_make(void)
{
	const char *size = !strcmp(fs, "xfs") ? "320M" : "128M";

	if (sh("truncate -s %s %s/master.img", size, dir))
		return false;
	if (!strcmp(fs, "ext4"))
		return !sh("mkfs.ext4 -q -F -m0 -E lazy_itable_init=0,"
			   "lazy_journal_init=0 %s/master.img >/dev/null 2>&1",
			   dir);
	if (!strcmp(fs, "xfs"))
		return !sh("mkfs.xfs -q -f %s/master.img >/dev/null 2>&1", dir);
	return !sh("mkfs.btrfs -q -f -M %s/master.img >/dev/null 2>&1", dir);
}

static bool mount_image(const char *image, const char *at)
{
	return !sh("mount -o loop%s %s/%s %s/%s 2>/dev/null",
		   !strcmp(fs, "xfs") ? ",nouuid" : "", dir, image, dir, at);
}

/* Runs one program, cuts the power, looks.  false: it couldn't be done. */
static bool program_cut(struct oplog_hash *ret_left)
{
	char path[300];
	bool done;
	int fd;

	if (sh("cp --sparse=always %s/master.img %s/a.img", dir, dir) ||
	    !mount_image("a.img", "a"))
		return false;
	sh("sync -f %s/a", dir);
	snprintf(path, sizeof(path), "%s/a", dir);
	program_run(path);
	done = !sh("cp --sparse=always %s/a.img %s/b.img", dir, dir);
	sh("umount %s/a", dir);
	if (!done || !mount_image("b.img", "b"))
		return false;
	snprintf(path, sizeof(path), "%s/b", dir);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	*ret_left = SHAPE_NOTHING;
	walk(fd, 1, ret_left, 0);
	close(fd);
	sh("umount %s/b; rm -f %s/a.img %s/b.img", dir, dir, dir);
	return true;
}

static int models_of(enum model_id models[2])
{
	if (!strcmp(fs, "ext4")) {
		models[0] = MODEL_EXT4_WORST;
		models[1] = MODEL_EXT4_ORDERED;
		return 2;
	}
	models[0] = !strcmp(fs, "xfs") ? MODEL_XFS : MODEL_BTRFS;
	return 1;
}

int main(int argc, char **argv)
{
	unsigned counts[2][3] = { 0 }, count, allowed;
	enum model_id models[2];
	int n;

	if (argc != 5)
		return 2;
	snprintf(dir, sizeof(dir), "%s", argv[1]);
	snprintf(fs, sizeof(fs), "%s", argv[2]);
	count = (unsigned)atoi(argv[3]);
	n = models_of(models);
	sh("mkdir -p %s/a %s/b", dir, dir);
	if (!master_make())
		return CANT;
	for (unsigned i = 0; i < count; i++) {
		struct history history;
		struct oplog_hash left;

		chance = strtoull(argv[4], NULL, 10) * 1000003 + i;
		if (!program_cut(&left))
			return i ? 2 : CANT;
		if (history_read(oplog.bytes, oplog.count, &history) < 0) {
			printf("# program %u: the log is wrong: %s\n", i, said);
			return 2;
		}
		for (int m = 0; m < n; m++) {
			enum answer answer = ask(&history, models[m], left);

			counts[m][answer]++;
			if (answer == FORBIDDEN)
				printf("# %s forbids what program %u left: "
				       "%s\n",
				       model_table[models[m]].name, i, said);
		}
		fflush(stdout);
		history_clear(&history);
	}
	for (int m = 0; m < n; m++)
		printf("%-13s %u programs, %u states allowed, %u forbidden, %u "
		       "undecided\n",
		       model_table[models[m]].name, count, counts[m][ALLOWED],
		       counts[m][FORBIDDEN], counts[m][UNDECIDED]);
	allowed = models[0] == MODEL_BTRFS ? count / 200 : 0;
	return counts[0][FORBIDDEN] > allowed;
}
