/* lay.h - put a state's tree into a real directory. */
#ifndef MISHAP_RUNNER_POWERCUT_LAY_H
#define MISHAP_RUNNER_POWERCUT_LAY_H

#include "runner/powercut/shape.h"

enum tamper { /* what is done to a tree that a checker must not pass */
	      TAMPER_NOT,
	      TAMPER_EMPTY, /* files that the program wrote are cut to nothing
			     */
	      TAMPER_NUL,   /* they hold NUL bytes */
	      TAMPER_GONE,  /* everything is gone */
};

struct lay {
	struct shape *shape;
	const uint64_t *set; /* taken by shape */
	enum tamper tamper;
	uint8_t *many; /* by node: may have several names */
	char **linked; /* by node: where it was laid in this tree */
};

int lay_make(struct shape *shape, struct lay *ret_lay);
void lay_clear(struct lay *lay);
/* lay_all - into an empty directory.  lay_base - the tree as it was before.
 * lay_changes - over the tree as it was before.  0 or -errno. */
int lay_all(struct lay *lay, const uint64_t *set, int root_fd);
int lay_base(struct lay *lay, int root_fd);
int lay_changes(struct lay *lay, const uint64_t *set, int root_fd);
/* lay_wipe - remove all that is in a directory, whatever its modes. */
int lay_wipe(int dir_fd);

#endif
