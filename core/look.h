/* look.h - what a descriptor or an argument was found to be about, and which
 * rules want that.  Pure, signal-safe. */
#ifndef MISHAP_CORE_LOOK_H
#define MISHAP_CORE_LOOK_H

#include "core/plan.h"

struct look {
	const char *path; /* NULL: not a file */
	bool is_socket, has_peer, is_client;
	struct sockaddr_storage peer;
	unsigned peer_bytes;
};

/* look_rules - a bit per rule whose object selectors all match; rules without
 * any have none.  hosts: the rules whose host= is the peer's. */
uint64_t look_rules(const struct plan *plan, const struct look *look,
		    uint64_t hosts);

/* A line of /proc/PID/net/tcp, proc(5). */
enum look_line { LINE_OTHER, LINE_FOUND, LINE_LAST };

/* look_line - "  0: 0100007F:1F90 00000000:0000 0A ...": is it a listener at
 * the port?  Listeners stand first in the table, so another state ends the
 * search.  end: its newline. */
enum look_line look_line(const char *line, const char *end, unsigned port);

#endif
