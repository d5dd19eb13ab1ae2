/* SPDX-License-Identifier: Apache-2.0 */
/* The items of info: QMP queries, printed the way that scripts parse. */
#include <string.h>

#include "control/hmp.h"
#include "control/session.h"
#include "core/numa.h"
#include "core/accel.h"
#include "hw/usb.h"
#include "net/net.h"
#include "hw/mem.h"
#include "util/error.h"
#include "util/log.h"

/* ---- small helpers; an absent member is 0, false, "" ---- */

static int64_t integer(const Json *object, const char *name)
{
    int64_t value = 0;

    json_get_int(json_get(object, name), &value);
    return value;
}

static bool truth(const Json *object, const char *name)
{
    bool value = false;

    json_get_bool(json_get(object, name), &value);
    return value;
}

#define I64 G_GINT64_FORMAT
#define X64 G_GINT64_MODIFIER "x"

/* ---- the machine ---- */

static void show_version(Hmp *hmp, const Json *v)
{
    const Json *qemu = json_get(v, "qemu");

    hmp_print(hmp, "%" I64 ".%" I64 ".%" I64 "%s\n", integer(qemu, "major"),
              integer(qemu, "minor"), integer(qemu, "micro"), hmp_text(v, "package"));
}

static void show_status(Hmp *hmp, const Json *v)
{
    const char *status = hmp_text(v, "status");
    bool plain = strcmp(status, "running") == 0 || strcmp(status, "paused") == 0;

    hmp_print(hmp, "VM status: %s", truth(v, "running") ? "running" : "paused");
    hmp_print(hmp, plain ? "\n" : " (%s)\n", status);
}

static void show_name(Hmp *hmp, const Json *v)
{
    if (json_get(v, "name") != NULL) {
        hmp_print(hmp, "%s\n", hmp_text(v, "name"));
    }
}

static void show_uuid(Hmp *hmp, const Json *v)
{
    hmp_print(hmp, "%s\n", hmp_text(v, "UUID"));
}

static void show_guid(Hmp *hmp, const Json *v)
{
    hmp_print(hmp, "%s\n", hmp_text(v, "guid"));
}

static void show_balloon(Hmp *hmp, const Json *v)
{
    hmp_print(hmp, "balloon: actual=%" I64 "\n", integer(v, "actual") >> 20);
}

/* "qemu64-x86_64-cpu" without the architecture's suffix. */
static char *model_of(const char *type)
{
    g_autofree char *name = g_strdup(type);

    if (g_str_has_suffix(name, "-cpu")) {
        name[strlen(name) - 4] = '\0';
        char *dash = strrchr(name, '-');
        if (dash != NULL) {
            *dash = '\0';
        }
    }
    return g_steal_pointer(&name);
}

static void show_cpus(Hmp *hmp, const Json *list)
{
    int64_t chosen = MAX(hmp->session->cpu_index, 0);

    for (size_t i = 0; i < json_length(list); i++) {
        const Json *cpu = json_at(list, i);
        int64_t index = integer(cpu, "cpu-index");
        hmp_print(hmp, "%c CPU #%" I64 ": thread_id=%" I64, index == chosen ? '*' : ' ', index,
                  integer(cpu, "thread-id"));
        g_autofree char *model = model_of(hmp_text(cpu, "qom-type"));
        hmp_print(hmp, *model != '\0' ? " model=%s\n" : "\n", model);
    }
}

static void show_iothreads(Hmp *hmp, const Json *list)
{
    for (size_t i = 0; i < json_length(list); i++) {
        const Json *t = json_at(list, i);
        hmp_print(hmp,
                  "%s:\n  thread_id=%" I64 "\n  poll-max-ns=%" I64 "\n  poll-grow=%" I64
                  "\n  poll-shrink=%" I64 "\n  aio-max-batch=%" I64 "\n",
                  hmp_text(t, "id"), integer(t, "thread-id"), integer(t, "poll-max-ns"),
                  integer(t, "poll-grow"), integer(t, "poll-shrink"),
                  integer(t, "aio-max-batch"));
    }
}

