// What lwIP asks of a compiler and a platform, beyond what C has.
#ifndef CC_H
#define CC_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define LWIP_RAND() ((u32_t)rand())
#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_PLATFORM_DIAG(x)
#define LWIP_PLATFORM_ASSERT(x) (fprintf(stderr, "lwip: %s\n", x), abort())

#endif
