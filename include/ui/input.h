/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: events of keys and pointers on their way from viewers and clients to keyboards, mice and
 * tablets of the guest. Home: the control thread; a handler takes its device's lock.
 */
#ifndef UI_INPUT_H
#define UI_INPUT_H

#include "core/vm.h"
#include "qapi/qapi-types-ui.h"

typedef struct Input Input;

enum {
    INPUT_KEYS = 1 << INPUT_EVENT_KIND_KEY,
    INPUT_BUTTONS = 1 << INPUT_EVENT_KIND_BTN,
    INPUT_RELATIVE = 1 << INPUT_EVENT_KIND_REL,
    INPUT_ABSOLUTE = 1 << INPUT_EVENT_KIND_ABS,
    INPUT_TOUCHES = 1 << INPUT_EVENT_KIND_MTT,
    INPUT_SLOTS = 10,           /* fingers */
    INPUT_ABS_MAX = 0x7fff,     /* absolute positions run from 0 to this */
};

/* One event, for handlers. */
typedef struct InputItem {
    InputEventKind kind;
    QKeyCode key;
    InputButton button;
    InputAxis axis;
    bool down;
    int value;                  /* of a movement */
    InputMultiTouchType touch;  /* of fingers, which have an axis and a value, too */
    unsigned slot, tracking_id;
} InputItem;

typedef struct InputHandler {
    const char *name;           /* as query-mice shows it: "QEMU PS/2 Mouse" */
    unsigned kinds;             /* INPUT_* it takes */
    void (*event)(void *opaque, const InputItem *item);
    void (*sync)(void *opaque); /* what came since the last one belongs together; may be NULL */
} InputHandler;

/* A device takes input from now on. `console`: a display device whose input alone it takes, NULL: any.
 * The newest handler of a kind is the one that is asked first. */
Input *input_add(Device *dev, const InputHandler *handler, void *opaque, const char *console);
void input_remove(Input *input);                /* NULL is fine */
/* Becomes the first of its kinds: a tablet whose driver has come up, mouse_set. */
void input_activate(Input *input);
/* Gone for the moment: a USB tablet without a driver. */
void input_deactivate(Input *input);

/* Sending. `console` is the display device's id whose window it happened in, or NULL. */
void input_send(Vm *vm, const char *console, const InputItem *item);
void input_sync(Vm *vm);
void input_key(Vm *vm, const char *console, QKeyCode key, bool down);
void input_button(Vm *vm, const char *console, InputButton button, bool down);
void input_move(Vm *vm, const char *console, InputAxis axis, int distance);
/* `place` of `size` pixels. */
void input_place(Vm *vm, const char *console, InputAxis axis, unsigned place, unsigned size);
/* Viewers ask whether to send absolute positions: the pointer's active handler takes them. */
bool input_is_absolute(Vm *vm, const char *console);
/* Presses the keys in order, releases them in the opposite order after hold_ms. */
void input_type(Vm *vm, const QKeyCode *keys, unsigned n, unsigned hold_ms);

/* Pointers in the order of their numbers: number, name, takes absolute positions, is active. */
void input_mice(Vm *vm, void (*each)(unsigned number, const char *name, bool absolute, bool active,
                                     void *data), void *data);
bool input_select_mouse(Vm *vm, unsigned number, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- the keys' codes (ui/keys.inc); 0: none, Q_KEY_CODE_UNMAPPED: unknown ---- */
typedef struct KeyCodes {
    uint16_t linux_code;        /* linux/input-event-codes.h */
    uint32_t set1, set2;        /* scan codes; 0xe0xx: two bytes; 0xe11d45/0xe11477: Pause */
    uint8_t usage;              /* USB HID keyboard page */
} KeyCodes;
const KeyCodes *key_codes(QKeyCode key);
QKeyCode key_from_linux(unsigned code);
/* `number` of QMP and VNC: set 1, bit 7 for the codes behind 0xe0. */
QKeyCode key_from_number(unsigned number);
/* The key that a KeyValue names. */
QKeyCode key_from_value(const KeyValue *value);

#endif
