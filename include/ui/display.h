/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Displays on this host: windows and the terminal (-display sdl, curses, …). Each is a row of its own;
 * the libraries behind are loaded when one is started. Control thread.
 */
#ifndef UI_DISPLAY_H
#define UI_DISPLAY_H

#include "core/vm.h"
#include "util/json.h"

typedef struct DisplayConfig {
    const Json *options;        /* of -display, with "type"; NULL: none */
    bool full_screen;           /* -full-screen */
} DisplayConfig;

/* Registered by OBJECT_TYPE; .parent is "display". */
typedef struct DisplayType {
    ObjectType;
    const char *display;        /* as typed */
    /* Whether it is what a user without -display gets; NULL: never. */
    bool (*by_default)(void);
    /* Opens it; it ends with the machine. */
    bool (*start)(Vm *vm, const DisplayConfig *options, GError **error);
} DisplayType;

#endif
