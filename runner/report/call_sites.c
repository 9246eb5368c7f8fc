/* Where in the program faults were decided, and what can't be told apart. */
#include "runner/report/report.h"

#include <string.h>

#include "runner/site_id.h"

static bool has_string(const json_t *array, const char *text)
{
	const json_t *item;
	size_t i;

	json_array_foreach(array, i, item) if (!strcmp(json_string_value(item),
						       text)) return true;
	return false;
}

json_t *report_call_sites(const struct evidence *evidence)
{
	struct site_ids *ids = NULL;
	json_t *interpreters = json_array();
	size_t count = 0;

	if (evidence->run_dir && site_ids_read(evidence->run_dir, &ids) == 0) {
		count = site_ids_count(ids);
		for (size_t i = 0; i < count; i++) {
			const char *name = site_ids_at(ids, i)->collapsed;

			if (name && !has_string(interpreters, name))
				json_array_append_new(interpreters,
						      json_string(name));
		}
		site_ids_free(ids);
	}
	return json_pack("{so so}", "distinct",
			 json_array_size(interpreters)
				 ? json_null()
				 : json_integer((json_int_t)count),
			 "interpreters", interpreters);
}
