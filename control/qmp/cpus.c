/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about CPUs: those of the machine, and the models of its architecture. */
#include <string.h>

#include "control/device-add.h"
#include "core/numa.h"
#include "core/vm.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

/* ---- places ---- */

#define PLACE(p, member, value) ((p)->has_##member = true, (p)->member = (value))

/* Threads count fastest, then cores, clusters, dies, sockets. */
static CpuInstanceProperties *place_of(const Machine *m, unsigned index)
{
    const CpuTopology *t = &m->smp;
    unsigned of = index;
    unsigned threads = MAX(t->threads, 1), cores = MAX(t->cores, 1);
    unsigned clusters = MAX(t->clusters, 1), dies = MAX(t->dies, 1);
    bool x86 = strcmp(m->arch, "x86_64") == 0 || strcmp(m->arch, "i386") == 0;
    CpuInstanceProperties *p = g_new0(CpuInstanceProperties, 1);

    PLACE(p, thread_id, index % threads);
    index /= threads;
    if (x86 && clusters == 1) {
        PLACE(p, core_id, index % cores);
    } else {
        PLACE(p, core_id, index % cores);
        PLACE(p, cluster_id, index / cores % clusters);
    }
    index /= cores * clusters;
    if (dies > 1) {
        PLACE(p, die_id, index % dies);
    }
    PLACE(p, socket_id, index / dies);
    if (m->numa && of < m->smp.maxcpus) {
        PLACE(p, node_id, m->numa->cpu_node[of]);
    }
    return p;
}

CpuInfoFastList *qmp_query_cpus_fast(Vm *vm, GError **error)
{
    CpuInfoFastList *list = cpu_info_fast_list_new();

    for (unsigned i = 0; i < vm->n_cpus; i++) {
        Cpu *cpu = vm->cpus[i];
        if (!cpu) {
            continue;
        }
        CpuInfoFast *info = g_new0(CpuInfoFast, 1);
        info->cpu_index = i;
        info->qom_path = object_path(&cpu->dev.object);
        info->thread_id = __atomic_load_n(&cpu->tid, __ATOMIC_RELAXED);
        info->props = vm->machine ? place_of(vm->machine, i) : NULL;
        info->qom_type = g_strdup(cpu->dev.object.type->name);
        sys_emu_target_parse(cpu->isa->name, &info->target);
        cpu_info_fast_list_add(list, info);
    }
    return list;
}

HotpluggableCPUList *qmp_query_hotpluggable_cpus(Vm *vm, GError **error)
{
    Machine *m = vm->machine;

    if (!m || !m->type_->cpu_plug || !vm->n_cpus) {
        error_set(error, "machine does not support hot-plugging CPUs");
        return NULL;
    }
    HotpluggableCPUList *list = hotpluggable_cpu_list_new();
    for (unsigned i = m->smp.maxcpus; i-- > 0;) {
        HotpluggableCPU *h = g_new0(HotpluggableCPU, 1);
        Cpu *cpu = i < vm->n_cpus ? vm->cpus[i] : NULL;
        h->type = g_strdup((cpu ? cpu : vm->cpus[0])->dev.object.type->name);
        h->vcpus_count = 1;
        h->props = place_of(m, i);
        h->qom_path = cpu ? object_path(&cpu->dev.object) : NULL;
        hotpluggable_cpu_list_add(list, h);
    }
    return list;
}

/* ---- models ---- */

static const GuestIsa *isa_of(Vm *vm, GError **error)
{
    const GuestIsa *isa = vm->machine ? isa_find(vm->machine->arch) : NULL;

    if (!isa) {
        error_set(error, "there is no machine whose architecture could be told");
    }
    return isa;
}

typedef struct ModelList {
    Vm *vm;
    const GuestIsa *isa;
    const char *suffix;         /* "-x86_64-cpu" */
    CpuDefinitionInfoList *list;
} ModelList;

static void add_facts(ModelList *l, CpuDefinitionInfo *info)
{
    CpuModelFacts facts = {0};
    Cpu *cpu = l->isa->model_facts ? cpu_create(l->vm, l->isa, info->name, 0, NULL) : NULL;

    if (!cpu) {
        return;
    }
    l->isa->model_facts(cpu, &facts);
    object_unref(&cpu->dev.object);
    info->alias_of = facts.alias_of;
    info->migration_safe = facts.migration_safe;
    info->static_ = facts.is_static;
    info->deprecated = facts.deprecated;
    if (facts.unavailable) {
        info->unavailable_features = str_list_new();
        for (unsigned i = 0; i < facts.unavailable->len; i++) {
            str_list_add(info->unavailable_features, g_strdup(facts.unavailable->pdata[i]));
        }
        g_ptr_array_unref(facts.unavailable);
    }
}

