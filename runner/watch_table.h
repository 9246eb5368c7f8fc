/* watch_table.h - the table of `mishap watch`: held at the terminal's foot
 * while it is drawn anew, so that what the command says scrolls by above it; at
 * the end it is printed once more, whole, as plain lines. */
#ifndef MISHAP_RUNNER_WATCH_TABLE_H
#define MISHAP_RUNNER_WATCH_TABLE_H

#include "runner/watch_page.h"

/* watch_table_news - one event more for its last lines, if it tells anything.
 */
void watch_table_news(struct watch_page *page,
		      const struct watch_record *record, const char *name);
/* watch_table_draw - at the foot, as many lines as there is room for; nothing
 * where the terminal has no room or can't (TERM=dumb). */
void watch_table_draw(struct watch_page *page);
/* watch_table_end - the terminal as it was; again and again does no harm. */
void watch_table_end(struct watch_page *page);
/* watch_table_print - all of it, as plain lines. */
void watch_table_print(struct watch_page *page);

#endif
