/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets a key or a movement: the newest, or last activated, handler of its kind. */
#include <string.h>

#include "ui/input.h"

#include "util/error.h"

struct Input {
    Device *dev;
    const InputHandler *handler;
    void *opaque;
    char *console;              /* the display device it belongs to, or NULL */
    unsigned number;            /* in query-mice: the order of making */
    bool active;
    bool touched;               /* got events since the last sync */
};

typedef struct Typing {
    QKeyCode *keys;
    unsigned n, hold_ms;
} Typing;

typedef struct InputState {
    GPtrArray *inputs;          /* Input *, the first to be asked first */
    unsigned next_number;
    GPtrArray *typing;          /* Typing *: the first is pressed now, the others follow it */
    Loop *loop;
    unsigned timer;             /* of the first's release */
} InputState;

static const char input_key_;

static void input_free(gpointer data)
{
    Input *input = data;

    g_free(input->console);
    g_free(input);
}

static void typing_free(gpointer data)
{
    Typing *t = data;

    g_free(t->keys);
    g_free(t);
}

static void *state_make(Vm *vm)
{
    InputState *s = g_new0(InputState, 1);

    s->inputs = g_ptr_array_new_with_free_func(input_free);
    s->typing = g_ptr_array_new_with_free_func(typing_free);
    s->loop = vm->loop;
    return s;
}

static void state_free(gpointer data)
{
    InputState *s = data;

    if (s->timer) {
        loop_cancel(s->loop, s->timer);
    }
    g_ptr_array_unref(s->inputs);
    g_ptr_array_unref(s->typing);
    g_free(s);
}

static InputState *state(Vm *vm)
{
    return vm_data(vm, &input_key_, state_make, state_free);
}

static Input *input_at(InputState *s, unsigned i)
{
    return g_ptr_array_index(s->inputs, i);
}

/* ---- handlers ---- */

Input *input_add(Device *dev, const InputHandler *handler, void *opaque, const char *console)
{
    InputState *s = state(dev->object.vm);
    Input *input = g_new(Input, 1);

    *input = (Input){dev, handler, opaque, g_strdup(console), s->next_number++, true, false};
    g_ptr_array_insert(s->inputs, 0, input);
    return input;
}

void input_remove(Input *input)
{
    if (input) {
        g_ptr_array_remove(state(input->dev->object.vm)->inputs, input);
    }
}

void input_activate(Input *input)
{
    GPtrArray *inputs = state(input->dev->object.vm)->inputs;
    guint i;

    if (g_ptr_array_find(inputs, input, &i)) {
        memmove(inputs->pdata + 1, inputs->pdata, i * sizeof(gpointer));
        inputs->pdata[0] = input;
    }
    input->active = true;
}

void input_deactivate(Input *input)
{
    input->active = false;
}

/* The handler for events of these kinds in the window of `console`: one that belongs to that display
 * comes before those that take everything. */
static Input *find(Vm *vm, const char *console, unsigned kinds)
{
    InputState *s = state(vm);
    Input *any = NULL;

    for (unsigned i = 0; i < s->inputs->len; i++) {
        Input *input = input_at(s, i);
        if (!input->active || !(input->handler->kinds & kinds)) {
            continue;
        }
        if (input->console && console && strcmp(input->console, console) == 0) {
            return input;
        }
        any = any || input->console ? any : input;
    }
    return any;
}

/* ---- sending ---- */

void input_send(Vm *vm, const char *console, const InputItem *item)
{
    /* A button belongs to whatever pointer moves. */
    unsigned kinds = item->kind == INPUT_EVENT_KIND_BTN ? INPUT_BUTTONS : 1u << item->kind;
    Input *input = find(vm, console, kinds);

    if (input) {
        input->touched = true;
        input->handler->event(input->opaque, item);
    }
}