static void show_tpm(Hmp *hmp, const Json *list)
{
    if (json_length(list) > 0) {
        hmp_print(hmp, "TPM device:\n");
    }
    for (size_t i = 0; i < json_length(list); i++) {
        const Json *t = json_at(list, i), *how = json_get(t, "options");
        hmp_print(hmp, " tpm%zu: model=%s\n  \\ %s: type=%s,chardev=%s\n", i, hmp_text(t, "model"), hmp_text(t, "id"),
                  hmp_text(how, "type"), hmp_text(json_get(how, "data"), "chardev"));
    }
}

static void show_memory_size(Hmp *hmp, const Json *v)
{
    hmp_print(hmp, "base memory: %" I64 "\n", integer(v, "base-memory"));
    if (json_get(v, "plugged-memory") != NULL) {
        hmp_print(hmp, "plugged memory: %" I64 "\n", integer(v, "plugged-memory"));
    }
}

static void show_flag(Hmp *hmp, const Json *object, const char *name)
{
    if (json_get(object, name) != NULL) {
        hmp_print(hmp, "  %s: %s\n", name, truth(object, name) ? "true" : "false");
    }
}

static void show_memdev(Hmp *hmp, const Json *list)
{
    static const char *const flags[] = { "merge", "dump", "prealloc", "share", "reserve" };

    for (size_t i = 0; i < json_length(list); i++) {
        const Json *m = json_at(list, i), *nodes = json_get(m, "host-nodes");
        hmp_print(hmp, "memory backend: %s\n  size:  %" I64 "\n", hmp_text(m, "id"),
                  integer(m, "size"));
        for (size_t f = 0; f < G_N_ELEMENTS(flags); f++) {
            show_flag(hmp, m, flags[f]);
        }
        hmp_print(hmp, "  policy: %s\n  host nodes: ", hmp_text(m, "policy"));
        for (size_t n = 0; nodes != NULL && n < json_length(nodes); n++) {
            g_autofree char *number = json_print(json_at(nodes, n), false);
            hmp_print(hmp, "%s%s", n > 0 ? "," : "", number);
        }
        hmp_print(hmp, "\n");
    }
    hmp_print(hmp, "\n");
}

static void show_hotpluggable(Hmp *hmp, const Json *list)
{
    hmp_print(hmp, "Hotpluggable CPUs:\n");
    for (size_t i = 0; i < json_length(list); i++) {
        const Json *c = json_at(list, i), *props = json_get(c, "props");
        hmp_print(hmp, "  type: \"%s\"\n  vcpus_count: \"%" I64 "\"\n", hmp_text(c, "type"),
                  integer(c, "vcpus-count"));
        if (json_get(c, "qom-path") != NULL) {
            hmp_print(hmp, "  qom_path: \"%s\"\n", hmp_text(c, "qom-path"));
        }
        hmp_print(hmp, "  CPUInstance Properties:\n");
        for (size_t p = 0; p < json_length(props); p++) {
            const char *name = json_key_at(props, p);
            hmp_print(hmp, "    %s: \"%" I64 "\"\n", name, integer(props, name));
        }
    }
}

/* ---- back ends ---- */

static void show_chardev(Hmp *hmp, const Json *list)
{
    for (size_t i = 0; i < json_length(list); i++) {
        const Json *c = json_at(list, i);
        hmp_print(hmp, "%s: filename=%s\n", hmp_text(c, "label"), hmp_text(c, "filename"));
    }
}

static void show_mice(Hmp *hmp, const Json *list)
{
    if (json_length(list) == 0) {
        hmp_print(hmp, "No mouse devices connected\n");
    }
    for (size_t i = 0; i < json_length(list); i++) {
        const Json *m = json_at(list, i);
        hmp_print(hmp, "%c Mouse #%" I64 ": %s%s\n", truth(m, "current") ? '*' : ' ',
                  integer(m, "index"), hmp_text(m, "name"), truth(m, "absolute") ? " (absolute)" : "");
    }
}

