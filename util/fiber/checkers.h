/* SPDX-License-Identifier: Apache-2.0 */
/* What the sanitizers are told of stacks and threads of control: sanitizer/common_interface_defs.h,
 * sanitizer/tsan_interface.h. */
#ifndef UTIL_FIBER_CHECKERS_H
#define UTIL_FIBER_CHECKERS_H

#include <stddef.h>

typedef struct FiberCheck {
    void *fake, *caller_fake;           /* AddressSanitizer's */
    const void *caller_bottom;
    size_t caller_size;
    void *fiber, *caller;               /* ThreadSanitizer's */
} FiberCheck;

#ifdef __has_feature            /* clang, which does not define gcc's macros */
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#elif __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define CHECK_ENTER(c, stack, size) __sanitizer_start_switch_fiber(&(c)->caller_fake, stack, size)
#define CHECK_BACK(c) __sanitizer_finish_switch_fiber((c)->caller_fake, NULL, NULL)
#define CHECK_BEGUN(c) __sanitizer_finish_switch_fiber(NULL, &(c)->caller_bottom, &(c)->caller_size)
#define CHECK_LEAVE(c) __sanitizer_start_switch_fiber(&(c)->fake, (c)->caller_bottom, (c)->caller_size)
#define CHECK_RESUMED(c) \
    __sanitizer_finish_switch_fiber((c)->fake, &(c)->caller_bottom, &(c)->caller_size)
#define CHECK_NEW(c) ((void)(c))
#define CHECK_FREE(c) ((void)(c))
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define CHECK_ENTER(c, stack, size) \
    ((c)->caller = __tsan_get_current_fiber(), __tsan_switch_to_fiber((c)->fiber, 0))
#define CHECK_BACK(c) ((void)(c))
#define CHECK_BEGUN(c) ((void)(c))
#define CHECK_LEAVE(c) __tsan_switch_to_fiber((c)->caller, 0)
#define CHECK_RESUMED(c) ((void)(c))
#define CHECK_NEW(c) ((c)->fiber = __tsan_create_fiber(0))
#define CHECK_FREE(c) __tsan_destroy_fiber((c)->fiber)
#else
#define CHECK_ENTER(c, stack, size) ((void)(c))
#define CHECK_BACK(c) ((void)(c))
#define CHECK_BEGUN(c) ((void)(c))
#define CHECK_LEAVE(c) ((void)(c))
#define CHECK_RESUMED(c) ((void)(c))
#define CHECK_NEW(c) ((void)(c))
#define CHECK_FREE(c) ((void)(c))
#endif

#endif
