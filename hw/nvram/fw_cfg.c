/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware configuration device, port and memory-mapped, with DMA. */
#include "hw/fw_cfg.h"
#include <inttypes.h>
#include <string.h>
#include "util/log.h"

enum {
    DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16,
    FILE_NAME_MAX = 56, FILE_ENTRY = 64, KEY_MASK = 0x3fff,
};

typedef struct Blob {
    char *name;                 /* NULL: by key only */
    uint16_t key;
    uint8_t *data;
    size_t size;
    bool writable;
    void (*wrote)(void *opaque);
    void (*select)(void *opaque);
    void *wrote_opaque, *select_opaque;
} Blob;

struct FwCfg {
    Device dev;
    GPtrArray *blobs;           /* Blob *, files sorted by name */
    uint16_t key;
    uint32_t offset;
    uint64_t dma_addr;
    char *boot_first;           /* goes before the devices' paths in the boot order */
    unsigned listener;
};

/* ---- contents ---- */

static void free_blob(gpointer p)
{
    Blob *b = p;
    g_free(b->name);
    g_free(b->data);
    g_free(b);
}

static Blob *find_key(FwCfg *s, uint16_t key)
{
    for (unsigned i = 0; i < s->blobs->len; i++) {
        Blob *b = g_ptr_array_index(s->blobs, i);
        if (b->key == key)
            return b;
    }
    return NULL;
}

static Blob *find_name(FwCfg *s, const char *name)
{
    for (unsigned i = 0; i < s->blobs->len; i++) {
        Blob *b = g_ptr_array_index(s->blobs, i);
        if (b->name && !strcmp(b->name, name))
            return b;
    }
    return NULL;
}

static void set_data(Blob *b, const void *data, size_t n)
{
    g_free(b->data);
    b->data = g_memdup2(data, n);
    b->size = n;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    const Blob *x = *(Blob *const *)a, *y = *(Blob *const *)b;
    return g_strcmp0(x->name, y->name);
}

/* Files get their keys in the order of names, and the directory lists them so. */
static void number_files(FwCfg *s)
{
    g_ptr_array_sort(s->blobs, by_name);
    uint32_t count = 0;
    g_autoptr(GByteArray) dir = g_byte_array_new();
    g_byte_array_set_size(dir, 4);
    for (unsigned i = 0; i < s->blobs->len; i++) {
        Blob *b = g_ptr_array_index(s->blobs, i);
        if (!b->name)
            continue;
        b->key = FW_CFG_FILE_FIRST + count++;
        uint8_t entry[FILE_ENTRY] = {0};
        uint32_t size = GUINT32_TO_BE(b->size);
        uint16_t key = GUINT16_TO_BE(b->key);
        memcpy(entry, &size, 4);
        memcpy(entry + 4, &key, 2);
        memcpy(entry + 8, b->name, strlen(b->name));
        g_byte_array_append(dir, entry, FILE_ENTRY);
    }
    count = GUINT32_TO_BE(count);
    memcpy(dir->data, &count, 4);
    fw_cfg_add(s, FW_CFG_FILE_DIR, dir->data, dir->len);
}

void fw_cfg_add(FwCfg *s, uint16_t key, const void *data, size_t n)
{
    Blob *b = find_key(s, key);
    if (!b) {
        b = g_new0(Blob, 1);
        b->key = key;
        g_ptr_array_add(s->blobs, b);
    }
    set_data(b, data, n);
}

void fw_cfg_add_u16(FwCfg *s, uint16_t key, uint16_t value)
{
    value = GUINT16_TO_LE(value);
    fw_cfg_add(s, key, &value, sizeof(value));
}

void fw_cfg_add_u32(FwCfg *s, uint16_t key, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    fw_cfg_add(s, key, &value, sizeof(value));
}

void fw_cfg_add_u64(FwCfg *s, uint16_t key, uint64_t value)
{
    value = GUINT64_TO_LE(value);
    fw_cfg_add(s, key, &value, sizeof(value));
}

void fw_cfg_add_string(FwCfg *s, uint16_t key, const char *text)
{
    fw_cfg_add(s, key, text, strlen(text) + 1);
}

static Blob *add_file(FwCfg *s, const char *name, const void *data, size_t n)
{
    Blob *b = find_name(s, name);
    if (!b) {
        b = g_new0(Blob, 1);
        b->name = g_strndup(name, FILE_NAME_MAX - 1);
        g_ptr_array_add(s->blobs, b);
    }
    set_data(b, data, n);
    number_files(s);
    return b;
}

void fw_cfg_add_file(FwCfg *s, const char *name, const void *data, size_t n)
{
    add_file(s, name, data, n);
}

void fw_cfg_add_file_rw(FwCfg *s, const char *name, const void *data, size_t n,
                        void (*wrote)(void *opaque), void *opaque)
{
    Blob *b = add_file(s, name, data, n);
    b->writable = true;
    b->wrote = wrote;
    b->wrote_opaque = opaque;
}

void fw_cfg_set_file(FwCfg *s, const char *name, const void *data)
{
    Blob *b = find_name(s, name);
    if (b)
        memcpy(b->data, data, b->size);
}

