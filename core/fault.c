/* fault.c - the table of fault kinds, in the order of their names.  Each is
 * defined in faults/NAME.c; the list comes from the names of those files. */
#include "core/fault.h"

#define FAULT(name) extern const struct fault fault_##name;
#include "faults.def"
#undef FAULT

const struct fault *const fault_table[FAULT_COUNT] = {
#define FAULT(name) [FAULT_##name] = &fault_##name,
#include "faults.def"
#undef FAULT
};
