/* SPDX-License-Identifier: Apache-2.0 */
/* -numa: nodes, their CPUs and memory, distances, and what the HMAT says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control/cli/config.h"
#include "core/backend.h"
#include "core/numa.h"
#include "qapi/keyval.h"
#include "util/error.h"
#include "util/suggest.h"

typedef struct Reader {
    Machine *m;
    Numa *numa;
    char **words;               /* "key=value" behind the kind */
    GError **error;
} Reader;

/* The text of a key, NULL if it is not there. */
static const char *text_of(const Reader *r, const char *key)
{
    size_t n = strlen(key);
    for (char **w = r->words; *w; w++)
        if (!strncmp(*w, key, n) && (*w)[n] == '=')
            return *w + n + 1;
    return NULL;
}

static bool known(const Reader *r, const char *const *keys)
{
    for (char **w = r->words; *w; w++) {
        g_autofree char *key = g_strndup(*w, strcspn(*w, "="));
        if (!strchr(*w, '='))
            return error_set(r->error, "expected '%s='", key);
        if (!g_strv_contains(keys, key)) {
            error_set(r->error, "Invalid parameter '%s'", key);
            suggest_append(r->error, key, keys);
            return false;
        }
    }
    return true;
}

/* A number; *there says whether it was given (NULL: it must be). */
static bool number(const Reader *r, const char *key, uint64_t most, uint64_t *value, bool *there)
{
    const char *text = text_of(r, key);
    char *end;
    if (there)
        *there = text != NULL;
    if (!text)
        return there || error_set(r->error, "Parameter '%s' is missing", key);
    *value = g_ascii_strtoull(text, &end, 0);
    if (end == text || *end || *value > most)
        return error_set(r->error, "%s=%s: expected a number up to %" G_GUINT64_FORMAT, key, text, most);
    return true;
}

static bool node_number(const Reader *r, const char *key, unsigned *node)
{
    uint64_t v;
    if (!number(r, key, NUMA_NODES - 1, &v, NULL))
        return false;
    if (v >= r->numa->n || !r->numa->node[v].said)
        return error_set(r->error, "%s=%u: there is no NUMA node of that number (-numa node,nodeid=%u comes first)",
                         key, (unsigned)v, (unsigned)v);
    *node = v;
    return true;
}

static bool set_cpu(const Reader *r, unsigned index, unsigned node)
{
    if (index >= r->m->smp.maxcpus)
        return error_set(r->error, "CPU index (%u) should be smaller than maxcpus (%u)", index, r->m->smp.maxcpus);
    if (r->numa->cpu_node[index] >= 0 && r->numa->cpu_node[index] != (int)node)
        return error_set(r->error, "CPU %u is in node %d already", index, r->numa->cpu_node[index]);
    r->numa->cpu_node[index] = node;
    r->numa->node[node].has_cpu = true;
    return true;
}

/* cpus=0-3,cpus=5 */
static bool set_cpus(const Reader *r, unsigned node)
{
    for (char **w = r->words; *w; w++) {
        unsigned first, last;
        int used = 0;
        if (strncmp(*w, "cpus=", 5))
            continue;
        if (sscanf(*w + 5, "%u%n", &first, &used) != 1)
            return error_set(r->error, "%s: expected a CPU's index or a range", *w);
        const char *rest = *w + 5 + used;
        last = first;
        if (*rest == '-' && (sscanf(rest, "-%u%n", &last, &used) != 1 || (rest += used, last < first)))
            return error_set(r->error, "%s: expected a range such as 0-3", *w);
        if (*rest)
            return error_set(r->error, "%s: expected a CPU's index or a range", *w);
        for (unsigned i = first; i <= last; i++)
            if (!set_cpu(r, i, node))
                return false;
    }
    return true;
}

