/* site_pool.h - room for stubs in the library's own text; C and assembly. */
#ifndef MISHAP_PRELOAD_SITE_POOL_H
#define MISHAP_PRELOAD_SITE_POOL_H

#define STUB_BYTES_MAX	128  /* record, check, displaced bytes, two ways out */
#define SITE_POOL_STUBS 1024 /* glibc 2.36's libc and ld.so need 467 */
#define SITE_POOL_BYTES (SITE_POOL_STUBS * STUB_BYTES_MAX)

#endif