static void show_medium(Hmp *hmp, const Json *medium)
{
    const Json *cache = json_get(medium, "cache");
    bool writeback = truth(cache, "writeback");

    hmp_print(hmp, "    Cache mode:       %s%s%s\n", writeback ? "writeback" : "writethrough",
              truth(cache, "direct") ? ", direct" : "",
              truth(cache, "no-flush") ? ", ignore flushes" : "");
    if (json_get(medium, "backing_file") != NULL) {
        hmp_print(hmp, "    Backing file:     %s (chain depth: %" I64 ")\n",
                  hmp_text(medium, "backing_file"), integer(medium, "backing_file_depth"));
    }
    if (strcmp(hmp_text(medium, "detect_zeroes"), "off") != 0) {
        hmp_print(hmp, "    Detect zeroes:    %s\n", hmp_text(medium, "detect_zeroes"));
    }
}

static void show_drive(Hmp *hmp, const Json *drive)
{
    const Json *medium = json_get(drive, "inserted");
    const char *name = hmp_text(drive, "device"), *node = hmp_text(medium, "node-name");

    hmp_print(hmp, "%s", *name != '\0' ? name : *node != '\0' ? node : "<anonymous>");
    if (*name != '\0' && *node != '\0') {
        hmp_print(hmp, " (%s)", node);
    }
    if (medium != NULL) {
        hmp_print(hmp, ": %s (%s%s%s)\n", hmp_text(medium, "file"), hmp_text(medium, "drv"),
                  truth(medium, "ro") ? ", read-only" : "",
                  truth(medium, "encrypted") ? ", encrypted" : "");
    } else {
        hmp_print(hmp, ": [not inserted]\n");
    }
    if (json_get(drive, "qdev") != NULL) {
        hmp_print(hmp, "    Attached to:      %s\n", hmp_text(drive, "qdev"));
    }
    if (truth(drive, "removable")) {
        hmp_print(hmp, "    Removable device: %slocked, tray %s\n",
                  truth(drive, "locked") ? "" : "not ",
                  truth(drive, "tray_open") ? "open" : "closed");
    }
    if (json_get(drive, "io-status") != NULL && strcmp(hmp_text(drive, "io-status"), "ok") != 0) {
        hmp_print(hmp, "    I/O status:       %s\n", hmp_text(drive, "io-status"));
    }
    if (medium != NULL) {
        show_medium(hmp, medium);
    }
}

static void show_block(Hmp *hmp, const Json *list)
{
    for (size_t i = 0; i < json_length(list); i++) {
        hmp_print(hmp, i > 0 ? "\n" : "");
        show_drive(hmp, json_at(list, i));
    }
}

static void show_blockstats(Hmp *hmp, const Json *list)
{
    static const char *const names[] = {
        "rd_bytes", "wr_bytes", "rd_operations", "wr_operations", "flush_operations",
        "wr_total_time_ns", "rd_total_time_ns", "flush_total_time_ns", "rd_merged", "wr_merged",
        "idle_time_ns",
    };
    for (size_t i = 0; i < json_length(list); i++) {
        const Json *disk = json_at(list, i), *stats = json_get(disk, "stats");
        hmp_print(hmp, "%s:", *hmp_text(disk, "device") != '\0' ? hmp_text(disk, "device")
                                                             : hmp_text(disk, "node-name"));
        for (size_t n = 0; n < G_N_ELEMENTS(names); n++) {
            hmp_print(hmp, " %s=%" I64, names[n], integer(stats, names[n]));
        }
        hmp_print(hmp, "\n");
    }
}

/* ---- PCI ---- */

static void show_region(Hmp *hmp, const Json *r)
{
    int64_t address = integer(r, "address"), end = address + integer(r, "size") - 1;

    hmp_print(hmp, "      BAR%" I64 ": ", integer(r, "bar"));
    if (strcmp(hmp_text(r, "type"), "io") == 0) {
        hmp_print(hmp, address == -1 ? "I/O (not mapped)\n" : "I/O at 0x%04" X64 " [0x%04" X64 "].\n",
                  (uint64_t)address, (uint64_t)end);
        return;
    }
    hmp_print(hmp, "%d bit%s memory ", truth(r, "mem_type_64") ? 64 : 32,
              truth(r, "prefetch") ? " prefetchable" : "");
    hmp_print(hmp, address == -1 ? "(not mapped)\n" : "at 0x%08" X64 " [0x%08" X64 "].\n",
              (uint64_t)address, (uint64_t)end);
}

