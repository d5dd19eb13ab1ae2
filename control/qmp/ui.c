/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, pointers and pictures of the screen. */
#include <stdio.h>
#include <string.h>

#include "control/hmp.h"
#include "qapi/qapi-commands.h"
#include "ui/console.h"
#include "ui/input.h"
#include "util/error.h"

enum { HOLD_MS = 100, HOLD_MS_MAX = 60000, KEYS_MAX = 16 };

/* ---- keys ---- */

bool qmp_send_key(Vm *vm, KeyValueList *keys, bool has_hold_time, int64_t hold_time,
                  GError **error)
{
    QKeyCode codes[KEYS_MAX];

    if (keys->count == 0 || keys->count > KEYS_MAX) {
        return error_set(error, "send-key takes 1 to %d keys", KEYS_MAX);
    }
    if (has_hold_time && (hold_time < 0 || hold_time > HOLD_MS_MAX)) {
        return error_set(error, "hold-time is 0 to %d milliseconds", HOLD_MS_MAX);
    }
    for (size_t i = 0; i < keys->count; i++) {
        codes[i] = key_from_value(keys->items[i]);
        if (codes[i] == Q_KEY_CODE_UNMAPPED) {
            return error_set(error, "key %zu is none that a keyboard has", i + 1);
        }
    }
    input_type(vm, codes, keys->count, has_hold_time ? hold_time : HOLD_MS);
    return true;
}

static bool touch_from(const InputMultiTouchEvent *t, InputItem *item, GError **error)
{
    if (t->slot < 0 || t->slot >= INPUT_SLOTS) {
        return error_set(error, "slot %" G_GINT64_MODIFIER "d is not one of 0 to %d", t->slot, INPUT_SLOTS - 1);
    }
    if (t->tracking_id < 0 || t->tracking_id > 0xffff || t->value < 0 || t->value > INPUT_ABS_MAX) {
        return error_set(error, "a tracking-id is 0 to 65535, a position 0 to %d", INPUT_ABS_MAX);
    }
    item->touch = t->type;
    item->slot = t->slot;
    item->tracking_id = t->tracking_id;
    item->axis = t->axis;
    item->value = t->value;
    return true;
}

static bool item_from(const InputEvent *event, InputItem *item, GError **error)
{
    *item = (InputItem){.kind = event->type};
    switch (event->type) {
    case INPUT_EVENT_KIND_KEY:
        item->key = key_from_value(event->u.key->data->key);
        item->down = event->u.key->data->down;
        break;
    case INPUT_EVENT_KIND_BTN:
        item->button = event->u.btn->data->button;
        item->down = event->u.btn->data->down;
        break;
    case INPUT_EVENT_KIND_MTT: return touch_from(event->u.mtt->data, item, error);
    default: {                  /* rel and abs have the same form */
        const InputMoveEvent *move = event->u.rel->data;
        int64_t limit = event->type == INPUT_EVENT_KIND_ABS ? INPUT_ABS_MAX : G_MAXINT32;
        item->axis = move->axis;
        if (move->value > limit || move->value < (event->type == INPUT_EVENT_KIND_ABS ? 0 : -limit)) {
            return error_set(error, "a position is 0 to %d", INPUT_ABS_MAX);
        }
        item->value = move->value;
        break;
    }
    }
    return true;
}

bool qmp_input_send_event(Vm *vm, const char *device, bool has_head, int64_t head,
                          InputEventList *events, GError **error)
{
    g_autofree InputItem *items = g_new(InputItem, events->count + 1);

    if (device && !console_find(vm, device, has_head ? head : 0, error)) {
        return false;
    }
    for (size_t i = 0; i < events->count; i++) {
        if (!item_from(events->items[i], &items[i], error)) {
            return false;
        }
    }
    for (size_t i = 0; i < events->count; i++) {
        input_send(vm, device, &items[i]);
    }
    input_sync(vm);
    return true;
}

/* ---- pointers ---- */

static void add_mouse(unsigned number, const char *name, bool absolute, bool active, void *data)
{
    MouseInfo *info = g_new0(MouseInfo, 1);

    *info = (MouseInfo){.name = g_strdup(name), .index = number, .current = active,
                        .absolute = absolute};
    mouse_info_list_add(data, info);
}

MouseInfoList *qmp_query_mice(Vm *vm, GError **error)
{
    MouseInfoList *list = mouse_info_list_new();

    input_mice(vm, add_mouse, list);
    return list;
}

