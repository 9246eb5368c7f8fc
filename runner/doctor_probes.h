/* doctor_probes.h - `mishap doctor` of the probes: each group is attached for a
 * moment, and said to work, to be refused or to be absent, and why. */
#ifndef MISHAP_RUNNER_DOCTOR_PROBES_H
#define MISHAP_RUNNER_DOCTOR_PROBES_H

#include <jansson.h>
#include <stdio.h>

/* doctor_probes - a line for each group on out, an object in checks. */
void doctor_probes(FILE *out, json_t *checks);

#endif