void input_sync(Vm *vm)
{
    InputState *s = state(vm);

    for (unsigned i = 0; i < s->inputs->len; i++) {
        Input *input = input_at(s, i);
        if (input->touched && input->handler->sync) {
            input->handler->sync(input->opaque);
        }
        input->touched = false;
    }
}

void input_key(Vm *vm, const char *console, QKeyCode key, bool down)
{
    if (key != Q_KEY_CODE_UNMAPPED) {
        input_send(vm, console, &(InputItem){.kind = INPUT_EVENT_KIND_KEY, .key = key, .down = down});
    }
}

void input_button(Vm *vm, const char *console, InputButton button, bool down)
{
    input_send(vm, console,
               &(InputItem){.kind = INPUT_EVENT_KIND_BTN, .button = button, .down = down});
}

void input_move(Vm *vm, const char *console, InputAxis axis, int distance)
{
    input_send(vm, console,
               &(InputItem){.kind = INPUT_EVENT_KIND_REL, .axis = axis, .value = distance});
}

void input_place(Vm *vm, const char *console, InputAxis axis, unsigned place, unsigned size)
{
    unsigned last = MAX(size, 2) - 1;
    uint64_t value = (uint64_t)MIN(place, last) * INPUT_ABS_MAX / last;

    input_send(vm, console, &(InputItem){.kind = INPUT_EVENT_KIND_ABS, .axis = axis, .value = value});
}

bool input_is_absolute(Vm *vm, const char *console)
{
    Input *input = find(vm, console, INPUT_RELATIVE | INPUT_ABSOLUTE);

    return input && (input->handler->kinds & INPUT_ABSOLUTE);
}

static void release_first(void *data);

static void press_first(Vm *vm)
{
    InputState *s = state(vm);
    Typing *t = g_ptr_array_index(s->typing, 0);

    for (unsigned i = 0; i < t->n; i++) {
        input_key(vm, NULL, t->keys[i], true);
    }
    input_sync(vm);
    s->timer = loop_after(vm->loop, t->hold_ms, release_first, vm);
}

static void release_first(void *data)
{
    Vm *vm = data;
    InputState *s = state(vm);
    Typing *t = g_ptr_array_index(s->typing, 0);

    s->timer = 0;
    for (unsigned i = t->n; i-- > 0;) {
        input_key(vm, NULL, t->keys[i], false);
    }
    input_sync(vm);
    g_ptr_array_remove_index(s->typing, 0);
    if (s->typing->len) {
        press_first(vm);
    }
}

void input_type(Vm *vm, const QKeyCode *keys, unsigned n, unsigned hold_ms)
{
    GPtrArray *typing = state(vm)->typing;
    Typing *t = g_new(Typing, 1);

    *t = (Typing){g_memdup2(keys, n * sizeof(*keys)), n, hold_ms};
    g_ptr_array_add(typing, t);
    if (typing->len == 1) {
        press_first(vm);
    }
}

/* ---- mice ---- */

void input_mice(Vm *vm, void (*each)(unsigned number, const char *name, bool absolute, bool active,
                                     void *data), void *data)
{
    InputState *s = state(vm);
    Input *current = find(vm, NULL, INPUT_RELATIVE | INPUT_ABSOLUTE);

    for (unsigned i = 0; i < s->inputs->len; i++) {
        Input *input = input_at(s, i);
        if (input->active && (input->handler->kinds & (INPUT_RELATIVE | INPUT_ABSOLUTE))) {
            each(input->number, input->handler->name,
                 (input->handler->kinds & INPUT_ABSOLUTE) != 0, input == current, data);
        }
    }
}

bool input_select_mouse(Vm *vm, unsigned number, GError **error)
{
    InputState *s = state(vm);

    for (unsigned i = 0; i < s->inputs->len; i++) {
        Input *input = input_at(s, i);
        if (input->number == number &&
            (input->handler->kinds & (INPUT_RELATIVE | INPUT_ABSOLUTE))) {
            input_activate(input);
            return true;
        }
    }
    return error_set(error, "Mouse at index %u not found; 'info mice' lists them", number);
}
