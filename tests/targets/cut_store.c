/* cut_store - three small stores, each careful or careless about fsync, and
 * their reader; for `mishap powercut`.
 *
 *   cut_store append|replace|wal careful|careless DIR COUNT
 *   cut_store read DIR       what is there, once
 *   cut_store serve          the same for each line `check DIR`
 *   cut_store mapped careful|careless DIR COUNT   through a mapping
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD 100
#define CELLS  2

static bool careful;

static void need(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static void barrier(int fd)
{
	if (careful)
		need(fsync(fd) == 0, "fsync");
}

static uint32_t sum_of(const void *bytes, size_t n)
{
	const uint8_t *at = bytes;
	uint32_t sum = 2166136261u;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ at[i]) * 16777619u;
	return sum;
}

struct record {
	uint32_t sum; /* of what follows */
	uint32_t id;
	char text[RECORD - 8];
};

static void record_fill(struct record *record, unsigned id)
{
	memset(record, 'a' + id % 26, sizeof(*record));
	record->id = id;
	record->sum = sum_of(&record->id, sizeof(*record) - 4);
}

static bool record_is_whole(const struct record *record)
{
	return record->sum == sum_of(&record->id, sizeof(*record) - 4);
}

static void ack(const char *format, unsigned id)
{
	char line[64];
	int n = snprintf(line, sizeof(line), format, id);

	need(write(1, line, (size_t)n) == n, "ack");
}

/* ---- a log that grows -----------------------------------------------------
 */
static void append_run(int dir, unsigned count)
{
	int fd = openat(dir, "log", O_WRONLY | O_CREAT | O_APPEND, 0644);
	struct record record;

	need(fd >= 0, "log");
	barrier(fd);
	barrier(dir);
	for (unsigned i = 1; i <= count; i++) {
		record_fill(&record, i);
		need(write(fd, &record, RECORD) == RECORD, "log");
		barrier(fd);
		ack("ack log %u\n", i);
	}
	close(fd);
}

static void append_read(int dir)
{
	int fd = openat(dir, "log", O_RDONLY);
	struct record record;

	while (fd >= 0 && read(fd, &record, RECORD) == RECORD &&
	       record_is_whole(&record))
		printf("present log %u\n", record.id);
	if (fd >= 0)
		close(fd);
}

/* ---- a file that is replaced ----------------------------------------------
 */
static void replace_run(int dir, unsigned count)
{
	char text[32];

	for (unsigned i = 1; i <= count; i++) {
		int fd = openat(dir, "value.tmp", O_WRONLY | O_CREAT | O_TRUNC,
				0644);
		int n = snprintf(text, sizeof(text), "value %u.\n", i);

		need(fd >= 0 && write(fd, text, (size_t)n) == n, "value.tmp");
		barrier(fd);
		close(fd);
		need(renameat(dir, "value.tmp", dir, "value") == 0, "rename");
		barrier(dir);
		snprintf(text, sizeof(text), "ack value x %u\n", i);
		need(write(1, text, strlen(text)) == (ssize_t)strlen(text),
		     "ack");
	}
}

static void replace_read(int dir)
{
	int fd = openat(dir, "value", O_RDONLY);
	char text[64] = "";
	unsigned value;
	char dot = 0;

	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) <= 0 ||
	    sscanf(text, "value %u%c", &value, &dot) != 2 || dot != '.')
		printf("violation corrupt value holds '%s'\n", text);
	else
		printf("present value x %u\n", value);
	close(fd);
}

/* ---- two cells that change together, by a write-ahead log -----------------
 */
struct intent {
	uint32_t sum;
	uint32_t id;
	uint32_t cells[CELLS];
};

static void cells_write(int data, const struct intent *intent)
{
	for (int i = 0; i < CELLS; i++) /* on pages of their own */
		need(pwrite(data, &intent->cells[i], 4, i * 8192) == 4, "data");
}