static bool read_size(const Reader *r, const char *key, const char *unit, uint64_t *size)
{
    const char *text = text_of(r, key);
    g_autofree char *with_unit = NULL;
    if (!text)
        return true;
    with_unit = *text && g_ascii_isdigit(text[strlen(text) - 1]) ? g_strconcat(text, unit, NULL) : g_strdup(text);
    return keyval_size(with_unit, size) || error_set(r->error, "%s=%s: expected a size", key, text);
}

static bool take_size(const Reader *r, NumaNode *node, const char *memdev)
{
    Object *backend = object_child(r->m->vm->objects, memdev);
    PropValue v = {0};
    if (!backend || !object_is_a(backend, "memory-backend"))
        return error_set(r->error, "memdev=%s: there is no memory backend of that id", memdev);
    bool ok = object_get(backend, "size", &v, r->error);
    node->size = v.kind == VALUE_INT ? (uint64_t)v.i : v.u;
    prop_value_clear(&v);
    node->memdev = g_strdup(memdev);
    return ok;
}

static bool add_node(Reader *r)
{
    static const char *const keys[] = {"nodeid", "cpus", "mem", "memdev", "initiator", NULL};
    uint64_t id = r->numa->n, initiator;
    bool there;
    if (!known(r, keys) || !number(r, "nodeid", NUMA_NODES - 1, &id, &there))
        return false;
    if (id >= NUMA_NODES)
        return error_set(r->error, "there are at most %d NUMA nodes", NUMA_NODES);
    NumaNode *node = &r->numa->node[id];
    if (node->said)
        return error_set(r->error, "Duplicate NUMA nodeid: %u", (unsigned)id);
    if (text_of(r, "mem") && text_of(r, "memdev"))
        return error_set(r->error, "cannot specify both mem= and memdev=");
    node->said = true;
    r->numa->n = MAX(r->numa->n, id + 1);
    if (!number(r, "initiator", NUMA_NODES - 1, &initiator, &there))
        return false;
    if (there && !machine_truth(r->m, "hmat"))
        return error_set(r->error, "ACPI Heterogeneous Memory Attribute Table (HMAT) is disabled, enable it with "
                         "-machine hmat=on before using any of hmat specific options");
    node->initiator = there ? (int)initiator : -1;
    const char *memdev = text_of(r, "memdev");
    return set_cpus(r, id) && read_size(r, "mem", "M", &node->size) && (!memdev || take_size(r, node, memdev));
}

static bool add_cpu(Reader *r)
{
    static const char *const keys[] = {"node-id", "socket-id", "die-id", "core-id", "thread-id", NULL};
    const CpuTopology *t = &r->m->smp;
    const unsigned n[] = {t->sockets, MAX(t->dies, 1), MAX(t->cores, 1) * MAX(t->clusters, 1), MAX(t->threads, 1)};
    uint64_t at[4] = {0};
    bool there[4];
    unsigned node = 0, matched = 0;
    if (!known(r, keys) || !node_number(r, "node-id", &node))
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (!number(r, keys[i + 1], n[i] - 1, &at[i], &there[i]))
            return false;
    for (unsigned index = 0; index < t->maxcpus; index++) {
        unsigned rest = index;
        bool match = true;
        for (unsigned i = 4; i-- > 0; rest /= n[i])
            match &= !there[i] || rest % n[i] == at[i];
        if (match && !set_cpu(r, index, node))
            return false;
        matched += match;
    }
    return matched || error_set(r->error, "no CPU has that place");
}

static bool add_distance(Reader *r)
{
    static const char *const keys[] = {"src", "dst", "val", NULL};
    unsigned from = 0, to = 0;
    uint64_t v;
    if (!known(r, keys) || !node_number(r, "src", &from) || !node_number(r, "dst", &to) ||
        !number(r, "val", 255, &v, NULL))
        return false;
    if (v < NUMA_MIN_DISTANCE)
        return error_set(r->error, "NUMA distance (%u) is invalid, it shouldn't be less than %d", (unsigned)v,
                         NUMA_MIN_DISTANCE);
    if (from == to && v != NUMA_LOCAL)
        return error_set(r->error, "Local distance of node %u should be %d", from, NUMA_LOCAL);
    r->numa->node[from].distance[to] = v;
    r->numa->has_distances = true;
    return true;
}

