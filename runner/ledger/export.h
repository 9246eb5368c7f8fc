/* export.h - a stream of a ledger as a history that others' checkers read.
 *
 * EDN and JSON are Jepsen's: elle-cli's models set, rw-register, list-append,
 * counter and bank.  Who asked isn't written in a ledger: a process is whoever
 * has no request open, and one whose request never had an outcome asks no more.
 * EXPORT_PORCUPINE is a JSON list of porcupine's Operation.
 */
#ifndef MISHAP_RUNNER_LEDGER_EXPORT_H
#define MISHAP_RUNNER_LEDGER_EXPORT_H

#include <stdio.h>

#include "runner/ledger/log.h"
#include "scenarios/promise.h"

enum export_format { EXPORT_EDN, EXPORT_JSON, EXPORT_PORCUPINE };

/* ledger_export - stream: its number in the log.  0, -ENOMEM, or -EIO. */
int ledger_export(const struct ledger_log *log, uint32_t stream,
		  enum ledger_form form, enum export_format format, FILE *out);

#endif
