/* SPDX-License-Identifier: Apache-2.0 */
/* NUMA nodes of a machine, as -numa describes them; boards with MachineType.numa tell the guest. */
#ifndef CORE_NUMA_H
#define CORE_NUMA_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

enum { NUMA_NODES = 128, NUMA_LOCAL = 10, NUMA_REMOTE = 20, NUMA_MIN_DISTANCE = 10 };

typedef struct NumaNode {
    uint64_t size;
    char *memdev;               /* id of the memory backend, or NULL */
    bool said;                  /* by -numa node */
    bool has_cpu;
    int initiator;              /* of its memory; -1: not said */
    uint8_t distance[NUMA_NODES];       /* to each node; 0: not said */
} NumaNode;

/* -numa hmat-lb: latency (ns·1000 = ps) or bandwidth (bytes/s) between nodes. */
typedef struct NumaLocality {
    uint8_t initiator, target;
    uint8_t hierarchy;          /* 0 memory, 1-3 caches */
    uint8_t type;               /* 0 access latency, 1 read, 2 write, 3-5 the same of bandwidth */
    uint64_t value;
} NumaLocality;

/* -numa hmat-cache: a memory-side cache. */
typedef struct NumaCache {
    uint8_t node, level, associativity, policy;
    uint16_t line;
    uint64_t size;
} NumaCache;

typedef struct Numa {
    unsigned n;
    NumaNode node[NUMA_NODES];
    int16_t *cpu_node;          /* by CPU index, maxcpus of them; -1: not said */
    bool implicit;              /* nobody asked for nodes: one for all, as memory hotplug wants it */
    bool has_distances;
    GArray *localities, *caches;
} Numa;

Numa *numa_new(unsigned maxcpus);
void numa_free(Numa *numa);

#endif
