/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of bytes and requests per second, as leaky buckets. One set of limits may serve several
 * nodes on several loops.
 */
#ifndef BLOCK_THROTTLE_H
#define BLOCK_THROTTLE_H

#include "core/vm.h"
#include "util/json.h"

typedef enum ThrottleKind { BPS, BPS_RD, BPS_WR, IOPS, IOPS_RD, IOPS_WR, THROTTLE_KINDS } ThrottleKind;
typedef struct ThrottleLimits {
    uint64_t avg[THROTTLE_KINDS];       /* per second, 0: no limit */
    uint64_t max[THROTTLE_KINDS];       /* per second during a burst, 0: a tenth of avg at once */
    uint64_t length[THROTTLE_KINDS];    /* of a burst, in seconds */
    uint64_t iops_size;                 /* larger requests count as several, 0: never */
} ThrottleLimits;

typedef struct Throttle Throttle;
Throttle *throttle_new(void);
Throttle *throttle_ref(Throttle *t);
void throttle_unref(Throttle *t);
/* Checks and sets; any thread. */
bool throttle_set(Throttle *t, const ThrottleLimits *limits, GError **error);
ThrottleLimits throttle_get(Throttle *t);
bool throttle_is_on(const ThrottleLimits *limits);
/* Options "bps-total", "iops-read-max" and so on, each after a prefix: removes them from o. */
bool throttle_take_options(Json *o, const char *prefix, ThrottleLimits *limits, GError **error);
/* The limits of -object throttle-group; NULL: there is none. A new reference. */
Throttle *throttle_group(Vm *vm, const char *id);

#endif