static void add_model(const ObjectType *t, void *data)
{
    ModelList *l = data;

    if (t->abstract || !g_str_has_suffix(t->name, l->suffix) || !object_type_is_a(t, "cpu")) {
        return;
    }
    CpuDefinitionInfo *info = g_new0(CpuDefinitionInfo, 1);
    info->name = g_strndup(t->name, strlen(t->name) - strlen(l->suffix));
    info->typename = g_strdup(t->name);
    info->has_migration_safe = true;
    info->migration_safe = strcmp(info->name, "max") != 0 && strcmp(info->name, "host") != 0;
    add_facts(l, info);
    cpu_definition_info_list_add(l->list, info);
}

CpuDefinitionInfoList *qmp_query_cpu_definitions(Vm *vm, GError **error)
{
    const GuestIsa *isa = isa_of(vm, error);

    if (!isa) {
        return NULL;
    }
    g_autofree char *suffix = g_strdup_printf("-%s", isa->cpu_suffix);
    ModelList l = {vm, isa, suffix, cpu_definition_info_list_new()};
    object_type_foreach(add_model, &l);
    return l.list;
}

/* ---- expansion ---- */

typedef struct Expansion {
    Object *cpu;
    bool full;
    Json *props;
} Expansion;

static Json *field_json(Object *o, const Field *f)
{
    PropValue v = {0};
    Json *json = NULL;

    if (!object_get(o, f->name, &v, NULL)) {
        return NULL;
    }
    if (v.kind == VALUE_BOOL) {
        json = json_bool(v.b);
    } else if (v.kind == VALUE_INT) {
        json = json_int(v.i);
    } else if (v.kind == VALUE_UINT) {
        json = json_uint(v.u);
    } else if (v.kind == VALUE_STRING) {
        json = json_string(v.s ? v.s : "");
    }
    prop_value_clear(&v);
    return json;
}

/* A static model says its features and its identity; a full one every property. */
static bool add_field(const Field *f, void *data)
{
    static const char *const identity[] = {"vendor", "family", "model", "stepping", "model-id",
                                           "min-level", "min-xlevel", NULL};
    Expansion *e = data;

    if (f->kind == FIELD_PROP &&
        (e->full || f->type == PROP_BIT || g_strv_contains(identity, f->name))) {
        Json *value = field_json(e->cpu, f);
        if (value) {
            json_set(e->props, f->name, value);
        }
    }
    return false;
}

/* Whether there is a model of the host's CPU, which not every accelerator has. */
static bool host_model(Vm *vm, const GuestIsa *isa)
{
    Cpu *cpu = isa->expand ? cpu_create(vm, isa, "host", 0, NULL) : NULL;
    bool have = cpu && isa->expand(cpu, NULL);

    if (cpu) {
        object_unref(&cpu->dev.object);
    }
    return have;
}

/* A CPU of the model, not realized, with its changes; the caller unrefs it. */
static Cpu *make_model(Vm *vm, const GuestIsa *isa, const CpuModelInfo *model, GError **error)
{
    static const char *const none[] = {NULL};

    if (strcmp(model->name, "host") == 0 && !host_model(vm, isa)) {
        error_set(error, "The CPU type 'host' requires KVM");
        return NULL;
    }
    if (strchr(model->name, ',')) {
        error_set(error, "unable to find CPU model '%s'", model->name);
        return NULL;
    }
    Cpu *cpu = cpu_create(vm, isa, model->name, 0, error);
    if (!cpu) {
        return NULL;
    }
    bool ok = true;
    if (model->props && json_type(model->props) != JSON_OBJECT) {
        ok = error_set(error, "Parameter 'model.props' expects an object");
    } else if (model->props) {
        ok = object_set_json(&cpu->dev.object, model->props, none, error);
    }
    if (!ok || (isa->expand && !isa->expand(cpu, error))) {
        object_unref(&cpu->dev.object);
        return NULL;
    }
    return cpu;
}

