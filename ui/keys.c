/* SPDX-License-Identifier: Apache-2.0 */
/* The codes by which keyboards, kernels and clients name a key; the table is keys.inc. */
#include "ui/input.h"

#define KEY(name, linux_, set1_, set2_, usage_)                                                   \
    [name] = {.linux_code = linux_, .set1 = set1_, .set2 = set2_, .usage = usage_},
static const KeyCodes codes[Q_KEY_CODE_F24 + 1] = {
#include "ui/keys.inc"
};
#undef KEY

const KeyCodes *key_codes(QKeyCode key)
{
    return &codes[(unsigned)key < G_N_ELEMENTS(codes) ? key : Q_KEY_CODE_UNMAPPED];
}

QKeyCode key_from_linux(unsigned code)
{
    for (unsigned i = 0; code && i < G_N_ELEMENTS(codes); i++) {
        /* "asterisk" is an older name of the keypad's */
        if (codes[i].linux_code == code && i != Q_KEY_CODE_ASTERISK) {
            return i;
        }
    }
    return Q_KEY_CODE_UNMAPPED;
}

QKeyCode key_from_number(unsigned number)
{
    uint32_t set1 = number & 0x80 ? 0xe000 | (number & 0x7f) : number;

    if (number == 0xc6) {       /* what clients send for Pause, and Ctrl-Pause as Break */
        return Q_KEY_CODE_PAUSE;
    }
    for (unsigned i = 0; number && i < G_N_ELEMENTS(codes); i++) {
        if (codes[i].set1 == set1 && i != Q_KEY_CODE_ASTERISK) {
            return i;
        }
    }
    return Q_KEY_CODE_UNMAPPED;
}

QKeyCode key_from_value(const KeyValue *value)
{
    if (value->type == KEY_VALUE_KIND_QCODE) {
        return value->u.qcode->data;
    }
    int64_t number = value->u.number->data;
    return number > 0 && number <= 0xff ? key_from_number(number) : Q_KEY_CODE_UNMAPPED;
}