static bool choice(const Reader *r, const char *key, const char *const *names, unsigned *value)
{
    const char *text = text_of(r, key);
    if (!text)
        return error_set(r->error, "Parameter '%s' is missing", key);
    for (*value = 0; names[*value]; ++*value)
        if (!strcmp(names[*value], text))
            return true;
    return error_set(r->error, "Parameter '%s' does not accept value '%s'", key, text);
}

static bool hmat_is_on(const Reader *r)
{
    return machine_truth(r->m, "hmat") ||
           error_set(r->error, "ACPI Heterogeneous Memory Attribute Table (HMAT) is disabled, enable it with "
                     "-machine hmat=on before using any of hmat specific options");
}

static bool add_locality(Reader *r)
{
    static const char *const keys[] = {"initiator", "target", "hierarchy", "data-type", "latency", "bandwidth", NULL};
    static const char *const levels[] = {"memory", "first-level", "second-level", "third-level", NULL};
    static const char *const types[] = {"access-latency", "read-latency", "write-latency", "access-bandwidth",
                                        "read-bandwidth", "write-bandwidth", NULL};
    unsigned from = 0, to = 0, level, type;
    if (!hmat_is_on(r) || !known(r, keys) || !node_number(r, "initiator", &from) || !node_number(r, "target", &to) ||
        !choice(r, "hierarchy", levels, &level) || !choice(r, "data-type", types, &type))
        return false;
    NumaLocality l = {from, to, level, type, 0};
    if (!text_of(r, type < 3 ? "latency" : "bandwidth") || text_of(r, type < 3 ? "bandwidth" : "latency"))
        return error_set(r->error, "data-type=%s goes with %s=", types[type], type < 3 ? "latency" : "bandwidth");
    if (type < 3 ? !number(r, "latency", UINT32_MAX, &l.value, NULL) : !read_size(r, "bandwidth", "", &l.value))
        return false;
    if (type >= 3 && (!l.value || l.value % (1 << 20)))
        return error_set(r->error, "bandwidth is a multiple of 1M");
    g_array_append_val(r->numa->localities, l);
    return true;
}

static bool add_cache(Reader *r)
{
    static const char *const keys[] = {"node-id", "size", "level", "associativity", "policy", "line", NULL};
    static const char *const ways[] = {"none", "direct", "complex", NULL};
    static const char *const policies[] = {"none", "write-back", "write-through", NULL};
    unsigned node = 0, way = 0, policy = 0;
    uint64_t level, line = 0;
    bool there;
    NumaCache c = {0};
    if (!hmat_is_on(r) || !known(r, keys) || !node_number(r, "node-id", &node) || !number(r, "level", 3, &level, NULL) ||
        !read_size(r, "size", "", &c.size) || !number(r, "line", 65535, &line, &there) ||
        (text_of(r, "associativity") && !choice(r, "associativity", ways, &way)) ||
        (text_of(r, "policy") && !choice(r, "policy", policies, &policy)))
        return false;
    if (!level || !c.size)
        return error_set(r->error, "a cache has a level from 1 on, and a size");
    c.node = node;
    c.level = level;
    c.associativity = way;
    c.policy = policy;
    c.line = line;
    g_array_append_val(r->numa->caches, c);
    return true;
}

static bool read_one(Machine *m, Numa *numa, const char *text, GError **error)
{
    static const struct { const char *kind; bool (*add)(Reader *r); } kinds[] = {
        {"node", add_node}, {"cpu", add_cpu}, {"dist", add_distance}, {"hmat-lb", add_locality}, {"hmat-cache", add_cache},
    };
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    Reader r = {m, numa, words + (words[0] != NULL), error};
    const char *kind = words[0] ? words[0] : "";
    kind = g_str_has_prefix(kind, "type=") ? kind + 5 : kind;
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (!strcmp(kind, kinds[i].kind)) {
            bool ok = kinds[i].add(&r);
            if (!ok)
                g_prefix_error(error, "-numa %s: ", text);
            return ok;
        }
    return error_set(error, "-numa %s: expected node, cpu, dist, hmat-lb or hmat-cache first", text);
}

