/* check.h - is a log to be believed?  An oracle for the recorder. */
#ifndef MISHAP_RUNNER_POWERCUT_CHECK_H
#define MISHAP_RUNNER_POWERCUT_CHECK_H

#include "runner/powercut/history.h"

/* history_check - replay all and compare with the tree that was found at the
 * end, byte for byte.  *ret_why: what differs (malloc'd), or NULL: equal. */
int history_check(const struct history *history, char **ret_why);

#endif
