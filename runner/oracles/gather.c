#include "runner/oracles/oracle.h"

#define EXPECT(name, ...) extern const struct oracle oracle_##name;
#include "scenarios/expects.def"
#undef EXPECT

const struct oracle *const oracle_table[EXPECT_COUNT] = {
#define EXPECT(name, ...) [EXPECT_##name] = &oracle_##name,
#include "scenarios/expects.def"
#undef EXPECT
};

int oracles_gather_before(struct evidence *evidence)
{
	const struct scenario *scenario = evidence->scenario;

	for (size_t i = 0; i < scenario->expects_count; i++) {
		const struct expect *expect = &scenario->expects[i];
		const struct oracle *oracle = oracle_table[expect->subject];
		int error =
			oracle->before ? oracle->before(expect, evidence) : 0;

		if (error < 0)
			return error;
	}
	return 0;
}

int oracles_gather_after(struct evidence *evidence)
{
	const struct scenario *scenario = evidence->scenario;

	if (evidence->aborted) /* nothing of it would be believed */
		return 0;
	for (size_t i = 0; i < scenario->expects_count; i++) {
		const struct expect *expect = &scenario->expects[i];
		const struct oracle *oracle = oracle_table[expect->subject];
		int error = oracle->after ? oracle->after(expect, evidence) : 0;

		if (error < 0)
			return error;
	}
	return 0;
}