/* ---- what is not said ---- */

static bool settle_memory(Machine *m, Numa *numa, GError **error)
{
    uint64_t sum = 0;
    bool by_backend = false, by_size = false;
    for (unsigned i = 0; i < numa->n; i++) {
        if (!numa->node[i].said)
            return error_set(error, "numa: Node ID missing: %u", i);
        sum += numa->node[i].size;
        by_backend |= numa->node[i].memdev != NULL;
        by_size |= numa->node[i].size && !numa->node[i].memdev;
    }
    if (!sum && numa->n == 1)
        sum = numa->node[0].size = m->ram_size;
    if (by_backend && by_size)
        return error_set(error, "numa configuration should use either mem= or memdev=, mixing both is not allowed");
    if (by_backend && m->memory_backend)
        return error_set(error, "'-machine memory-backend' and '-numa memdev' properties are mutually exclusive");
    return sum == m->ram_size || error_set(error, "total memory for NUMA nodes (0x%" G_GINT64_MODIFIER "x) should equal RAM "
                                           "size (0x%" G_GINT64_MODIFIER "x)", sum, m->ram_size);
}

/* By sockets if nobody says anything; else what is left goes to the first. */
static void settle_cpus(const Machine *m, Numa *numa)
{
    unsigned per_socket = MAX(m->smp.maxcpus / MAX(m->smp.sockets, 1), 1);
    bool any = false;
    for (unsigned i = 0; i < m->smp.maxcpus; i++)
        any |= numa->cpu_node[i] >= 0;
    for (unsigned i = 0; i < m->smp.maxcpus; i++) {
        if (numa->cpu_node[i] < 0)
            numa->cpu_node[i] = any ? 0 : i / per_socket % numa->n;
        numa->node[numa->cpu_node[i]].has_cpu = true;
    }
}

static bool settle_distances(Numa *numa, GError **error)
{
    for (unsigned i = 0; numa->has_distances && i < numa->n; i++)
        for (unsigned k = 0; k < numa->n; k++) {
            uint8_t *d = &numa->node[i].distance[k], back = numa->node[k].distance[i];
            if (i == k)
                *d = NUMA_LOCAL;
            else if (!*d && !back)
                return error_set(error, "The distance between node %u and %u is missing, at least one distance value "
                                 "between each nodes should be provided.", i, k);
            else if (!*d)
                *d = back;
        }
    return true;
}

static bool check_initiators(const Numa *numa, GError **error)
{
    for (unsigned i = 0; i < numa->n; i++) {
        int who = numa->node[i].initiator;
        if (who >= 0 && (who >= (int)numa->n || !numa->node[who].has_cpu))
            return error_set(error, "The initiator of NUMA node %u is invalid: node %d has no CPU", i, who);
    }
    return true;
}

bool config_numa(Machine *m, const GPtrArray *texts, GError **error)
{
    bool wanted = texts && texts->len;
    if (!wanted && !(m->type_->numa && m->max_ram_size > m->ram_size))
        return true;
    if (!m->type_->numa)
        return error_set(error, "NUMA is not supported by this machine-type");
    Numa *numa = m->numa = numa_new(m->smp.maxcpus);
    for (unsigned i = 0; wanted && i < texts->len; i++)
        if (!read_one(m, numa, g_ptr_array_index(texts, i), error))
            return false;
    if (!numa->n) {
        if (wanted)
            return error_set(error, "-numa: there is no node");
        numa->n = 1;
        numa->node[0].said = true;
        numa->implicit = true;
    }
    if (!settle_memory(m, numa, error))
        return false;
    settle_cpus(m, numa);
    return settle_distances(numa, error) && check_initiators(numa, error);
}