void fw_cfg_on_select(FwCfg *s, const char *name, void (*select)(void *opaque), void *opaque)
{
    Blob *b = find_name(s, name);
    if (b) {
        b->select = select;
        b->select_opaque = opaque;
    }
}

bool fw_cfg_has_file(FwCfg *s, const char *name) { return find_name(s, name); }

const void *fw_cfg_file(FwCfg *s, const char *name, size_t *n)
{
    Blob *b = find_name(s, name);
    *n = b ? b->size : 0;
    return b ? b->data : NULL;
}

/* ---- the guest's side ---- */

static void select_key(FwCfg *s, uint16_t key)
{
    s->key = key & (FW_CFG_ARCH | KEY_MASK);
    s->offset = 0;
    Blob *b = find_key(s, s->key);
    if (b && b->select)
        b->select(b->select_opaque);
}

static uint8_t next_byte(FwCfg *s)
{
    Blob *b = find_key(s, s->key);
    return b && s->offset < b->size ? b->data[s->offset++] : 0;
}

/* One block of at most what is left of the blob; the rest of a read is zeros. */
static bool transfer(FwCfg *s, uint32_t control, uint64_t pa, uint32_t length)
{
    static const uint8_t zeros[4096];
    Blob *b = find_key(s, s->key);
    uint32_t left = b && s->offset < b->size ? MIN(b->size - s->offset, length) : 0;
    if (control & DMA_READ) {
        if (left && !dma_write(&s->dev, pa, b->data + s->offset, left))
            return false;
        for (uint32_t done = left; done < length; done += MIN(length - done, sizeof(zeros)))
            if (!dma_write(&s->dev, pa + done, zeros, MIN(length - done, sizeof(zeros))))
                return false;
    } else if (control & DMA_WRITE) {
        if (!b || !b->writable || left < length || !dma_read(&s->dev, pa, b->data + s->offset, left))
            return false;
        if (b->wrote)
            b->wrote(b->wrote_opaque);
    }
    s->offset += left;
    return true;
}

static void run_dma(FwCfg *s)
{
    struct { uint32_t control, length; uint64_t address; } request;
    uint64_t at = s->dma_addr;
    s->dma_addr = 0;
    if (!dma_read(&s->dev, at, &request, sizeof(request))) {
        log_guest(s, "DMA request block at 0x%" PRIx64 " is not in memory", at);
        return;
    }
    uint32_t control = GUINT32_FROM_BE(request.control);
    if (control & DMA_SELECT)
        select_key(s, control >> 16);
    bool ok = !(control & (DMA_READ | DMA_WRITE | DMA_SKIP)) ||
              transfer(s, control, GUINT64_FROM_BE(request.address),
                       GUINT32_FROM_BE(request.length));
    uint32_t result = GUINT32_TO_BE(ok ? 0 : DMA_ERROR);
    dma_write(&s->dev, at, &result, sizeof(result));
}

static uint64_t dma_read_reg(FwCfg *s, uint64_t at, unsigned size)
{
    static const char magic[8] = "QEMU CFG";
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | (uint8_t)magic[(at + i) & 7];
    return value;
}

static void dma_write_reg(FwCfg *s, uint64_t at, uint64_t value, unsigned size)
{
    if (size == 8) {
        s->dma_addr = value;
        run_dma(s);
    } else if (size == 4 && at == 0) {
        s->dma_addr = value << 32;
    } else if (size == 4 && at == 4) {
        s->dma_addr |= (uint32_t)value;
        run_dma(s);
    }
}

/* Ports: selector 0 (16 bit), data 1, DMA address 4-11, big-endian. */
static uint64_t read_port(Device *d, uint64_t at, unsigned size)
{
    FwCfg *s = (FwCfg *)d;
    if (at >= 4)
        return size == 8 ? GUINT64_SWAP_LE_BE(dma_read_reg(s, at - 4, 8))
             : size == 4 ? GUINT32_SWAP_LE_BE((uint32_t)dma_read_reg(s, at - 4, 4))
                         : dma_read_reg(s, at - 4, 1);
    return at == 1 ? next_byte(s) : 0;
}

static void write_port(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    FwCfg *s = (FwCfg *)d;
    if (at >= 4 && size == 8)
        dma_write_reg(s, at - 4, GUINT64_SWAP_LE_BE(value), 8);
    else if (at >= 4 && size == 4)
        dma_write_reg(s, at - 4, GUINT32_SWAP_LE_BE((uint32_t)value), 4);
    else if (at == 0 && size == 2)
        select_key(s, value);
}

/* Memory: data 0-7 as a byte stream, selector 8 (16 bit), DMA address 16; all big-endian. */
static uint64_t read_mem(Device *d, uint64_t at, unsigned size)
{
    FwCfg *s = (FwCfg *)d;
    if (at >= 16)
        return dma_read_reg(s, at - 16, size);
    uint64_t value = 0;
    if (at + size <= 8)
        for (unsigned i = 0; i < size; i++)
            value = value << 8 | next_byte(s);
    return value;
}

