/* sites_open: a patch plan is sound in every site, or nothing is patched. */
#include "core/sites.h"

#include <errno.h>
#include <string.h>

#include "core/plan.h"
#include "test.h"

#define SITES 5

struct patches {
	struct sites_header header;
	struct site sites[SITES];
};

static struct patches sound(void)
{
	struct patches p = {
		.header = { .magic = SITES_MAGIC,
			    .abi = sites_abi(),
			    .count = SITES,
			    .build_id_bytes = 20,
			    .machine = EM_X86_64,
			    .text_start = 0x1000,
			    .text_end = 0x2000 },
		.sites = {
			{ .start = 0x1100, .syscall = 0x1105, .end = 0x1107,
			  .kind = SITE_BEFORE, .length = 7 },
			{ .start = 0x1200, .syscall = 0x1200, .end = 0x1208,
			  .kind = SITE_AROUND, .length = 8 },
			{ .start = 0x1300, .syscall = 0x1300, .end = 0x1302,
			  .kind = SITE_LEFT, .length = 2 },
			{ .start = 0x1400, .syscall = 0x1400, .end = 0x1402,
			  .kind = SITE_SKIPPED, .length = 2 },
			{ .start = 0x1500, .syscall = 0x1620, .end = 0x1505,
			  .kind = SITE_FUNNEL, .length = 5,
			  .function = 0x1600 },
		},
	};

	return p;
}

static int reopen(struct patches *p)
{
	const struct sites_header *header = NULL;
	const struct site *sites = NULL;
	int r;

	if (p->header.count <= SITES)
		p->header.checksum = sites_checksum(&p->header);
	r = sites_open(p, sizeof(*p), &header, &sites);
	if (r < 0) {
		assert_null(header);
		assert_null(sites);
	} else {
		assert_ptr_equal(header, &p->header);
		assert_ptr_equal(sites, p->sites);
	}
	return r;
}

static void a_sound_plan_opens(void **state)
{
	struct patches p = sound();

	(void)state;
	assert_int_equal(reopen(&p), 0);
}

static void a_short_map_is_refused(void **state)
{
	const struct sites_header *header;
	const struct site *sites;
	struct patches p = sound();

	(void)state;
	reopen(&p);
	for (size_t n = 0; n < sizeof(p); n++)
		assert_int_equal(sites_open(&p, n, &header, &sites), -EBADMSG);
	assert_int_equal(sites_open(NULL, sizeof(p), &header, &sites),
			 -EBADMSG);
}

static void every_flipped_bit_is_seen(void **state)
{
	const struct sites_header *header;
	const struct site *sites;
	struct patches p = sound();
	unsigned char *bytes = (void *)&p;

	(void)state;
	reopen(&p);
	for (size_t i = 0; i < sizeof(p) * 8; i++) {
		bytes[i / 8] ^= (unsigned char)(1 << i % 8);
		assert_int_not_equal(sites_open(&p, sizeof(p), &header, &sites),
				     0);
		bytes[i / 8] ^= (unsigned char)(1 << i % 8);
	}
}

#define SITED(change, want)                                                    \
	do {                                                                   \
		struct patches p = sound();                                    \
		struct sites_header *h = &p.header;                            \
		struct site *s = p.sites;                                      \
                                                                               \
		(void)h;                                                       \
		(void)s;                                                       \
		change;                                                        \
		if (reopen(&p) != (want))                                      \
			fail_msg("%s", #change);                               \
	} while (0)

static void bent_headers_are_refused(void **state)
{
	(void)state;
	SITED(h->magic++, -EPROTO);
	SITED(h->abi++, -EPROTO);
	SITED(h->count = SITES + 1, -EBADMSG);
	SITED(h->count = UINT32_MAX, -EBADMSG);
	SITED(h->build_id_bytes = 0, -EBADMSG);
	SITED(h->build_id_bytes = 33, -EBADMSG);
	SITED(h->machine = EM_386, -EBADMSG);
	SITED(h->machine = EM_AARCH64, -EBADMSG); /* other lengths */
	SITED(h->text_end = 0x1501, -EBADMSG);
	SITED(h->text_end = 0x10, -EBADMSG);
	SITED(h->text_start = 0x1101, -EBADMSG);
}

static void bent_sites_are_refused(void **state)
{
	(void)state;
	SITED(s[0].kind = 99, -EBADMSG);
	SITED(s[0].why = WHY_COUNT, -EBADMSG);
	SITED(s[0].start = 0x1101, -EBADMSG);
	SITED(s[0].start = 0xfff, -EBADMSG);
	SITED(s[0].length = 4, -EBADMSG);
	SITED(s[0].length = SITE_BYTES_MAX + 1, -EBADMSG);
	SITED(s[0].end = 0x1106, -EBADMSG);
	SITED(s[0].syscall = 0x2000, -EBADMSG);
	SITED(s[0].syscall = UINT64_MAX, -EBADMSG);
	SITED(s[1].end = 0x1201, -EBADMSG);
	SITED(s[1].length = 7, -EBADMSG);
	SITED(s[1].start = UINT64_MAX - 3, -EBADMSG);
	SITED(s[2].syscall = 0xfff, -EBADMSG);
	SITED(s[4].length = 6, -EBADMSG);
	SITED(s[4].function = 0x1621, -EBADMSG);
	/* One in another's bytes, and out of order. */
	SITED((s[1].start = s[1].syscall = 0x1106, s[1].end = 0x110e),
	      -EBADMSG);
	SITED((s[1].start = s[1].syscall = 0x1107, s[1].end = 0x110f), 0);
	SITED((s[1].start = s[1].syscall = 0x1010, s[1].end = 0x1018),
	      -EBADMSG);
}

/* As sound(), with 64-bit ARM's lengths: all are 4 bytes, in step. */
static struct patches sound_arm(void)
{
	struct patches p = sound();

	p.header.machine = EM_AARCH64;
	p.sites[0] = (struct site){ .start = 0x1100,
				    .syscall = 0x1104,
				    .end = 0x1108,
				    .kind = SITE_BEFORE,
				    .length = 8 };
	p.sites[1] = (struct site){ .start = 0x1200,
				    .syscall = 0x1200,
				    .end = 0x1204,
				    .kind = SITE_AROUND,
				    .length = 4 };
	p.sites[4] = (struct site){ .start = 0x1500,
				    .syscall = 0x1620,
				    .end = 0x1504,
				    .kind = SITE_FUNNEL,
				    .length = 4,
				    .function = 0x1600 };
	return p;
}

static void another_machines_sites_have_its_lengths(void **state)
{
	struct patches p = sound_arm();

	(void)state;
	assert_int_equal(reopen(&p), 0);
	p.header.machine = EM_X86_64;
	assert_int_equal(reopen(&p), -EBADMSG);
	for (unsigned i = 0; i < SITES; i++) {
		p = sound_arm();
		p.sites[i].syscall += 2; /* out of step */
		assert_int_equal(reopen(&p), -EBADMSG);
	}
	p = sound_arm();
	p.sites[1].length = 3;
	p.sites[1].end = 0x1203;
	assert_int_equal(reopen(&p), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sound_plan_opens),
		TEST(a_short_map_is_refused),
		TEST(every_flipped_bit_is_seen),
		TEST(bent_headers_are_refused),
		TEST(bent_sites_are_refused),
		TEST(another_machines_sites_have_its_lengths),
	};

	return TESTS_RUN(tests);
}
