/* dag_finish.c - the edges of a dag, in two flat tables: needs, needed by. */
#include <errno.h>
#include <stdlib.h>

#include "runner/powercut/build.h"

static uint32_t put_needs(const struct build *build, uint32_t id, uint32_t *to)
{
	const struct ids *lists[] = { &build->hard[id], &build->chain[id] };
	uint32_t n = 0;

	for (size_t k = 0; k < 2; k++)
		for (uint32_t i = 0; i < lists[k]->count; i++)
			if (!build->dag->micros[lists[k]->at[i]].failed) {
				if (to)
					to[n] = lists[k]->at[i];
				n++;
			}
	return n;
}

int build_finish(struct build *build)
{
	struct dag *dag = build->dag;
	uint32_t n = dag->count, edges = 0;

	dag->words = (n + 63) / 64;
	dag->needs_at = calloc((size_t)n + 2, sizeof(uint32_t));
	dag->needed_at = calloc((size_t)n + 2, sizeof(uint32_t));
	if (!dag->needs_at || !dag->needed_at)
		return -ENOMEM;
	for (uint32_t id = 0; id < n; id++)
		edges += put_needs(build, id, NULL);
	dag->needs = calloc((size_t)edges + 1, sizeof(uint32_t));
	dag->needed = calloc((size_t)edges + 1, sizeof(uint32_t));
	if (!dag->needs || !dag->needed)
		return -ENOMEM;
	edges = 0;
	for (uint32_t id = 0; id < n; id++) {
		dag->needs_at[id] = edges;
		edges += put_needs(build, id, dag->needs + edges);
	}
	dag->needs_at[n] = edges;
	for (uint32_t e = 0; e < edges; e++)
		dag->needed_at[dag->needs[e] + 1]++;
	for (uint32_t id = 0; id < n; id++)
		dag->needed_at[id + 1] += dag->needed_at[id];
	for (uint32_t id = n; id-- > 0;)
		for (uint32_t e = dag->needs_at[id]; e < dag->needs_at[id + 1];
		     e++) { /* fill from the end, then shift back */
			uint32_t to = dag->needs[e];

			dag->needed[--dag->needed_at[to + 1]] = id;
		}
	for (uint32_t id = 0; id < n; id++)
		dag->needed_at[id] = dag->needed_at[id + 1];
	dag->needed_at[n] = edges;
	return 0;
}
