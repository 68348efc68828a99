/* Max-pooling that remembers its winners, and gradients of a convolution through these alone.

   Of a window of 2x2 numbers, max-pooling passes on one, and ReLU drops it if it is negative. So of
   the gradient of a convolution's outputs at most a quarter is not zero, in practice less than a
   fifth, and dropout halves that again; a library that is not told multiplies the zeros.

   Compiled for each width of registers that processors of a kind have: `distune_pool_16`,
   `distune_pool_8`, ... `distune_lanes` says which of them this one has. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NO_WINNER (-1) /* the winner of a window that ReLU closed; 255 as a byte */
#define INLINE static inline __attribute__((always_inline))
#define JOINED(name, lanes) name##_##lanes
#define EXPANDED(name, lanes) JOINED(name, lanes)
#define NAMED(name) EXPANDED(name, LANES)

/* `call(kernel, rows)` with constants, so few sums that the compiler keeps them in registers. */
#define WITH_KERNEL(kernel, call) \
    switch (kernel) { \
    case 1: call(1, 1); break; \
    case 2: call(2, 2); break; \
    case 3: call(3, 3); break; \
    case 4: call(4, MANY_REGISTERS ? 4 : 2); break; \
    case 5: call(5, MANY_REGISTERS ? 5 : 1); break; \
    default: break; /* the caller asks for no other */ \
    }
#define MOST_TAPS 25

/* Have the compiler compute a vector once, and keep it. */
#if defined(__x86_64__)
#define IN_REGISTER(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define IN_REGISTER(v) __asm__("" : "+w"(v))
#else
#define IN_REGISTER(v) (void)(v)
#endif

/* What changes with the meaning of a function, so that no stale build is used. */
int distune_winners_version(void) { return 1; }

/* One winner: where its patch begins, in pixels of the images in the cache, and its gradient. */
struct hit {
    int32_t at;
    float gradient;
};

#define CACHED_PIXELS 1152 /* 72 kB in LANES of channels: of the sizes tried the fastest */
#define MOST_IMAGES 16
#define CACHED_GRADIENTS 65536 /* of a first layer, with their winners 320 kB */

#if defined(__x86_64__)

int distune_lanes(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 16;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 8 : 4;
}

#ifdef __clang__
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")
#endif
#define LANES 16
#define MANY_REGISTERS 1
#define WINDOWS 4
#include "winners.h"
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define LANES 8
#define MANY_REGISTERS 0
#define WINDOWS 2
#include "winners.h"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#define MANY_REGISTERS 0
#define WINDOWS 3

#else /* other processors: vectors of 128 bits, of which Arm's have 32 */

int distune_lanes(void) { return 4; }
#define MANY_REGISTERS 1
#define WINDOWS 4

#endif

#define LANES 4
#include "winners.h"
