/* SPDX-License-Identifier: Apache-2.0 */
/* A frame buffer in the guest's memory, which firmware names through fw_cfg. Spec: the fw_cfg file
 * etc/ramfb of QEMU's firmware interface; formats are DRM's FourCCs. */
#include <string.h>
#include "hw/display/linear.h"
#include "hw/fw_cfg.h"
#include "util/error.h"

enum { CONFIG_BYTES = 28, AT_ADDRESS = 0, AT_FORMAT = 8, AT_WIDTH = 16, AT_HEIGHT = 20, AT_STRIDE = 24,
       LEAST = 16 };

static const struct { uint32_t fourcc; unsigned bits; } formats[] = {
    {0x34325258, 32}, {0x34325241, 32}, {0x34324752, 24}, {0x36314752, 16},     /* XR24 AR24 RG24 RG16 */
};

typedef struct Ramfb {
    Device dev;
    uint8_t config[CONFIG_BYTES];       /* as written, big-endian; all zero: nothing shown */
    Console *console;
    Linear linear;
    bool all;
} Ramfb;

static uint64_t field(const Ramfb *s, unsigned at, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes; i++) {
        v = v << 8 | s->config[at + i];
    }
    return v;
}

/* What is to be shown, and the RAM it lies in; false: nothing, or not possible. */
static bool find_mode(Ramfb *s, DispiMode *mode, MemRegion **ram)
{
    uint32_t fourcc = field(s, AT_FORMAT, 4);

    *mode = (DispiMode){.width = field(s, AT_WIDTH, 4), .height = field(s, AT_HEIGHT, 4),
                        .stride = field(s, AT_STRIDE, 4)};
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        mode->bits = formats[i].fourcc == fourcc ? formats[i].bits : mode->bits;
    }
    if (mode->width < LEAST || mode->height < LEAST || mode->width > CONSOLE_MAX_SIZE ||
        mode->height > CONSOLE_MAX_SIZE || !mode->bits) {
        return false;
    }
    unsigned line = mode->width * mode->bits / 8;
    mode->stride = mode->stride ? mode->stride : line;
    uint64_t bytes = (uint64_t)mode->stride * (mode->height - 1) + line;
    MemSection m = as_find(s->dev.object.vm->memory, field(s, AT_ADDRESS, 8));
    if (mode->stride < line || !m.host || m.readonly || !mem_is_ram(m.region) || m.left < bytes ||
        (uint64_t)mode->stride * mode->height > mem_size(m.region) - m.offset) {
        return false;
    }
    mode->offset = m.offset;
    *ram = m.region;
    return true;
}

static void refresh(void *opaque)
{
    Ramfb *s = opaque;
    DispiMode mode;
    MemRegion *ram;

    device_lock(&s->dev);
    if (find_mode(s, &mode, &ram)) {
        linear_refresh(&s->linear, s->console, ram, &mode, NULL, s->all);
    } else if (s->linear.host) {
        linear_forget(&s->linear);
        console_show(s->console, NULL);
    }
    s->all = false;
    device_unlock(&s->dev);
}

static void invalidate(void *opaque)
{
    ((Ramfb *)opaque)->all = true;
}

static const ConsoleOps ops = {.refresh = refresh, .invalidate = invalidate};

/* In the machine's domain, as the device is. */
static void wrote(void *opaque)
{
    Ramfb *s = opaque;
    size_t n;
    const void *config = fw_cfg_file(s->dev.object.vm->machine->fw_cfg, "etc/ramfb", &n);
    DispiMode mode;
    MemRegion *ram;

    if (config && n == CONFIG_BYTES) {
        memcpy(s->config, config, n);
    }
    if (field(s, AT_ADDRESS, 8) && !find_mode(s, &mode, &ram)) {
        log_guest(s, "etc/ramfb names a picture that cannot be shown");
    }
    s->all = true;
}

static bool realize(Device *d, GError **error)
{
    static const uint8_t none[CONFIG_BYTES];
    Ramfb *s = (Ramfb *)d;
    Vm *vm = d->object.vm;
    FwCfg *fw_cfg = vm->machine ? vm->machine->fw_cfg : NULL;
    size_t n;

    if (!fw_cfg) {
        return error_set(error, "ramfb needs a machine with fw_cfg");
    }
    if (fw_cfg_file(fw_cfg, "etc/ramfb", &n)) {
        return error_set(error, "there is a ramfb already; one is possible");
    }
    fw_cfg_add_file_rw(fw_cfg, "etc/ramfb", none, sizeof(none), wrote, s);
    dirty_track(vm, DIRTY_VGA, true);
    s->console = console_new(d, 0, &ops, s);
    return true;
}

static void unrealize(Device *d)
{
    Ramfb *s = (Ramfb *)d;

    console_free(s->console);
    s->console = NULL;
}

static void restored(Device *d)
{
    ((Ramfb *)d)->all = true;
}

static const Field fields[] = {
    SAVED(Ramfb, config), HOST(Ramfb, console), HOST(Ramfb, linear), HOST(Ramfb, all),
};
static const DeviceType ramfb = {
    .name = "ramfb", .desc = "Frame buffer in guest memory", .size = sizeof(Ramfb), .pluggable = true,
    .category = DEVICE_DISPLAY, FIELDS(fields), .realize = realize, .unrealize = unrealize,
    .restored = restored,
};
DEVICE_TYPE(ramfb);