static void show_pci_devices(Hmp *hmp, const Json *devices);

static void show_range(Hmp *hmp, const Json *bus, const char *member, const char *what)
{
    const Json *r = json_get(bus, member);

    hmp_print(hmp, "      %s range [0x%08" X64 ", 0x%08" X64 "]\n", what,
              (uint64_t)integer(r, "base"), (uint64_t)integer(r, "limit"));
}

static void show_bridge(Hmp *hmp, const Json *bridge)
{
    const Json *bus = json_get(bridge, "bus");

    hmp_print(hmp,
              "      BUS %" I64 ".\n      secondary bus %" I64 ".\n      subordinate bus %" I64
              ".\n",
              integer(bus, "number"), integer(bus, "secondary"), integer(bus, "subordinate"));
    show_range(hmp, bus, "io_range", "IO");
    show_range(hmp, bus, "memory_range", "memory");
    show_range(hmp, bus, "prefetchable_range", "prefetchable memory");
}

static void show_pci_device(Hmp *hmp, const Json *d)
{
    const Json *class = json_get(d, "class_info"), *id = json_get(d, "id");
    const Json *bridge = json_get(d, "pci_bridge"), *regions = json_get(d, "regions");

    hmp_print(hmp, "  Bus %2" I64 ", device %3" I64 ", function %" I64 ":\n    ",
              integer(d, "bus"), integer(d, "slot"), integer(d, "function"));
    if (json_get(class, "desc") != NULL) {
        hmp_print(hmp, "%s", hmp_text(class, "desc"));
    } else {
        hmp_print(hmp, "Class %04" I64, integer(class, "class"));
    }
    hmp_print(hmp, ": PCI device %04" X64 ":%04" X64 "\n", integer(id, "vendor"),
              integer(id, "device"));
    if (json_get(id, "subsystem-vendor") != NULL) {
        hmp_print(hmp, "      PCI subsystem %04" X64 ":%04" X64 "\n",
                  integer(id, "subsystem-vendor"), integer(id, "subsystem"));
    }
    if (json_get(d, "irq") != NULL) {
        hmp_print(hmp, "      IRQ %" I64 ", pin %c\n", integer(d, "irq"),
                  (char)('A' + integer(d, "irq_pin") - 1));
    }
    if (bridge != NULL) {
        show_bridge(hmp, bridge);
    }
    for (size_t i = 0; regions != NULL && i < json_length(regions); i++) {
        show_region(hmp, json_at(regions, i));
    }
    hmp_print(hmp, "      id \"%s\"\n", hmp_text(d, "qdev_id"));
    if (json_get(bridge, "devices") != NULL) {
        show_pci_devices(hmp, json_get(bridge, "devices"));
    }
}

static void show_pci_devices(Hmp *hmp, const Json *devices)
{
    for (size_t i = 0; i < json_length(devices); i++) {
        show_pci_device(hmp, json_at(devices, i));
    }
}

static void show_pci(Hmp *hmp, const Json *buses)
{
    for (size_t i = 0; i < json_length(buses); i++) {
        show_pci_devices(hmp, json_get(json_at(buses, i), "devices"));
    }
}

/* ---- what QMP does not have ---- */

static void print_trace(const TracePoint *point, const char *full_name, void *data)
{
    hmp_print(data, "%s : state %d\n", full_name, point->on);
}

static bool run_trace_events(Hmp *hmp, const Json *args, GError **error)
{
    trace_foreach(print_trace, hmp);
    return true;
}

static bool run_network(Hmp *hmp, const Json *args, GError **error)
{
    g_autofree char *text = net_describe(hmp->vm);

    hmp_print(hmp, "%s", text);
    return true;
}

static bool run_mtree(Hmp *hmp, const Json *args, GError **error)
{
    mem_info_mtree(hmp->vm, hmp->out, truth(args, "flat"));
    return true;
}

