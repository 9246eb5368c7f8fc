/* watch_names.c - a call site by name. */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "runner/debuginfo.h"
#include "runner/watch_fold.h"
#include "runner/words.h"

#define SEGMENTS_MAX 64

/* Where the file's bytes at offset are loaded, by its own addresses; 0:
 * nowhere. */
static uint64_t address_in(const char *path, uint64_t offset)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	Elf64_Phdr segments[SEGMENTS_MAX];
	uint64_t address = 0;
	Elf64_Ehdr header;
	size_t count = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
	    memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
	    header.e_ident[EI_CLASS] == ELFCLASS64 &&
	    header.e_phnum <= SEGMENTS_MAX)
		count = header.e_phnum;
	if (pread(fd, segments, count * sizeof(*segments),
		  (off_t)header.e_phoff) !=
	    (ssize_t)(count * sizeof(*segments)))
		count = 0;
	for (size_t i = 0; i < count; i++)
		if (segments[i].p_type == PT_LOAD &&
		    offset >= segments[i].p_offset &&
		    offset - segments[i].p_offset < segments[i].p_filesz)
			address = offset - segments[i].p_offset +
				  segments[i].p_vaddr;
	close(fd);
	return address;
}

char *watch_site_words(const char *path, uint64_t offset, uint64_t address)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	uint64_t at = *path == '/' ? address_in(path, offset) : 0;
	struct debuginfo_frame frame = { 0 };
	struct debuginfo *info = NULL;
	char *said = NULL;
	const char *file;

	if (at && debuginfo_open(path, NULL, 0, &info) == 0)
		debuginfo_look(info, at, &frame, 1);
	if (frame.function && frame.file) {
		file = strrchr(frame.file, '/');
		said = words_say("%s (%s:%d)", frame.function,
				 file ? file + 1 : frame.file, frame.line);
	} else if (frame.function) {
		said = words_say("%s (%s)", frame.function, name);
	}
	debuginfo_close(info);
	if (!said && *path)
		said = words_say("%s+0x%llx", name,
				 (unsigned long long)(at ? at : offset));
	return said ? said : words_say("0x%llx", (unsigned long long)address);
}
