/* SPDX-License-Identifier: Apache-2.0 */
/* -vga and -display: the machine's video card, who looks at it, and what there is unless asked. */
#include <stdlib.h>
#include <string.h>
#include "control/cli/config.h"
#include "qapi/keyval.h"
#include "ui/console.h"
#include "ui/display.h"
#include "ui/vnc.h"
#include "util/error.h"
#include "util/suggest.h"

/* ---- video cards ---- */

static const struct { const char *name, *desc, *type; } cards[] = {
    {"none", "no graphic card", NULL},
    {"std", "standard VGA", "VGA"},
    {"cirrus", "Cirrus VGA", "cirrus-vga"},
    {"virtio", "Virtio VGA", "virtio-vga"},
};
static const char *const absent_cards[] = {"vmware", "qxl", "tcx", "cg3", "xenfb", NULL};

static bool has_card(unsigned i) { return !cards[i].type || object_type_find(cards[i].type); }

bool help_vga(const Config *c, const char *text)
{
    const MachineType *t = machine_find(c->arch, c->machine);
    const char *dflt = t && t->default_display ? t->default_display : "none";
    if (!is_help(text))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(cards); i++)
        if (has_card(i))
            g_print("%-20s %s%s\n", cards[i].name, cards[i].desc,
                    strcmp(cards[i].name, dflt) ? "" : " (default)");
    return true;
}

bool config_check_vga(const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(cards) + 1] = {NULL};
    for (unsigned i = 0, n = 0; i < G_N_ELEMENTS(cards); i++) {
        if (!has_card(i))
            continue;
        if (!strcmp(name, cards[i].name))
            return true;
        names[n++] = cards[i].name;
    }
    if (g_strv_contains(absent_cards, name))
        return error_set(error, "video card '%s' is not available; there are none, std, cirrus and "
                         "virtio", name);
    error_set(error, "unknown vga type: %s", name);
    suggest_append(error, name, names);
    return false;
}

/* A card with VGA that the user adds himself takes the place of the default one. */
static bool brings_vga(const char *option)
{
    static const char *const names[] = {"VGA", "isa-vga", "cirrus-vga", "isa-cirrus-vga", "virtio-vga", NULL};
    bool is_json;
    g_autoptr(Json) o = keyval_or_json(option, "driver", KEYVAL_LEGACY, &is_json, NULL);
    const char *driver = o ? json_get_text(o, "driver") : NULL;
    return driver && g_strv_contains(names, driver);
}

static const char *card_of(Vm *vm, const Config *c)
{
    const char *dflt = vm->machine->type_->default_display;
    if (c->vga)
        return c->vga;
    for (unsigned i = 0; c->devices && i < c->devices->len; i++)
        if (brings_vga(g_ptr_array_index(c->devices, i)))
            return "none";
    return c->nodefaults || !dflt ? "none" : dflt;
}

static bool add_card(Vm *vm, const char *type, GError **error)
{
    const MachineType *m = vm->machine->type_;
    const DeviceType *t = device_type_find(type, error);
    Bus *bus = t && m->default_bus ? m->default_bus(vm->machine, t) : NULL;
    if (!t)
        return false;
    if (!bus)
        return error_set(error, "machine '%s' has no place for a video card", m->machine);
    Device *d = device_new(vm, t->name, error);
    return d && device_realize(d, bus, error);
}

bool config_make_video(Vm *vm, const Config *c, GError **error)
{
    const char *name = card_of(vm, c);
    for (unsigned i = 0; i < G_N_ELEMENTS(cards); i++)
        if (!strcmp(name, cards[i].name) && cards[i].type && (has_card(i) || c->vga) &&
            !add_card(vm, cards[i].type, error)) {
            g_prefix_error(error, "-vga %s: ", name);
            return false;
        }
    return true;
}

/* ---- displays ---- */

typedef struct Find {
    const char *name;           /* NULL: those with a window that can be opened here */
    const DisplayType *found;
    GPtrArray *all;             /* … */
} Find;

