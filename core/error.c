/* error.c - names of errors: errno(3), and the EAI_ family of getaddrinfo(3),
 * whose codes are negative in glibc's <netdb.h>. */
#include "core/call.h"

#include <errno.h>
#include <netdb.h>

static const struct error_word {
	const char *name;
	int error;
} words[] = {
#define ERROR(word) { #word, word },
#include "core/errors.def"
#undef ERROR
};

const char *error_name(int error)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (words[i].error == error)
			return words[i].name;
	return NULL;
}

int error_find(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		const char *word = words[i].name;
		size_t same = 0;

		while (same < n && word[same] && word[same] == name[same])
			same++;
		if (same == n && word[same] == '\0')
			return words[i].error;
	}
	return 0;
}
