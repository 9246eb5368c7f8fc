/* lay.c - directories, files and links of a state, made for real. */
#include "runner/powercut/lay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 128

struct spot { /* where we are */
	int root_fd, dir_fd;
	char path[4096]; /* of dir_fd below the root, "" or with a / behind */
	int depth;
};

int lay_make(struct shape *shape, struct lay *ret_lay)
{
	const struct history *history = shape->dag->history;
	struct lay lay = { .shape = shape };
	uint32_t n = history->nodes_count;

	lay.many = calloc(n + 1, 1);
	lay.linked = calloc(n + 1, sizeof(*lay.linked));
	if (!lay.many || !lay.linked) {
		lay_clear(&lay);
		return -ENOMEM;
	}
	for (uint32_t s = 0; s < history->slots_count; s++)
		if (history->slots[s].first != NONE &&
		    lay.many[history->slots[s].first] < 2)
			lay.many[history->slots[s].first]++;
	for (uint32_t i = 0; i < shape->dag->names.count; i++) {
		const struct micro *micro =
			&shape->dag->micros[shape->dag->names.at[i]];

		for (int c = 0; c < micro->changes; c++)
			if (micro->child[c] != NONE &&
			    lay.many[micro->child[c]] < 2)
				lay.many[micro->child[c]]++;
	}
	*ret_lay = lay;
	return 0;
}

void lay_clear(struct lay *lay)
{
	for (uint32_t i = 0;
	     lay->linked && i < lay->shape->dag->history->nodes_count; i++)
		free(lay->linked[i]);
	free(lay->linked);
	free(lay->many);
	lay->linked = NULL;
	lay->many = NULL;
}

static int write_whole(int fd, const uint8_t *bytes, uint64_t count)
{
	while (count) {
		ssize_t n = write(fd, bytes, count);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			bytes += n;
			count -= (uint64_t)n;
		}
	}
	return 0;
}

static int write_tampered(const struct lay *lay, int fd, uint32_t node,
			  const uint8_t *bytes, uint64_t count)
{
	if (lay->tamper == TAMPER_NOT || !lay->shape->dag->of_node[node].count)
		return write_whole(fd, bytes, count);
	if (lay->tamper == TAMPER_NUL && ftruncate(fd, (off_t)count) != 0)
		return -errno;
	return 0;
}

static int lay_file(struct lay *lay, const struct spot *spot, uint32_t node,
		    const char *name)
{
	const struct node *what = &lay->shape->dag->history->nodes[node];
	const uint8_t *bytes;
	uint64_t count;
	int fd, error;

	if (lay->linked[node])
		return linkat(spot->root_fd, lay->linked[node], spot->dir_fd,
			      name, 0) != 0
			       ? -errno
			       : 0;
	fd = openat(spot->dir_fd, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		    what->mode | 0200);
	if (fd < 0)
		return -errno;
	count = shape_content(lay->shape, lay->set, node, &bytes);
	error = write_tampered(lay, fd, node, bytes, count);
	if (!error && (what->mode | 0200) != what->mode)
		error = fchmod(fd, what->mode) != 0 ? -errno : 0;
	close(fd);
	if (!error && lay->many[node] > 1 &&
	    asprintf(&lay->linked[node], "%s%s", spot->path, name) < 0) {
		lay->linked[node] = NULL;
		error = -ENOMEM;
	}
	return error;
}

static int lay_dir(struct lay *lay, const struct spot *spot, uint32_t dir);

