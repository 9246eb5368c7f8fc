/* sites_plan.c - make patch plans, write them, keep them. */
#include "runner/sites_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/plan.h"
#include "runner/sites_aarch64.h"
#include "runner/sites_classify.h"

#define PLANNER_VERSION 3 /* raise it when the same file is judged anew */
#define CACHE_DIR_MAX	(PATH_MAX - 128) /* a plan's name fits behind it */
#define PLAN_FILE_BYTES_MAX                                                    \
	(sizeof(struct sites_header) + SITES_MAX * sizeof(struct site))

static void build_id_text(const uint8_t *id, uint32_t bytes,
			  char ret_text[2 * 32 + 1])
{
	for (uint32_t i = 0; i < bytes; i++)
		sprintf(ret_text + 2 * i, "%02x", id[i]);
}

static int write_all(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n) {
		ssize_t w = write(fd, at, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? -errno : -EIO;
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

int sites_file_write(const char *path, const void *bytes, size_t n)
{
	char temporary[PATH_MAX];
	int fd, r;

	r = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	if (r < 0 || (size_t)r >= sizeof(temporary))
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_all(fd, bytes, n);
	if (!r && fchmod(fd, 0644) < 0)
		r = -errno;
	if (close(fd) < 0 && !r)
		r = -errno;
	if (!r && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r;
}

/* A checksum keeps out bytes that rotted, not bytes that somebody made: only
 * ours and root's are believed, and only where nobody else may write them. */
static bool is_trusted(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) &&
	       !(st->st_mode & (S_IWGRP | S_IWOTH));
}

int sites_file_read(const char *path, struct sites_file *ret_file)
{
	struct sites_file file = { 0 };
	struct stat st;
	int fd, r = 0;

	fd = open(path,
		  O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size <= 0 ||
		 (size_t)st.st_size > PLAN_FILE_BYTES_MAX)
		r = -EBADMSG;
	else if (!is_trusted(&st))
		r = -EPERM;
	if (!r) {
		file.bytes = (size_t)st.st_size;
		file.map = malloc(file.bytes);
		if (!file.map)
			r = -ENOMEM;
		else if (pread(fd, file.map, file.bytes, 0) !=
			 (ssize_t)file.bytes)
			r = -EBADMSG;
	}
	close(fd);
	if (!r)
		r = sites_open(file.map, file.bytes, &file.header, &file.sites);
	if (r < 0)
		free(file.map);
	else
		*ret_file = file;
	return r;
}

void sites_file_free(struct sites_file *file)
{
	free(file->map);
	*file = (struct sites_file){ 0 };
}

/* Does ld.so write into the text (DT_TEXTREL, elf(5))?  It may do so after us,
 * and where we have been. */
static bool has_text_relocations(const struct image *image)
{
	for (unsigned i = 0; i < image->segments_count; i++) {
		const Elf64_Phdr *p = &image->segments[i];
		const Elf64_Dyn *d;

		if (p->p_type != PT_DYNAMIC || p->p_offset > image->bytes ||
		    p->p_filesz > image->bytes - p->p_offset ||
		    p->p_offset % _Alignof(Elf64_Dyn))
			continue;
		d = (const void *)(image->map + p->p_offset);
		for (size_t k = 0; k < p->p_filesz / sizeof(*d); k++)
			if (d[k].d_tag == DT_TEXTREL ||
			    (d[k].d_tag == DT_FLAGS &&
			     d[k].d_un.d_val & DF_TEXTREL))
				return true;
	}
	return false;
}

static int image_classify(struct image *image, struct site **ret_sites,
			  uint32_t *ret_count)
{
	if (image->header->e_machine == EM_AARCH64)
		return sites_classify_aarch64(image, ret_sites, ret_count);
	return sites_classify(image, ret_sites, ret_count);
}

/* A whole plan of an image, empty if it makes no system call; *ret_file owns
 * it. */
static int plan_of_image(struct image *image, struct sites_file *ret_file)
{
	struct sites_header *h;
	struct sites_file file = { 0 };
	struct site *sites;
	uint32_t count;
	int r = has_text_relocations(image) ? -ENOEXEC
					    : image_read_functions(image);

	if (!r)
		r = image_classify(image, &sites, &count);
	if (r < 0)
		return r;
	file.bytes = sizeof(*h) + count * sizeof(*sites);
	file.map = h = calloc(1, file.bytes);
	if (!h) {
		free(sites);
		return -ENOMEM;
	}
	memcpy(h + 1, sites, count * sizeof(*sites));
	free(sites);
	h->magic = SITES_MAGIC;
	h->abi = sites_abi();
	h->count = count;
	h->build_id_bytes = image->build_id_bytes;
	memcpy(h->build_id, image->build_id, image->build_id_bytes);
	h->text_start = image->text_start;
	h->text_end = image->text_end;
	h->machine = image->header->e_machine;
	h->checksum = sites_checksum(h);
	/* What we wrote must pass the check that the target makes. */
	r = sites_open(h, file.bytes, &file.header, &file.sites);
	if (r < 0)
		free(file.map);
	else
		*ret_file = file;
	return r;
}

static int plan_path(char ret_path[PATH_MAX], const char *dir,
		     const char *build_id, bool with_abi)
{
	int n = with_abi ? snprintf(ret_path, PATH_MAX, "%s/%s-%016lx-%u.sites",
				    dir, build_id, sites_abi(), PLANNER_VERSION)
			 : snprintf(ret_path, PATH_MAX, "%s/%s.sites", dir,
				    build_id);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* The cache's directory, made if need be. */
static int cache_dir(char ret_dir[CACHE_DIR_MAX])
{
	const char *base = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (base && *base == '/')
		n = snprintf(ret_dir, CACHE_DIR_MAX, "%s/mishap/sites", base);
	else if (home && *home == '/')
		n = snprintf(ret_dir, CACHE_DIR_MAX, "%s/.cache/mishap/sites",
			     home);
	else
		return -ENOENT;
	if (n < 0 || n >= CACHE_DIR_MAX)
		return -ENAMETOOLONG;
	for (char *at = ret_dir + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdir(ret_dir, 0755) < 0 && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	return mkdir(ret_dir, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static bool file_is_of(const struct sites_file *file, const struct image *image)
{
	return file->header->build_id_bytes == image->build_id_bytes &&
	       !memcmp(file->header->build_id, image->build_id,
		       image->build_id_bytes);
}

int sites_plan_cached(const char *path, const char *out_dir,
		      char ret_build_id[2 * 32 + 1])
{
	char dir[CACHE_DIR_MAX], kept[PATH_MAX], out[PATH_MAX];
	char build_id[2 * 32 + 1] = "";
	struct sites_file file;
	struct image image;
	bool has_cache = !cache_dir(dir);
	int r = image_open(path, &image);

	if (r < 0)
		return r;
	build_id_text(image.build_id, image.build_id_bytes, build_id);
	r = image.build_id_bytes ? plan_path(out, out_dir, build_id, false)
				 : -ENODATA;
	has_cache = has_cache && !plan_path(kept, dir, build_id, true);
	if (!r) {
		int found = has_cache ? sites_file_read(kept, &file) : -ENOENT;

		if (!found && !file_is_of(&file, &image)) {
			sites_file_free(&file);
			found = -EBADMSG;
		}
		if (found < 0) {
			r = plan_of_image(&image, &file);
			if (!r && has_cache)
				(void)sites_file_write(kept, file.map,
						       file.bytes);
		}
	}
	if (!r) {
		r = sites_file_write(out, file.map, file.bytes);
		sites_file_free(&file);
	}
	image_close(&image);
	if (!r && ret_build_id)
		memcpy(ret_build_id, build_id, sizeof(build_id));
	return r;
}

int sites_plan_make(const char *path, const char *out_dir)
{
	char out[PATH_MAX], build_id[2 * 32 + 1] = "";
	struct sites_file file;
	struct image image;
	int r = image_open(path, &image);

	if (r < 0)
		return r;
	build_id_text(image.build_id, image.build_id_bytes, build_id);
	r = image.build_id_bytes ? plan_path(out, out_dir, build_id, false)
				 : -ENODATA;
	if (!r)
		r = plan_of_image(&image, &file);
	if (!r) {
		r = file.header->count
			    ? sites_file_write(out, file.map, file.bytes)
			    : -ENOENT;
		sites_file_free(&file);
	}
	image_close(&image);
	return r;
}
