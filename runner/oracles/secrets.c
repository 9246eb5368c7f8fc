/* secrets - these words appear nowhere in the target's output: not as they
 * are, nor in base64 (any alignment, both alphabets), percent-encoded, or in
 * hexadecimal.  A finding names the word by number, never by its letters. */
#include "runner/oracles/oracle.h"

#include <ctype.h>
#include <strings.h>

#define SECRET_BYTES_MIN 4 /* shorter ones are found by chance */
#define SECRET_BYTES_MAX 1024
#define FORM_MAX	 (3 * SECRET_BYTES_MAX + 8)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "abcdefghijklmnopqrstuvwxyz0123456789+/";

struct form {
	const char *name;
	char text[FORM_MAX];
	size_t count;
	bool any_case;
};

/* The base64 digits that depend on the secret alone when `shift` bytes of
 * something else stand before it in its group of three (RFC 4648). */
static void form_base64(struct form *form, const char *secret, size_t n,
			unsigned shift, bool url)
{
	size_t first = (8 * shift + 5) / 6, last = 8 * (shift + n) / 6;

	form->name = "base64";
	form->count = 0;
	for (size_t i = first; i < last; i++) {
		unsigned digit = 0;

		for (size_t bit = 6 * i; bit < 6 * i + 6; bit++) {
			size_t at = bit - 8 * shift;
			unsigned char byte = (unsigned char)secret[at / 8];

			digit = digit << 1 | (byte >> (7 - at % 8) & 1);
		}
		form->text[form->count] = alphabet[digit];
		if (url && digit >= 62)
			form->text[form->count] = digit == 62 ? '-' : '_';
		form->count++;
	}
}

/* mode 0: every byte; 1: all but what RFC 3986 calls unreserved. */
static void form_encoded(struct form *form, const char *secret, size_t n,
			 const char *before, bool plain_stays)
{
	form->name = *before ? "percent-encoding" : "hexadecimal";
	form->any_case = true;
	form->count = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)secret[i];

		if (plain_stays && (isalnum(c) || strchr("-._~", c)))
			form->text[form->count++] = (char)c;
		else
			form->count += (size_t)sprintf(form->text + form->count,
						       "%s%02x", before, c);
	}
}

static bool form_is_in(const struct form *form, const struct text *text)
{
	if (!form->any_case)
		return memmem(text->bytes, text->count, form->text,
			      form->count);
	for (size_t i = 0; i + form->count <= text->count; i++)
		if (strncasecmp(text->bytes + i, form->text, form->count) == 0)
			return true;
	return false;
}

/* secret_form - in which form is it there?  NULL: in none. */
static const char *secret_form(const char *secret, const struct text *text)
{
	size_t n = strlen(secret);
	struct form form = { .name = "plain text" };

	memcpy(form.text, secret, n);
	form.count = n;
	if (form_is_in(&form, text))
		return form.name;
	for (unsigned i = 0; i < 6; i++) {
		form_base64(&form, secret, n, i % 3, i >= 3);
		if (form_is_in(&form, text))
			return form.name;
	}
	for (unsigned i = 0; i < 3; i++) {
		form_encoded(&form, secret, n, i ? "%" : "", i == 2);
		if (form_is_in(&form, text))
			return form.name;
	}
	return NULL;
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct text *const texts[] = { &evidence->out, &evidence->err };
	static const char *const names[] = { "standard output",
					     "standard error" };

	if (!oracle_wants(expect, "none"))
		return oracle_unknown(ret_finding,
				      "secrets knows only the value none");
	for (size_t i = 0; i < expect->args.count; i++) {
		const char *secret = expect->args.items[i];
		size_t n = strlen(secret);

		if (n < SECRET_BYTES_MIN || n > SECRET_BYTES_MAX)
			return oracle_unknown(ret_finding,
					      "word %zu has %zu bytes; it must "
					      "have %d to %d to be looked for",
					      i + 1, n, SECRET_BYTES_MIN,
					      SECRET_BYTES_MAX);
		for (size_t k = 0; k < 2; k++) {
			const char *form;

			if (!texts[k]->bytes)
				return oracle_unknown(ret_finding,
						      "%s wasn't captured",
						      names[k]);
			form = secret_form(secret, texts[k]);
			if (form)
				return oracle_fail(
					ret_finding,
					words_say("no secret in the output"),
					"word %zu of %zu is on %s, in %s",
					i + 1, expect->args.count, names[k],
					form);
		}
	}
	if (evidence->out.truncated || evidence->err.truncated)
		return oracle_unknown(ret_finding,
				      "the output was cut; none so far");
	return oracle_pass(ret_finding, words_say("no secret in the output"),
			   "none of %zu word%s in %zu bytes",
			   expect->args.count,
			   expect->args.count == 1 ? "" : "s",
			   evidence->out.count + evidence->err.count);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	return oracle_text_append(&evidence->err, expect->args.items[0]);
}

const struct oracle oracle_secrets = {
	.judge = judge,
	.tamper = tamper,
};