/* ---- pictures ---- */

bool qmp_screendump(Vm *vm, const char *filename, const char *device, bool has_head, int64_t head,
                    bool has_format, ImageFormat format, GError **error)
{
    if (has_head && !device) {
        return error_set(error, "'head' goes with 'device'");
    }
    Console *c = console_find(vm, device, has_head ? head : 0, error);

    return c && console_dump(c, filename, has_format && format == IMAGE_FORMAT_PNG, error);
}

/* ---- displays ---- */

DisplayOptions *qmp_query_display_options(Vm *vm, GError **error)
{
    g_auto(GStrv) said = vm_service_ids(vm, "display-options");
    DisplayOptions *o = display_options_new(DISPLAY_KIND_DEFAULT);

    if (said && said[0]) {
        display_kind_parse(said[0], &o->type);
        o->has_full_screen = o->full_screen = said[1] != NULL;
    }
    return o;
}

/* ---- the human monitor ---- */

/* "ctrl-alt-f1", a name or an XT scan code (0x1c) between the dashes. */
static bool run_sendkey(Hmp *hmp, const Json *args, GError **error)
{
    g_auto(GStrv) names = g_strsplit(json_get_text(args, "keys"), "-", KEYS_MAX + 1);
    QKeyCode codes[KEYS_MAX];
    unsigned n = 0;

    for (; names[n]; n++) {
        const char *name = strcmp(names[n], "<") == 0 ? "less" : names[n];
        QKeyCode code = Q_KEY_CODE_UNMAPPED;
        if (n == KEYS_MAX) {
            return error_set(error, "too many keys at once, at most %d", KEYS_MAX);
        }
        if (g_str_has_prefix(name, "0x")) {
            code = key_from_number(g_ascii_strtoull(name, NULL, 16) & 0xff);
        } else {
            q_key_code_parse(name, &code);
        }
        if (code == Q_KEY_CODE_UNMAPPED) {
            return error_set(error, "invalid parameter: %s", names[n]);
        }
        codes[n] = code;
    }
    input_type(hmp->vm, codes, n, CLAMP(hmp_number(args, "hold-time", HOLD_MS), 0, HOLD_MS_MAX));
    return true;
}

static bool run_mouse_move(Hmp *hmp, const Json *args, GError **error)
{
    int64_t wheel = hmp_number(args, "dz", 0);
    InputButton button = wheel > 0 ? INPUT_BUTTON_WHEEL_UP : INPUT_BUTTON_WHEEL_DOWN;

    input_move(hmp->vm, NULL, INPUT_AXIS_X, hmp_number(args, "dx", 0));
    input_move(hmp->vm, NULL, INPUT_AXIS_Y, hmp_number(args, "dy", 0));
    if (wheel) {
        input_button(hmp->vm, NULL, button, true);
        input_sync(hmp->vm);
        input_button(hmp->vm, NULL, button, false);
    }
    input_sync(hmp->vm);
    return true;
}

static bool run_mouse_button(Hmp *hmp, const Json *args, GError **error)
{
    static const InputButton buttons[] = {INPUT_BUTTON_LEFT, INPUT_BUTTON_RIGHT,
                                          INPUT_BUTTON_MIDDLE};
    int64_t state = hmp_number(args, "state", 0);

    for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++) {
        input_button(hmp->vm, NULL, buttons[i], (state >> i) & 1);
    }
    input_sync(hmp->vm);
    return true;
}

static bool run_mouse_set(Hmp *hmp, const Json *args, GError **error)
{
    return input_select_mouse(hmp->vm, hmp_number(args, "index", 0), error);
}

static const HmpCommand commands[] = {
    { "sendkey", "keys:s hold-time:i?", "keys [hold_ms]",
      "send keys to the VM (e.g. 'sendkey ctrl-alt-f1', default hold time=100 ms)",
      .run = run_sendkey },
    { "mouse_move", "dx:i dy:i dz:i?", "dx dy [dz]", "send mouse move events",
      .run = run_mouse_move },
    { "mouse_button", "state:i", "state", "change mouse button state (1=L, 2=R, 4=M)",
      .run = run_mouse_button },
    { "mouse_set", "index:i", "index", "set which mouse device receives events",
      .run = run_mouse_set },
    { "screendump", "filename:s device:s? head:i?", "filename [device [head]]",
      "save screen from head 'head' of display device 'device' into PPM image 'filename'",
      .qmp = "screendump" },
};
HMP_COMMANDS(commands);