static void write_mem(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    FwCfg *s = (FwCfg *)d;
    if (at >= 16)
        dma_write_reg(s, at - 16, value, size);
    else if (at == 8 && size == 2)
        select_key(s, value);
}

/* ---- the devices ---- */

static void init(Object *o)
{
    ((FwCfg *)o)->blobs = g_ptr_array_new_with_free_func(free_blob);
}

static void unrealize(Device *d)
{
    if (((FwCfg *)d)->listener)
        vm_unlisten(d->object.vm, ((FwCfg *)d)->listener);
}

static void finish(Object *o)
{
    FwCfg *s = (FwCfg *)o;
    g_ptr_array_unref(s->blobs);
    g_free(s->boot_first);
}

static const Field fields[] = {
    HOST(FwCfg, blobs), SAVED(FwCfg, key), SAVED(FwCfg, offset),
    SAVED(FwCfg, dma_addr), HOST(FwCfg, boot_first), HOST(FwCfg, listener),
};
static const DeviceType fw_cfg_io = {
    .name = "fw_cfg_io", .desc = "Firmware configuration (ports)", .size = sizeof(FwCfg),
    .window = 12, .max_access = 8, FIELDS(fields), .init = init, .finish = finish,
    .unrealize = unrealize, .read = read_port, .write = write_port,
};
DEVICE_TYPE(fw_cfg_io);
static const DeviceType fw_cfg_mem = {
    .name = "fw_cfg_mem", .desc = "Firmware configuration (memory)", .size = sizeof(FwCfg),
    .window = 24, .max_access = 8, .big_endian = true, FIELDS(fields), .init = init,
    .finish = finish, .unrealize = unrealize, .read = read_mem, .write = write_mem, .dt = "qemu,fw-cfg-mmio",
};
DEVICE_TYPE(fw_cfg_mem);

static void add_user_blob(gpointer name, gpointer bytes, gpointer s)
{
    size_t n;
    const void *data = g_bytes_get_data(bytes, &n);
    fw_cfg_add_file(s, name, data, n);
}

/* ---- boot order ---- */

/* Plugging and qom-set bootindex= count from the next reset on. */
static void set_boot_order(Vm *vm, VmEvent event, ShutdownCause cause, void *data)
{
    FwCfg *s = data;
    g_autofree char *order = device_boot_order(vm, s->boot_first);
    fw_cfg_add_file(s, "bootorder", order, *order ? strlen(order) + 1 : 0);
}

void fw_cfg_boot_first(FwCfg *s, const char *path)
{
    g_free(s->boot_first);
    s->boot_first = g_strdup(path);
    set_boot_order(s->dev.object.vm, VM_EVENT_RESET, CAUSE_NONE, s);
}

static void add_boot(Machine *m, FwCfg *s)
{
    Vm *vm = m->vm;
    uint32_t reboot = GUINT32_TO_LE((uint32_t)vm->boot.reboot_timeout);
    uint16_t splash = GUINT16_TO_LE((uint16_t)vm->boot.splash_time);
    fw_cfg_add_u16(s, FW_CFG_BOOT_MENU, vm->boot.menu);
    fw_cfg_add_file(s, "etc/boot-fail-wait", &reboot, sizeof(reboot));
    if (vm->boot.splash_time >= 0)
        fw_cfg_add_file(s, "etc/boot-menu-wait", &splash, sizeof(splash));
    if (vm->boot.splash) {
        g_autofree char *picture = NULL;
        size_t n;
        /* It was looked at when the option was read. */
        if (g_file_get_contents(vm->boot.splash, &picture, &n, NULL) && n > 2)
            fw_cfg_add_file(s, memcmp(picture, "BM", 2) ? "bootsplash.jpg" : "bootsplash.bmp", picture, n);
    }
    set_boot_order(vm, VM_EVENT_RESET, CAUSE_NONE, s);
    s->listener = vm_listen(vm, VM_EVENT_RESET, set_boot_order, s);
}

static FwCfg *equip(Machine *m, FwCfg *s)
{
    Vm *vm = m->vm;
    fw_cfg_add(s, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_u32(s, FW_CFG_ID, 3);            /* traditional and DMA */
    fw_cfg_add(s, FW_CFG_UUID, vm->uuid, sizeof(vm->uuid));
    fw_cfg_add_u16(s, FW_CFG_NOGRAPHIC, !m->graphics);
    fw_cfg_add_u16(s, FW_CFG_NB_CPUS, m->smp.cpus);
    fw_cfg_add_u16(s, FW_CFG_MAX_CPUS, m->smp.maxcpus);
    add_boot(m, s);
    if (vm->fw_cfg_user)
        g_hash_table_foreach(vm->fw_cfg_user, add_user_blob, s);
    m->fw_cfg = s;
    return s;
}

FwCfg *fw_cfg_new_io(Machine *m)
{
    Device *d = device_make(m->vm, "fw_cfg_io");
    device_place_io(d, 0x510);
    return equip(m, (FwCfg *)d);
}

FwCfg *fw_cfg_new_mem(Machine *m, uint64_t base)
{
    Device *d = device_make(m->vm, "fw_cfg_mem");
    device_place(d, base);
    return equip(m, (FwCfg *)d);
}