static void wal_run(int dir, unsigned count)
{
	int wal = openat(dir, "wal", O_RDWR | O_CREAT, 0644);
	int data = openat(dir, "data", O_RDWR | O_CREAT, 0644);
	struct intent intent = { 0 };

	need(wal >= 0 && data >= 0, "wal");
	cells_write(data, &intent);
	need(fsync(data) == 0 && fsync(wal) == 0 && fsync(dir) == 0, "fsync");
	for (unsigned i = 1; i <= count; i++) {
		intent.id = intent.cells[0] = intent.cells[1] = i;
		intent.sum = sum_of(&intent.id, sizeof(intent) - 4);
		need(pwrite(wal, &intent, sizeof(intent), 0) == sizeof(intent),
		     "wal");
		barrier(wal);
		ack("ack cells %u\n", i);
		cells_write(data, &intent);
		need(fsync(data) == 0 && ftruncate(wal, 0) == 0, "data");
	}
	close(wal);
	close(data);
}

static void wal_read(int dir)
{
	int wal = openat(dir, "wal", O_RDONLY);
	int data = openat(dir, "data", O_RDONLY);
	uint32_t cells[CELLS] = { 0 };
	struct intent intent;

	for (int i = 0; data >= 0 && i < CELLS; i++)
		if (pread(data, &cells[i], 4, i * 8192) != 4)
			cells[i] = 0;
	if (wal >= 0 &&
	    pread(wal, &intent, sizeof(intent), 0) == sizeof(intent) &&
	    intent.sum == sum_of(&intent.id, sizeof(intent) - 4))
		memcpy(cells, intent.cells, sizeof(cells));
	if (data >= 0)
		printf("invariant cells-agree %s\n",
		       cells[0] == cells[1] ? "ok" : "bad");
	for (uint32_t i = 1; i <= cells[0]; i++)
		printf("present cells %u\n", i);
	if (wal >= 0)
		close(wal);
	if (data >= 0)
		close(data);
}

/* ---- records in a mapping -------------------------------------------------
 */
static void mapped_run(int dir, unsigned count)
{
	int fd = openat(dir, "log", O_RDWR | O_CREAT, 0644);
	struct record *map;

	need(fd >= 0 && ftruncate(fd, (off_t)count * RECORD) == 0, "log");
	need(fsync(fd) == 0 && fsync(dir) == 0, "fsync");
	map = mmap(NULL, count * RECORD, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   0);
	need(map != MAP_FAILED, "mmap");
	for (unsigned i = 0; i < count; i++) {
		record_fill(&map[i], i + 1);
		if (careful)
			need(msync(map, count * RECORD, MS_SYNC) == 0, "msync");
		ack("ack log %u\n", i + 1);
	}
	munmap(map, count * RECORD);
	close(fd);
}

static int read_all(const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY);

	if (dir < 0) {
		printf("violation no-start %s: %s\n", path, strerror(errno));
		return 1;
	}
	append_read(dir);
	replace_read(dir);
	wal_read(dir);
	close(dir);
	puts("done");
	fflush(stdout);
	return 0;
}

static int serve(void)
{
	char line[4200];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "check ", 6))
			read_all(line + 6);
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned count = argc > 4 ? (unsigned)atoi(argv[4]) : 4;
	int dir;

	if (argc == 3 && !strcmp(argv[1], "read"))
		return read_all(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "serve"))
		return serve();
	need(argc > 3, "usage");
	careful = !strcmp(argv[2], "careful");
	dir = open(argv[3], O_RDONLY | O_DIRECTORY);
	need(dir >= 0, argv[3]);
	if (!strcmp(argv[1], "append"))
		append_run(dir, count);
	else if (!strcmp(argv[1], "replace"))
		replace_run(dir, count);
	else if (!strcmp(argv[1], "wal"))
		wal_run(dir, count);
	else
		mapped_run(dir, count);
	return 0;
}
