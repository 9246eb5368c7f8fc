/* debuginfo.c - see debuginfo.h. */
#include "runner/debuginfo.h"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/words.h"

#define DEBUG_ROOT "/usr/lib/debug"

struct debuginfo {
	Dwfl *dwfl;
	Dwfl_Module *module;
	Dwarf_Addr bias; /* of libdw's addresses over the file's */
};

/* DEBUG_ROOT/.build-id/ab/cdef….debug */
static char *debug_path(const uint8_t *build_id, size_t bytes)
{
	char hex[2 * DEBUGINFO_BUILD_ID_MAX + 1] = "";

	if (bytes < 2 || bytes > DEBUGINFO_BUILD_ID_MAX)
		return NULL;
	for (size_t i = 0; i < bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", build_id[i]);
	return words_say(DEBUG_ROOT "/.build-id/%.2s/%s.debug", hex, hex + 2);
}

static int try_open(char *path, char **ret_path)
{
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		free(path);
	else
		*ret_path = path;
	return fd;
}

/* libdw's own search would ask a debuginfod server; this one doesn't. */
static int find_debuginfo(Dwfl_Module *module, void **userdata,
			  const char *name, Dwarf_Addr base, const char *file,
			  const char *link, GElf_Word link_crc, char **ret_path)
{
	const unsigned char *build_id;
	GElf_Addr at;
	int bytes = dwfl_module_build_id(module, &build_id, &at), fd = -1;
	const char *slash = file ? strrchr(file, '/') : NULL;
	int dir = slash ? (int)(slash - file) : 0;

	(void)userdata;
	(void)name;
	(void)base;
	if (link && link_crc == 0) /* the common part that dwz(1) split off */
		return *link == '/' || !slash
			       ? try_open(strdup(link), ret_path)
			       : try_open(words_say("%.*s/%s", dir, file, link),
					  ret_path);
	if (bytes > 0)
		fd = try_open(debug_path(build_id, (size_t)bytes), ret_path);
	if (fd < 0 && link && slash)
		fd = try_open(words_say("%.*s/.debug/%s", dir, file, link),
			      ret_path);
	if (fd < 0 && link && slash)
		fd = try_open(words_say(DEBUG_ROOT "%.*s/%s", dir, file, link),
			      ret_path);
	return fd;
}

static bool is_the_file(Dwfl_Module *module, const uint8_t *build_id,
			size_t bytes)
{
	const unsigned char *got;
	GElf_Addr at;

	return bytes == 0 ||
	       (dwfl_module_build_id(module, &got, &at) == (int)bytes &&
		memcmp(got, build_id, bytes) == 0);
}

static bool file_open(struct debuginfo *info, const char *path,
		      const uint8_t *build_id, size_t bytes)
{
	static const Dwfl_Callbacks callbacks = {
		.find_debuginfo = find_debuginfo,
		.section_address = dwfl_offline_section_address,
	};

	struct stat st;

	/* The path is the target's word: it may have put a pipe there. */
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	info->dwfl = dwfl_begin(&callbacks);
	if (!info->dwfl)
		return false;
	info->module = dwfl_report_offline(info->dwfl, path, path, -1);
	if (info->module && dwfl_report_end(info->dwfl, NULL, NULL) == 0 &&
	    dwfl_module_getelf(info->module, &info->bias) &&
	    is_the_file(info->module, build_id, bytes))
		return true;
	dwfl_end(info->dwfl);
	info->dwfl = NULL;
	return false;
}

int debuginfo_open(const char *path, const uint8_t *build_id,
		   size_t build_id_bytes, struct debuginfo **ret_info)
{
	_cleanup_words_ char *other = debug_path(build_id, build_id_bytes);
	struct debuginfo *info = calloc(1, sizeof(*info));

	if (!info)
		return -ENOMEM;
	if (!file_open(info, path, build_id, build_id_bytes) &&
	    !(other && file_open(info, other, build_id, build_id_bytes))) {
		free(info);
		return -ENOENT;
	}
	*ret_info = info;
	return 0;
}

void debuginfo_close(struct debuginfo *info)
{
	if (!info)
		return;
	dwfl_end(info->dwfl);
	free(info);
}

/* A path below the directory of compilation is told from there. */
static const char *file_within(const char *file, const char *directory)
{
	size_t n = directory ? strlen(directory) : 0;

	if (file && n && strncmp(file, directory, n) == 0 && file[n] == '/')
		file += n + 1;
	while (file && file[0] == '.' && file[1] == '/')
		file += 2;
	return file;
}

static const char *symbol_at(const struct debuginfo *info, Dwarf_Addr address)
{
	GElf_Off offset;
	GElf_Sym symbol;
	const char *name = dwfl_module_addrinfo(info->module, address, &offset,
						&symbol, NULL, NULL, NULL);

	/* The nearest one before is a guess, and none is better. */
	return name && offset < symbol.st_size ? name : NULL;
}

static int call_number(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	return dwarf_formudata(dwarf_attr(die, name, &attribute), &value) == 0
		       ? (int)value
		       : 0;
}

/* Where an inlined function was called: a file and a line. */
static void call_site(Dwarf_Die *die, Dwarf_Die *unit, const char *directory,
		      struct debuginfo_frame *ret)
{
	int index = call_number(die, DW_AT_call_file);
	Dwarf_Files *files;

	ret->file = NULL;
	if (index && dwarf_getsrcfiles(unit, &files, NULL) == 0)
		ret->file = file_within(
			dwarf_filesrc(files, (size_t)index, NULL, NULL),
			directory);
	ret->line = call_number(die, DW_AT_call_line);
}

static const char *die_name(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;

	return dwarf_formstring(
		dwarf_attr_integrate(die, DW_AT_name, &attribute));
}

/* The functions around an address, from the innermost scope outwards.
 * scopes come from dwarf_getscopes_die(3): concrete ones all. */
static size_t scopes_look(Dwarf_Die *scopes, int count, Dwarf_Die *unit,
			  const char *directory, struct debuginfo_frame at,
			  struct debuginfo_frame *ret_frames, size_t max)
{
	size_t n = 0;

	for (int i = 0; i < count && n < max; i++) {
		int tag = dwarf_tag(&scopes[i]);

		if (tag != DW_TAG_inlined_subroutine &&
		    tag != DW_TAG_subprogram)
			continue;
		at.function = die_name(&scopes[i]);
		ret_frames[n++] = at;
		if (tag == DW_TAG_subprogram)
			break;
		call_site(&scopes[i], unit, directory, &at);
	}
	return n;
}

static size_t dwarf_look(struct debuginfo *info, Dwarf_Addr address,
			 struct debuginfo_frame at,
			 struct debuginfo_frame *ret_frames, size_t max)
{
	Dwarf_Addr bias;
	Dwarf_Die *unit = dwfl_module_addrdie(info->module, address, &bias);
	Dwarf_Die *scopes = NULL, inner;
	Dwarf_Attribute attribute;
	const char *directory;
	size_t n = 0;
	int count;

	if (!unit)
		return 0;
	directory =
		dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
	at.file = file_within(at.file, directory);
	count = dwarf_getscopes(unit, address - bias, &scopes);
	if (count <= 0)
		return 0;
	inner = scopes[0];
	free(scopes);
	scopes = NULL;
	count = dwarf_getscopes_die(&inner, &scopes);
	if (count > 0)
		n = scopes_look(scopes, count, unit, directory, at, ret_frames,
				max);
	free(scopes);
	return n;
}

size_t debuginfo_look(struct debuginfo *info, uint64_t address,
		      struct debuginfo_frame *ret_frames, size_t max)
{
	struct debuginfo_frame at = { 0 };
	Dwarf_Addr where = address + info->bias;
	Dwfl_Line *line = dwfl_module_getsrc(info->module, where);
	size_t n;

	if (line)
		at.file = dwfl_lineinfo(line, NULL, &at.line, NULL, NULL, NULL);
	n = max ? dwarf_look(info, where, at, ret_frames, max) : 0;
	if (n)
		return n;
	at.function = symbol_at(info, where);
	if (max == 0 || (!at.function && !at.file))
		return 0;
	ret_frames[0] = at;
	return 1;
}