CpuModelExpansionInfo *qmp_query_cpu_model_expansion(Vm *vm, CpuModelExpansionType type,
                                                     CpuModelInfo *model, GError **error)
{
    const GuestIsa *isa = isa_of(vm, error);
    bool full = type == CPU_MODEL_EXPANSION_TYPE_FULL;

    if (!isa) {
        return NULL;
    }
    if (!full && strcmp(isa->name, "x86_64") != 0 && strcmp(isa->name, "i386") != 0) {
        error_set(error, "The requested expansion type is not supported: only 'full' is");
        return NULL;
    }
    Cpu *cpu = make_model(vm, isa, model, error);
    if (!cpu) {
        return NULL;
    }
    Expansion e = {&cpu->dev.object, full, json_object()};
    object_type_fields(e.cpu->type, add_field, &e);
    object_unref(e.cpu);
    CpuModelExpansionInfo *info = g_new0(CpuModelExpansionInfo, 1);
    info->model = g_new0(CpuModelInfo, 1);
    info->model->name = g_strdup(full ? model->name : "base");
    info->model->props = e.props;
    return info;
}

/* ---- comparison ---- */

/* Features of two models, and what they have in common. */
typedef struct Pair {
    Object *cpu[2];
    StrList *differing;
    Json *common;
    bool more[2];
} Pair;

static bool compare_field(const Field *f, void *data)
{
    Pair *p = data;
    bool has[2] = {false, false};

    if (f->kind != FIELD_PROP || f->type != PROP_BIT) {
        return false;
    }
    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(Json) value = field_json(p->cpu[i], f);
        json_get_bool(value, &has[i]);
    }
    p->more[0] |= has[0] && !has[1];
    p->more[1] |= has[1] && !has[0];
    if (has[0] != has[1]) {
        str_list_add(p->differing, g_strdup(f->name));
    }
    json_set(p->common, f->name, json_bool(has[0] && has[1]));
    return false;
}

static void pair_clear(Pair *p)
{
    for (unsigned i = 0; i < 2; i++) {
        if (p->cpu[i]) {
            object_unref(p->cpu[i]);
        }
    }
    str_list_free(p->differing);
    json_unref(p->common);
}

static bool pair_make(Pair *p, Vm *vm, const CpuModelInfo *a, const CpuModelInfo *b, GError **error)
{
    const GuestIsa *isa = isa_of(vm, error);
    Cpu *first = isa ? make_model(vm, isa, a, error) : NULL;
    Cpu *second = first ? make_model(vm, isa, b, error) : NULL;

    *p = (Pair){.cpu = {first ? &first->dev.object : NULL, second ? &second->dev.object : NULL},
                .differing = str_list_new(), .common = json_object()};
    if (second) {
        object_type_fields(p->cpu[0]->type, compare_field, p);
    }
    return second != NULL;
}

CpuModelCompareInfo *qmp_query_cpu_model_comparison(Vm *vm, CpuModelInfo *modela, CpuModelInfo *modelb,
                                                    GError **error)
{
    static const CpuModelCompareResult results[2][2] = {
        {CPU_MODEL_COMPARE_RESULT_IDENTICAL, CPU_MODEL_COMPARE_RESULT_SUBSET},
        {CPU_MODEL_COMPARE_RESULT_SUPERSET, CPU_MODEL_COMPARE_RESULT_INCOMPATIBLE},
    };
    CpuModelCompareInfo *info = NULL;
    Pair p;

    if (pair_make(&p, vm, modela, modelb, error)) {
        info = cpu_model_compare_info_new(results[p.more[0]][p.more[1]], g_steal_pointer(&p.differing));
    }
    pair_clear(&p);
    return info;
}

CpuModelBaselineInfo *qmp_query_cpu_model_baseline(Vm *vm, CpuModelInfo *modela, CpuModelInfo *modelb,
                                                   GError **error)
{
    CpuModelBaselineInfo *info = NULL;
    Pair p;
    bool ok = pair_make(&p, vm, modela, modelb, error);
    g_autofree char *base = ok ? g_strdup_printf("base-%s", isa_of(vm, NULL)->cpu_suffix) : NULL;

    if (ok && !object_type_find(base)) {
        error_set(error, "this architecture has no CPU model 'base' to begin from");
    } else if (ok) {
        info = g_new0(CpuModelBaselineInfo, 1);
        info->model = cpu_model_info_new("base");
        info->model->props = g_steal_pointer(&p.common);
    }
    pair_clear(&p);
    return info;
}
