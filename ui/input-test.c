/* SPDX-License-Identifier: Apache-2.0 */
/* Input: who gets which event; codes of keys. */
#include "core/vm.h"
#include "ui/input.h"

static const DeviceType pad = {.name = "test-pad", .size = sizeof(Device)};
DEVICE_TYPE(pad);

typedef struct Got {
    unsigned events, syncs;
    InputItem last;
    GString *keys;
} Got;

static void event(void *opaque, const InputItem *item)
{
    Got *got = opaque;

    got->events++;
    got->last = *item;
    if (item->kind == INPUT_EVENT_KIND_KEY && got->keys) {
        g_string_append_printf(got->keys, "%c%s ", item->down ? '+' : '-', q_key_code_name(item->key));
    }
}

static void synced(void *opaque)
{
    ((Got *)opaque)->syncs++;
}

static const InputHandler keyboard = {"keyboard", INPUT_KEYS, event, synced};
static const InputHandler mouse = {"mouse", INPUT_BUTTONS | INPUT_RELATIVE, event, synced};
static const InputHandler tablet = {"tablet", INPUT_BUTTONS | INPUT_ABSOLUTE, event, synced};

static void test_routing(void)
{
    Loop *loop = loop_new();
    Vm *vm = vm_new(loop);
    Got m = {0}, t = {0};
    Device *dev = device_make(vm, "test-pad");

    input_button(vm, NULL, INPUT_BUTTON_LEFT, true);    /* nobody is there */
    Input *mouse_input = input_add(dev, &mouse, &m, NULL);
    g_assert_false(input_is_absolute(vm, NULL));
    Input *tablet_input = input_add(dev, &tablet, &t, NULL);
    g_assert_true(input_is_absolute(vm, NULL));
    input_place(vm, NULL, INPUT_AXIS_X, 799, 800);
    input_button(vm, NULL, INPUT_BUTTON_LEFT, true);
    input_sync(vm);
    g_assert_cmpuint(t.events, ==, 2);
    g_assert_cmpuint(t.syncs, ==, 1);
    g_assert_cmpuint(m.syncs, ==, 0);
    input_deactivate(tablet_input);
    g_assert_false(input_is_absolute(vm, NULL));
    input_move(vm, NULL, INPUT_AXIS_Y, -3);
    g_assert_cmpint(m.last.value, ==, -3);
    g_assert_true(input_select_mouse(vm, 1, NULL));
    g_assert_false(input_select_mouse(vm, 2, NULL));
    g_assert_true(input_is_absolute(vm, NULL));
    input_remove(mouse_input);
    input_remove(tablet_input);
    vm_free(vm);
    loop_free(loop);
}

static void test_typing(void)
{
    Loop *loop = loop_new();
    Vm *vm = vm_new(loop);
    Got got = {.keys = g_string_new("")};
    const QKeyCode first[] = {Q_KEY_CODE_CTRL, Q_KEY_CODE_C}, second[] = {Q_KEY_CODE_RET};

    Input *input = input_add(device_make(vm, "test-pad"), &keyboard, &got, NULL);
    input_type(vm, first, 2, 1);
    input_type(vm, second, 1, 1);
    while (got.events < 6) {
        loop_step(loop, true);
    }
    g_assert_cmpstr(got.keys->str, ==, "+ctrl +c -c -ctrl +ret -ret ");
    input_type(vm, second, 1, 60000);           /* its timer goes with the machine */
    input_remove(input);
    g_string_free(got.keys, true);
    vm_free(vm);
    loop_free(loop);
}

static void test_codes(void)
{
    for (QKeyCode k = Q_KEY_CODE_UNMAPPED + 1; k <= Q_KEY_CODE_F24; k++) {
        const KeyCodes *codes = key_codes(k);
        g_assert_cmpuint(codes->linux_code, !=, 0);
        if (k != Q_KEY_CODE_ASTERISK) {
            g_assert_cmpuint(key_from_linux(codes->linux_code), ==,
                             k == Q_KEY_CODE_SYSRQ || k == Q_KEY_CODE_PRINT
                                 ? key_from_linux(99) : k);
        }
    }
    g_assert_cmpuint(key_from_number(0x1c), ==, Q_KEY_CODE_RET);
    g_assert_cmpuint(key_from_number(0x9c), ==, Q_KEY_CODE_KP_ENTER);
    g_assert_cmpuint(key_from_number(0), ==, Q_KEY_CODE_UNMAPPED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ui/input/routing", test_routing);
    g_test_add_func("/ui/input/typing", test_typing);
    g_test_add_func("/ui/input/codes", test_codes);
    return g_test_run();
}