/* spot_enter - the directory `name` of spot. */
static int spot_enter(const struct spot *spot, const char *name,
		      struct spot *ret_spot)
{
	if (spot->depth == DEPTH_MAX)
		return -ELOOP;
	ret_spot->root_fd = spot->root_fd;
	ret_spot->depth = spot->depth + 1;
	if (snprintf(ret_spot->path, sizeof(ret_spot->path), "%s%s/",
		     spot->path, name) >= (int)sizeof(ret_spot->path))
		return -ENAMETOOLONG;
	ret_spot->dir_fd =
		openat(spot->dir_fd, name,
		       O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return ret_spot->dir_fd < 0 ? -errno : 0;
}

static int lay_subdir(struct lay *lay, const struct spot *spot, uint32_t node,
		      const char *name)
{
	uint32_t mode = lay->shape->dag->history->nodes[node].mode;
	struct spot inside;
	int error;

	if (mkdirat(spot->dir_fd, name, 0700) != 0)
		return -errno;
	error = spot_enter(spot, name, &inside);
	if (error)
		return error;
	error = lay_dir(lay, &inside, node);
	if (!error && mode != 0700)
		error = fchmod(inside.dir_fd, mode) != 0 ? -errno : 0;
	close(inside.dir_fd);
	return error;
}

static int lay_node(struct lay *lay, const struct spot *spot, uint32_t slot)
{
	const struct history *history = lay->shape->dag->history;
	const struct slot *at = &history->slots[slot];
	uint32_t node = lay->shape->child[slot];
	char name[256], target[4096];
	const struct node *what = &history->nodes[node];

	if (at->name_bytes >= sizeof(name) ||
	    what->target_bytes >= sizeof(target))
		return -ENAMETOOLONG;
	memcpy(name, at->name, at->name_bytes);
	name[at->name_bytes] = '\0';
	switch (what->kind) {
	case NODE_FILE:
		return lay_file(lay, spot, node, name);
	case NODE_DIR:
		return lay_subdir(lay, spot, node, name);
	case NODE_SYMLINK:
		break;
	}
	memcpy(target, what->target, what->target_bytes);
	target[what->target_bytes] = '\0';
	return symlinkat(target, spot->dir_fd, name) != 0 ? -errno : 0;
}

static int lay_dir(struct lay *lay, const struct spot *spot, uint32_t dir)
{
	const struct node *node = &lay->shape->dag->history->nodes[dir];
	int error = 0;

	for (uint32_t i = 0; i < node->slots_count && !error; i++)
		if (lay->shape->child[node->slots[i]] != NONE)
			error = lay_node(lay, spot, node->slots[i]);
	return error;
}

static void links_forget(struct lay *lay)
{
	for (uint32_t i = 0; i < lay->shape->dag->history->nodes_count; i++) {
		free(lay->linked[i]);
		lay->linked[i] = NULL;
	}
}

int lay_all(struct lay *lay, const uint64_t *set, int root_fd)
{
	struct spot spot = { .root_fd = root_fd, .dir_fd = root_fd };

	lay->set = set;
	shape_take(lay->shape, set);
	links_forget(lay);
	return lay->tamper == TAMPER_GONE ? 0 : lay_dir(lay, &spot, 0);
}

int lay_base(struct lay *lay, int root_fd)
{
	uint64_t *nothing =
		calloc((size_t)lay->shape->dag->words + 1, sizeof(*nothing));
	enum tamper tamper = lay->tamper;
	int error;

	if (!nothing)
		return -ENOMEM;
	lay->tamper = TAMPER_NOT;
	error = lay_all(lay, nothing, root_fd);
	lay->tamper = tamper;
	free(nothing);
	return error;
}

static int remove_name(int dir_fd, const char *name)
{
	int fd, error;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(dir_fd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && !fchmodat(dir_fd, name, 0700, 0))
		fd = openat(dir_fd, name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	error = lay_wipe(fd);
	close(fd);
	if (!error && unlinkat(dir_fd, name, AT_REMOVEDIR) != 0)
		error = -errno;
	return error;
}

int lay_wipe(int dir_fd)
{
	DIR *stream = fdopendir(dup(dir_fd));
	struct dirent *entry;
	bool closed = true; /* to others: chmod once, when it is needed */
	int error = 0;

	if (!stream)
		return -errno;
	rewinddir(stream);
	while (!error && (entry = readdir(stream))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		error = remove_name(dir_fd, entry->d_name);
		if (error == -EACCES && closed && !fchmod(dir_fd, 0700)) {
			closed = false;
			error = remove_name(dir_fd, entry->d_name);
		}
	}
	closedir(stream);
	return error;
}

static int change_slot(struct lay *lay, const struct spot *spot, uint32_t slot);

static int change_dir(struct lay *lay, const struct spot *spot, uint32_t dir)
{
	const struct ids *slots = &lay->shape->watched[dir];
	int error = 0;

	for (uint32_t i = 0; i < slots->count && !error; i++)
		error = change_slot(lay, spot, slots->at[i]);
	return error;
}

/* Has anything of the node's content reached the disk? */
static bool is_changed(const struct lay *lay, uint32_t node)
{
	const struct ids *own = &lay->shape->dag->of_node[node];

	for (uint32_t i = 0; i < own->count; i++)
		if (set_has(lay->set, own->at[i]))
			return true;
	return lay->tamper != TAMPER_NOT && own->count;
}

static int change_slot(struct lay *lay, const struct spot *spot, uint32_t slot)
{
	const struct history *history = lay->shape->dag->history;
	const struct slot *at = &history->slots[slot];
	uint32_t before = at->first, now = lay->shape->child[slot];
	struct spot inside;
	char name[256];
	int error = 0;

	if (at->name_bytes >= sizeof(name))
		return -ENAMETOOLONG;
	memcpy(name, at->name, at->name_bytes);
	name[at->name_bytes] = '\0';
	if (before == now && now != NONE &&
	    history->nodes[now].kind == NODE_DIR) {
		error = spot_enter(spot, name, &inside);
		if (!error) {
			error = change_dir(lay, &inside, now);
			close(inside.dir_fd);
		}
		return error;
	}
	if (before == now && (now == NONE || !is_changed(lay, now)))
		return 0;
	if (before != NONE)
		error = remove_name(spot->dir_fd, name);
	if (!error && now != NONE)
		error = lay_node(lay, spot, slot);
	return error;
}

int lay_changes(struct lay *lay, const uint64_t *set, int root_fd)
{
	struct spot spot = { .root_fd = root_fd, .dir_fd = root_fd };

	lay->set = set;
	shape_take(lay->shape, set);
	links_forget(lay);
	return lay->tamper == TAMPER_GONE ? lay_wipe(root_fd)
					  : change_dir(lay, &spot, 0);
}