static bool run_kvm(Hmp *hmp, const Json *args, GError **error)
{
    const AccelType *type = accel_of(hmp->vm);
    bool used = type && strcmp(type->accel, "kvm") == 0;

    hmp_print(hmp, "kvm support: %s\n", used ? "enabled" : "disabled");
    if (used) {
        type->info(hmp->vm->accel, hmp->out);
    }
    return true;
}

static bool run_jit(Hmp *hmp, const Json *args, GError **error)
{
    Accel *a = hmp->vm->accel;
    const AccelType *type = a ? (const AccelType *)a->object.type : NULL;

    if (!type || !type->info) {
        return error_set(error, "the accelerator keeps no statistics");
    }
    type->info(a, hmp->out);
    return true;
}

static void dump_registers(Cpu *cpu, void *data)
{
    cpu->isa->dump(cpu, CPU_DUMP_ALL, data);
}

static bool show_registers(Hmp *hmp, Cpu *cpu, GError **error)
{
    if (cpu->isa->dump == NULL) {
        return error_set(error, "there is no list of registers for %s", cpu->isa->name);
    }
    hmp_print(hmp, "\nCPU#%u\n", cpu->index);
    cpu_run_on(cpu, dump_registers, hmp->out);
    return true;
}

static bool run_registers(Hmp *hmp, const Json *args, GError **error)
{
    int64_t index = MAX(hmp->session->cpu_index, 0);
    bool ok = true;

    if (truth(args, "all")) {
        for (unsigned i = 0; ok && i < hmp->vm->n_cpus; i++) {
            ok = !hmp->vm->cpus[i] || show_registers(hmp, hmp->vm->cpus[i], error);
        }
        return ok;
    }
    json_get_int(json_get(args, "vcpu"), &index);
    if (!cpu_at(hmp->vm, index)) {
        return error_set(error, "CPU#%" I64 " not available", index);
    }
    return show_registers(hmp, hmp->vm->cpus[index], error);
}

static void print_tree(Hmp *hmp, Object *o, unsigned depth)
{
    hmp_print(hmp, "%*s/%s (%s)\n", (int)depth * 2, "", o->name != NULL ? o->name : "",
              o->type->name);
    for (guint i = 0; o->child_list != NULL && i < o->child_list->len; i++) {
        print_tree(hmp, g_ptr_array_index(o->child_list, i), depth + 1);
    }
}

static bool run_usb(Hmp *hmp, const Json *args, GError **error)
{
    usb_info(hmp->vm, hmp->out);
    return true;
}

static bool run_qom_tree(Hmp *hmp, const Json *args, GError **error)
{
    const char *path = json_get_text(args, "path");
    bool ambiguous = false;
    Object *o = object_resolve(hmp->vm, path != NULL ? path : "/machine", NULL, &ambiguous);

    if (o == NULL) {
        return error_set(error, ambiguous ? "Path '%s' is ambiguous." : "Path '%s' could not be "
                         "resolved.", path != NULL ? path : "/machine");
    }
    print_tree(hmp, o, 0);
    return true;
}

static void print_block(const RamInfo *block, void *data)
{
    hmp_print(data, "%25s  %6" G_GUINT64_FORMAT " KiB  0x%016" X64 "  0x%016" X64 "  %s\n",
              block->id, block->page_size >> 10, block->ram_offset, block->size,
              block->readonly ? "ro" : "rw");
}

static bool run_ramblock(Hmp *hmp, const Json *args, GError **error)
{
    hmp_print(hmp, "%25s  %10s  %18s  %18s  %s\n", "Block Name", "PSize", "Offset", "Used", "RO");
    ram_foreach(hmp->vm, print_block, hmp);
    return true;
}

typedef struct NodeMemory {
    unsigned node;
    uint64_t plugged;
} NodeMemory;

static void add_to_node(MemoryDevice *m, void *data)
{
    NodeMemory *n = data;

    n->plugged += m->node == n->node ? m->size : 0;
}