static void look(const ObjectType *t, void *data)
{
    Find *f = data;
    const DisplayType *d = (const DisplayType *)t;
    if (t->abstract || !object_type_is_a(t, "display"))
        return;
    if (f->name && !strcmp(d->display, f->name))
        f->found = d;
    else if (!f->name && d->by_default && d->by_default())
        g_ptr_array_add(f->all, (gpointer)d);
}

static void print_name(const ObjectType *t, void *data)
{
    if (!t->abstract && object_type_is_a(t, "display"))
        g_print("%s\n", ((const DisplayType *)t)->display);
}

bool help_display(const char *text)
{
    if (!is_help(text))
        return false;
    g_print("Available display backend types:\nnone\nvnc\n");
    object_type_foreach(print_name, NULL);
    return true;
}

bool config_check_display(const char *text, GError **error)
{
    static const char *const absent[] = {"sdl", "gtk", "curses", "egl-headless", "dbus", "spice-app", "cocoa", NULL};
    static const char *const known[] = {"none", "vnc", "sdl", "gtk", "curses", NULL};
    g_autofree char *name = g_strndup(text, strcspn(text, ",="));
    Find f = {.name = name};
    if (!strcmp(text, "none"))
        return true;
    if (!strcmp(name, "vnc"))
        return error_set(error, "VNC requires a display argument vnc=<display>");
    object_type_foreach(look, &f);
    if (f.found)
        return true;
    if (g_strv_contains(absent, name))
        return error_set(error, "display '%s' is not available in this build (try -display help)", name);
    error_set(error, "unknown display '%s'", name);
    suggest_append(error, name, known);
    return false;
}

static bool start_display(Vm *vm, const Config *c, const DisplayType *t, const Json *options, GError **error)
{
    DisplayConfig o = {.options = options, .full_screen = c->full_screen};
    return t->start(vm, &o, error);
}

/* A window where there is a desktop, else a VNC server for this host's users, as with QEMU. */
static bool default_display(Vm *vm, Config *c, GError **error)
{
    g_autoptr(GPtrArray) windows = g_ptr_array_new();
    Find f = {.all = windows};
    g_autofree char *where = NULL;
    object_type_foreach(look, &f);
    for (unsigned i = 0; i < windows->len; i++) {
        if (start_display(vm, c, windows->pdata[i], NULL, NULL))
            return true;
    }
    if (!vnc_add(vm, "localhost:0,to=99,id=default", c->layout, error))
        return false;
    where = vnc_where(vm);
    g_print("VNC server running on %s\n", where);
    return true;
}

/* What query-display-options tells: a name that outlives the configuration. */
static void keep_choice(Vm *vm, const Config *c, const char *type)
{
    vm_service_add(vm, "display-options", type, vm);
    if (c->full_screen)
        vm_service_add(vm, "display-options", "full-screen", vm);
}

bool config_make_displays(Vm *vm, Config *c, GError **error)
{
    for (unsigned i = 0; c->vncs && i < c->vncs->len; i++) {
        const char *text = g_ptr_array_index(c->vncs, i);
        if (!vnc_add(vm, text, c->layout, error)) {
            g_prefix_error(error, "-vnc %s: ", text);
            return false;
        }
    }
    if (!c->display && !c->vncs && !c->nographic && !c->qtest && console_at(vm, 0))
        return default_display(vm, c, error);
    if (!c->display || !strcmp(c->display, "none")) {
        keep_choice(vm, c, "none");
        return true;
    }
    g_autoptr(Json) o = keyval_parse(c->display, "type", KEYVAL_LEGACY, error);
    Find f = {.name = o ? json_get_text(o, "type") : NULL};
    if (f.name)
        object_type_foreach(look, &f);
    if (!f.found || !start_display(vm, c, f.found, o, error)) {
        g_prefix_error(error, "-display %s: ", c->display);
        return false;
    }
    keep_choice(vm, c, f.name);
    return true;
}
