/* no_planner.c - guest_run where there is no runner: plans are brought along.
 */
#include <errno.h>

#include "runner/sites.h"

int sites_prepare(const char *sites_dir, const char *target_exe)
{
	(void)sites_dir;
	(void)target_exe;
	return -ENOSYS;
}