static bool run_numa(Hmp *hmp, const Json *args, GError **error)
{
    const Numa *numa = hmp->vm->machine ? hmp->vm->machine->numa : NULL;

    hmp_print(hmp, "%u nodes\n", numa ? numa->n : 0);
    for (unsigned i = 0; numa && i < numa->n; i++) {
        NodeMemory of = {i, 0};
        memory_device_foreach(hmp->vm, add_to_node, &of);
        hmp_print(hmp, "node %u cpus:", i);
        for (unsigned c = 0; c < hmp->vm->n_cpus; c++) {
            if (hmp->vm->cpus[c] && numa->cpu_node[c] == (int)i) {
                hmp_print(hmp, " %u", c);
            }
        }
        hmp_print(hmp, "\nnode %u size: %" G_GUINT64_FORMAT " MB\n", i, (numa->node[i].size + of.plugged) >> 20);
        hmp_print(hmp, "node %u plugged: %" G_GUINT64_FORMAT " MB\n", i, of.plugged >> 20);
    }
    return true;
}

static const HmpCommand items[] = {
    { "info version", "", "", "show the version", .qmp = "query-version", .show = show_version },
    { "info status", "", "", "show the current VM status (running|paused)", .qmp = "query-status",
      .show = show_status },
    { "info name", "", "", "show the current VM name", .qmp = "query-name", .show = show_name },
    { "info uuid", "", "", "show the current VM UUID", .qmp = "query-uuid", .show = show_uuid },
    { "info vm-generation-id", "", "", "show the number of the device vmgenid", .qmp = "query-vm-generation-id",
      .show = show_guid },
    { "info kvm", "", "", "show KVM information and counters", .run = run_kvm },
    { "info accelerators", "", "", "show the accelerators", .qmp = "query-accelerators" },
    { "info cpus", "", "", "show infos for each CPU", .qmp = "query-cpus-fast",
      .show = show_cpus },
    { "info hotpluggable-cpus", "", "", "show information about hotpluggable CPUs",
      .qmp = "query-hotpluggable-cpus", .show = show_hotpluggable },
    { "info registers", "all:-a vcpu:i?", "[-a|vcpu]", "show the cpu registers",
      .run = run_registers },
    { "info balloon", "", "", "show balloon information", .qmp = "query-balloon",
      .show = show_balloon },
    { "info memory_size_summary", "", "", "show the amount of memory in bytes",
      .qmp = "query-memory-size-summary", .show = show_memory_size },
    { "info memdev", "", "", "show memory backends", .qmp = "query-memdev", .show = show_memdev },
    { "info memory-devices", "", "", "show memory devices", .qmp = "query-memory-devices" },
    { "info numa", "", "", "show NUMA information", .run = run_numa },
    { "info mtree", "flat:-f", "[-f]", "show memory tree (-f: flat view of address spaces)",
      .run = run_mtree },
    { "info jit", "", "", "show statistics of the translating engine", .run = run_jit },
    { "info ramblock", "", "", "show the blocks of guest memory", .run = run_ramblock },
    { "info iothreads", "", "", "show iothreads", .qmp = "query-iothreads",
      .show = show_iothreads },
    { "info tpm", "", "", "show the TPM device", .qmp = "query-tpm", .show = show_tpm },
    { "info chardev", "", "", "show the character devices", .qmp = "query-chardev",
      .show = show_chardev },
    { "info mice", "", "", "show which guest mouse is receiving events", .qmp = "query-mice",
      .show = show_mice },
    { "info block", "", "", "show the guest's disks and drives", .qmp = "query-block",
      .show = show_block },
    { "info blockstats", "", "", "show block device statistics", .qmp = "query-blockstats",
      .show = show_blockstats },
    { "info named-block-nodes", "", "", "show all named block nodes",
      .qmp = "query-named-block-nodes" },
    { "info pci", "", "", "show PCI info", .qmp = "query-pci", .show = show_pci },
    { "info usb", "", "", "show guest USB devices", .run = run_usb },
    { "info rx-filter", "name:s?", "[name]", "show the receive filters of network cards",
      .qmp = "query-rx-filter" },
    { "info network", "", "", "show the network state", .run = run_network },
    { "info fdsets", "", "", "show the sets of file descriptors", .qmp = "query-fdsets" },
    { "info qom-tree", "path:s?", "[path]", "show the object tree", .run = run_qom_tree },
    { "info trace-events", "", "", "show available trace-events & their state",
      .run = run_trace_events },
};
HMP_COMMANDS(items);
