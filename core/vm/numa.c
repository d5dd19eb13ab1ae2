/* SPDX-License-Identifier: Apache-2.0 */
/* The description of NUMA nodes. */
#include "core/numa.h"

Numa *numa_new(unsigned maxcpus)
{
    Numa *numa = g_new0(Numa, 1);

    numa->cpu_node = g_new(int16_t, maxcpus);
    for (unsigned i = 0; i < maxcpus; i++) {
        numa->cpu_node[i] = -1;
    }
    for (unsigned i = 0; i < NUMA_NODES; i++) {
        numa->node[i].initiator = -1;
    }
    numa->localities = g_array_new(FALSE, FALSE, sizeof(NumaLocality));
    numa->caches = g_array_new(FALSE, FALSE, sizeof(NumaCache));
    return numa;
}

void numa_free(Numa *numa)
{
    if (!numa) {
        return;
    }
    for (unsigned i = 0; i < NUMA_NODES; i++) {
        g_free(numa->node[i].memdev);
    }
    g_free(numa->cpu_node);
    g_array_unref(numa->localities);
    g_array_unref(numa->caches);
    g_free(numa);
}
