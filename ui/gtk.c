/* SPDX-License-Identifier: Apache-2.0 */
/* -display gtk: a window with menus by GTK 3. Ctrl-Alt-G takes and frees the pointer, Ctrl-Alt-F full screen,
 * Ctrl-Alt and a digit choose the console. */
#include <gtk/gtk.h>
#include <stdlib.h>
#include <string.h>

#include "ui/console.h"
#include "ui/display.h"
#include "ui/input.h"
#include "ui/library.h"
#include "util/error.h"

#define FUNCTIONS(F)                                                                                \
    F(gtk_init_check) F(gtk_events_pending) F(gtk_main_iteration_do) F(gtk_window_new)              \
    F(gtk_window_set_title) F(gtk_window_resize) F(gtk_window_fullscreen)                           \
    F(gtk_window_unfullscreen) F(gtk_box_new) F(gtk_box_pack_start) F(gtk_container_add)            \
    F(gtk_drawing_area_new) F(gtk_widget_add_events) F(gtk_widget_set_can_focus)                    \
    F(gtk_widget_grab_focus) F(gtk_widget_show_all) F(gtk_widget_set_visible)                       \
    F(gtk_widget_destroy) F(gtk_widget_get_window) F(gtk_widget_get_display)                        \
    F(gtk_widget_get_allocated_width) F(gtk_widget_get_allocated_height)                            \
    F(gtk_widget_queue_draw_area) F(gtk_widget_queue_draw) F(gtk_widget_set_size_request)           \
    F(gtk_widget_get_preferred_height) F(gtk_menu_bar_new) F(gtk_menu_new)                          \
    F(gtk_menu_shell_append) F(gtk_menu_item_new_with_label)                                        \
    F(gtk_menu_item_set_submenu) F(gdk_cursor_new_for_display) F(gdk_display_get_default_seat)      \
    F(gdk_seat_grab) F(gdk_seat_ungrab) F(gdk_seat_get_pointer) F(gdk_device_warp)                  \
    F(gdk_window_get_origin) F(gdk_window_get_screen) F(cairo_image_surface_create_for_data)        \
    F(cairo_surface_destroy) F(cairo_surface_mark_dirty) F(cairo_set_source_surface)                \
    F(cairo_set_source_rgb) F(cairo_paint) F(cairo_translate) F(cairo_scale)

enum { POLL_MS = 10 };

typedef struct Gtk {
    struct { FUNCTIONS(LIBRARY_MEMBER) } lib;
    Vm *vm;
    GtkWidget *window, *menus, *area;
    cairo_surface_t *picture;
    ConsoleListener listener;
    unsigned timer;
    bool grabbed, full, closes, zooms, has_menus;
} Gtk;

/* Where the picture lies in the widget. */
typedef struct Place {
    double x, y, scale_x, scale_y;
} Place;

static const char *const names[] = {FUNCTIONS(LIBRARY_NAME) NULL};

static Gtk *of(ConsoleListener *l)
{
    return (Gtk *)((char *)l - offsetof(Gtk, listener));
}

static const char *console_id(const Gtk *s)
{
    Console *c = s->listener.console;

    return c && console_device(c) ? console_device(c)->id : NULL;
}

/* ---- the picture ---- */

static Place place(const Gtk *s)
{
    const Surface *p = console_surface(s->listener.console);
    double width = s->lib.gtk_widget_get_allocated_width(s->area);
    double height = s->lib.gtk_widget_get_allocated_height(s->area);

    if (s->zooms) {
        return (Place){0, 0, width / p->width, height / p->height};
    }
    return (Place){MAX(width - p->width, 0) / 2, MAX(height - p->height, 0) / 2, 1, 1};
}

static void title(Gtk *s)
{
    g_autofree char *text = g_strdup_printf("Myna%s%s%s%s%s", s->vm->name ? " (" : "", s->vm->name ? s->vm->name : "",
                                            s->vm->name ? ")" : "", vm_is_running(s->vm) ? "" : " [Paused]",
                                            s->grabbed ? " - Press Ctrl-Alt-G to release grab" : "");

    s->lib.gtk_window_set_title((GtkWindow *)s->window, text);
}

static void forget_picture(Gtk *s)
{
    if (s->picture) {
        s->lib.cairo_surface_destroy(s->picture);
        s->picture = NULL;
    }
}

static void resized(ConsoleListener *l, Surface *p)
{
    Gtk *s = of(l);
    int menus = 0;

    forget_picture(s);
    s->picture = s->lib.cairo_image_surface_create_for_data((unsigned char *)p->pixels, CAIRO_FORMAT_RGB24, p->width,
                                                            p->height, p->stride);
    if (s->has_menus && !s->full) {
        s->lib.gtk_widget_get_preferred_height(s->menus, NULL, &menus);
    }
    if (!s->zooms) {
        s->lib.gtk_widget_set_size_request(s->area, p->width, p->height);
    }
    if (!s->full) {
        s->lib.gtk_window_resize((GtkWindow *)s->window, p->width, p->height + menus);
    }
    s->lib.gtk_widget_queue_draw(s->area);
}

static void updated(ConsoleListener *l, unsigned x, unsigned y, unsigned width, unsigned height)
{
    Gtk *s = of(l);
    Place p = place(s);

    /* A pixel around it: scaling blends neighbours. */
    s->lib.gtk_widget_queue_draw_area(s->area, p.x + x * p.scale_x - 1, p.y + y * p.scale_y - 1,
                                      width * p.scale_x + 3, height * p.scale_y + 3);
}

static void gone(ConsoleListener *l)
{
    forget_picture(of(l));
}

static gboolean draw(GtkWidget *w, cairo_t *cairo, Gtk *s)
{
    s->lib.cairo_set_source_rgb(cairo, 0, 0, 0);
    s->lib.cairo_paint(cairo);
    if (s->picture && s->listener.console) {
        Place p = place(s);
        s->lib.cairo_surface_mark_dirty(s->picture);    /* (the machine has painted it) */
        s->lib.cairo_translate(cairo, p.x, p.y);
        s->lib.cairo_scale(cairo, p.scale_x, p.scale_y);
        s->lib.cairo_set_source_surface(cairo, s->picture, 0, 0);
        s->lib.cairo_paint(cairo);
    }
    return TRUE;
}

static void look_at(Gtk *s, unsigned n)
{
    Console *c = console_at(s->vm, n);

    if (c) {
        console_unlisten(&s->listener);
        console_listen(c, &s->listener);
    }
}

static gboolean new_size(GtkWidget *w, GdkEventConfigure *e, Gtk *s)
{
    if (s->listener.console) {
        console_ui_info(s->listener.console, &(UiInfo){.width = e->width, .height = e->height});
    }
    return FALSE;
}

static void full_screen(Gtk *s, bool on)
{
    s->full = on;
    s->lib.gtk_widget_set_visible(s->menus, s->has_menus && !on);
    if (on) {
        s->lib.gtk_window_fullscreen((GtkWindow *)s->window);
    } else {
        s->lib.gtk_window_unfullscreen((GtkWindow *)s->window);
    }
}

/* ---- input ---- */

static GdkSeat *seat(Gtk *s)
{
    return s->lib.gdk_display_get_default_seat(s->lib.gtk_widget_get_display(s->area));
}

static void middle(Gtk *s, int *x, int *y)
{
    s->lib.gdk_window_get_origin(s->lib.gtk_widget_get_window(s->area), x, y);
    *x += s->lib.gtk_widget_get_allocated_width(s->area) / 2;
    *y += s->lib.gtk_widget_get_allocated_height(s->area) / 2;
}

static void to_middle(Gtk *s)
{
    int x, y;

    middle(s, &x, &y);
    s->lib.gdk_device_warp(s->lib.gdk_seat_get_pointer(seat(s)),
                           s->lib.gdk_window_get_screen(s->lib.gtk_widget_get_window(s->area)), x, y);
}

static void grab(Gtk *s, bool on)
{
    s->grabbed = on;
    if (on) {
        GdkCursor *none = s->lib.gdk_cursor_new_for_display(s->lib.gtk_widget_get_display(s->area), GDK_BLANK_CURSOR);
        bool relative = !input_is_absolute(s->vm, console_id(s));
        s->grabbed = s->lib.gdk_seat_grab(seat(s), s->lib.gtk_widget_get_window(s->area), GDK_SEAT_CAPABILITY_ALL,
                                          FALSE, relative ? none : NULL, NULL, NULL, NULL) == GDK_GRAB_SUCCESS;
        g_object_unref(none);
        if (s->grabbed && relative) {
            to_middle(s);
        }
    } else {
        s->lib.gdk_seat_ungrab(seat(s));
    }
    title(s);
}

/* Keys for the window itself. The key codes of X and of Wayland's GDK are Linux's and eight. */
static bool hot_key(Gtk *s, const GdkEventKey *e)
{
    QKeyCode key = key_from_linux(e->hardware_keycode - 8);

    if (~e->state & (GDK_CONTROL_MASK | GDK_MOD1_MASK) || e->type != GDK_KEY_PRESS) {
        return false;
    }
    if (key == Q_KEY_CODE_G) {
        grab(s, !s->grabbed);
    } else if (key == Q_KEY_CODE_F) {
        full_screen(s, !s->full);
    } else if (key >= Q_KEY_CODE_1 && key <= Q_KEY_CODE_9) {
        look_at(s, key - Q_KEY_CODE_1);
    } else {
        return false;
    }
    return true;
}

static gboolean key_event(GtkWidget *w, GdkEventKey *e, Gtk *s)
{
    Console *c = s->listener.console;
    QKeyCode key = e->hardware_keycode > 8 ? key_from_linux(e->hardware_keycode - 8) : Q_KEY_CODE_UNMAPPED;

    if (hot_key(s, e) || !c) {
        return TRUE;
    }
    if (!console_is_text(c)) {
        if (key != Q_KEY_CODE_UNMAPPED) {
            input_key(s->vm, console_id(s), key, e->type == GDK_KEY_PRESS);
            input_sync(s->vm);
        }
    } else if (e->type == GDK_KEY_PRESS) {
        console_typed(c, e->keyval, e->state & GDK_CONTROL_MASK);
    }
    return TRUE;
}

static gboolean motion(GtkWidget *w, GdkEventMotion *e, Gtk *s)
{
    const char *id = console_id(s);

    if (!s->listener.console) {
        return TRUE;
    }
    if (input_is_absolute(s->vm, id)) {
        const Surface *surface = console_surface(s->listener.console);
        Place p = place(s);
        input_place(s->vm, id, INPUT_AXIS_X, CLAMP((e->x - p.x) / p.scale_x, 0, surface->width), surface->width);
        input_place(s->vm, id, INPUT_AXIS_Y, CLAMP((e->y - p.y) / p.scale_y, 0, surface->height), surface->height);
    } else if (s->grabbed) {
        int x, y;
        middle(s, &x, &y);
        if ((int)e->x_root == x && (int)e->y_root == y) {
            return TRUE;
        }
        input_move(s->vm, id, INPUT_AXIS_X, (int)e->x_root - x);
        input_move(s->vm, id, INPUT_AXIS_Y, (int)e->y_root - y);
        to_middle(s);
    }
    input_sync(s->vm);
    return TRUE;
}

static gboolean button(GtkWidget *w, GdkEventButton *e, Gtk *s)
{
    static const int buttons[] = {-1, INPUT_BUTTON_LEFT, INPUT_BUTTON_MIDDLE, INPUT_BUTTON_RIGHT, -1, -1, -1, -1,
                                  INPUT_BUTTON_SIDE, INPUT_BUTTON_EXTRA};
    bool down = e->type == GDK_BUTTON_PRESS;

    s->lib.gtk_widget_grab_focus(s->area);
    if (down && !s->grabbed && !input_is_absolute(s->vm, console_id(s))) {
        grab(s, true);
    } else if ((down || e->type == GDK_BUTTON_RELEASE) && e->button < G_N_ELEMENTS(buttons) && buttons[e->button] >= 0) {
        input_button(s->vm, console_id(s), buttons[e->button], down);
        input_sync(s->vm);
    }
    return TRUE;
}

static gboolean wheel(GtkWidget *w, GdkEventScroll *e, Gtk *s)
{
    static const InputButton buttons[] = {
        [GDK_SCROLL_UP] = INPUT_BUTTON_WHEEL_UP, [GDK_SCROLL_DOWN] = INPUT_BUTTON_WHEEL_DOWN,
        [GDK_SCROLL_LEFT] = INPUT_BUTTON_WHEEL_LEFT, [GDK_SCROLL_RIGHT] = INPUT_BUTTON_WHEEL_RIGHT,
    };

    for (unsigned down = 1; e->direction < G_N_ELEMENTS(buttons) && down < 2; down--) {
        input_button(s->vm, console_id(s), buttons[e->direction], down);
        input_sync(s->vm);
    }
    return TRUE;
}

/* ---- menus ---- */

static void pause_or_go(Gtk *s)
{
    if (vm_is_running(s->vm)) {
        vm_request_stop(s->vm, RUN_PAUSED);
    } else {
        vm_start(s->vm);
    }
    title(s);
}

static void reset(Gtk *s) { vm_request_reset(s->vm, CAUSE_HOST_UI); }
static void power_down(Gtk *s) { vm_request_powerdown(s->vm); }
static void quit(Gtk *s) { vm_request_shutdown(s->vm, CAUSE_HOST_UI, 0); }
static void toggle_full(Gtk *s) { full_screen(s, !s->full); }
static void toggle_grab(Gtk *s) { grab(s, !s->grabbed); }
static void toggle_zoom(Gtk *s)
{
    s->zooms = !s->zooms;
    s->lib.gtk_widget_set_size_request(s->area, -1, -1);
    if (s->listener.console) {
        resized(&s->listener, console_surface(s->listener.console));
    }
}

static GtkWidget *add_menu(Gtk *s, const char *label)
{
    GtkWidget *item = s->lib.gtk_menu_item_new_with_label(label), *menu = s->lib.gtk_menu_new();

    s->lib.gtk_menu_item_set_submenu((GtkMenuItem *)item, menu);
    s->lib.gtk_menu_shell_append((GtkMenuShell *)s->menus, item);
    return menu;
}

static GtkWidget *add_item(Gtk *s, GtkWidget *menu, const char *label, void (*chosen)(Gtk *s))
{
    GtkWidget *item = s->lib.gtk_menu_item_new_with_label(label);

    s->lib.gtk_menu_shell_append((GtkMenuShell *)menu, item);
    if (chosen) {
        g_signal_connect_swapped(item, "activate", (GCallback)chosen, s);
    }
    return item;
}

static void show_console(GtkWidget *item, Gtk *s)
{
    look_at(s, GPOINTER_TO_UINT(g_object_get_data((GObject *)item, "myna-console")));
}

static void add_menus(Gtk *s)
{
    static const struct { const char *menu, *label; void (*chosen)(Gtk *s); } items[] = {
        {"Machine", "Pause, or go on", pause_or_go}, {NULL, "Reset", reset}, {NULL, "Power Down", power_down},
        {NULL, "Quit", quit}, {"View", "Full Screen (Ctrl-Alt-F)", toggle_full}, {NULL, "Zoom To Fit", toggle_zoom},
        {NULL, "Grab Input (Ctrl-Alt-G)", toggle_grab},
    };
    GtkWidget *menu = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(items); i++) {
        menu = items[i].menu ? add_menu(s, items[i].menu) : menu;
        add_item(s, menu, items[i].label, items[i].chosen);
    }
    for (unsigned i = 0; console_at(s->vm, i); i++) {
        GtkWidget *item = add_item(s, menu, console_label(console_at(s->vm, i)), NULL);
        g_object_set_data((GObject *)item, "myna-console", GUINT_TO_POINTER(i));
        g_signal_connect(item, "activate", (GCallback)show_console, s);
    }
}

/* ---- life ---- */

static gboolean closed(GtkWidget *w, GdkEvent *e, Gtk *s)
{
    if (s->closes) {
        quit(s);
    }
    return TRUE;                        /* the machine ends it */
}

static void poll_events(void *data)
{
    Gtk *s = data;

    s->timer = loop_after(s->vm->loop, POLL_MS, poll_events, s);
    while (s->lib.gtk_events_pending()) {
        s->lib.gtk_main_iteration_do(FALSE);
    }
}

static const char data_key;

static void *make(Vm *vm)
{
    Gtk *s = g_new0(Gtk, 1);

    *s = (Gtk){.vm = vm, .listener = {.resized = resized, .updated = updated, .gone = gone}};
    return s;
}

static void end(gpointer data)
{
    Gtk *s = data;

    console_unlisten(&s->listener);
    if (s->timer) {
        loop_cancel(s->vm->loop, s->timer);
    }
    if (s->window) {
        s->lib.gtk_widget_destroy(s->window);
    }
    forget_picture(s);
    g_free(s);
}

static bool read_options(Gtk *s, const Json *o, GError **error)
{
    const struct { const char *name; bool *to; bool dflt; } switches[] = {
        {"window-close", &s->closes, true}, {"zoom-to-fit", &s->zooms, true}, {"show-menubar", &s->has_menus, true},
        {"full-screen", &s->full, s->full},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(switches); i++) {
        const char *text = o ? json_get_text(o, switches[i].name) : NULL;
        *switches[i].to = text ? !strcmp(text, "on") : switches[i].dflt;
        if (text && strcmp(text, "on") && strcmp(text, "off")) {
            return error_set(error, "Parameter '%s' expects 'on' or 'off'", switches[i].name);
        }
    }
    for (size_t i = 0; o && i < json_length(o); i++) {
        const char *key = json_key_at(o, i);
        bool known = !strcmp(key, "type") || !strcmp(key, "gl");
        for (unsigned k = 0; k < G_N_ELEMENTS(switches); k++) {
            known |= !strcmp(key, switches[k].name);
        }
        if (!known) {
            return error_set(error, "Parameter '%s' is unexpected", key);
        }
    }
    const char *gl = o ? json_get_text(o, "gl") : NULL;
    return !gl || !strcmp(gl, "off") || error_set(error, "gl=%s: there is no OpenGL", gl);
}

static void connect_area(Gtk *s)
{
    static const struct { const char *signal; GCallback to; } signals[] = {
        {"draw", (GCallback)draw}, {"configure-event", (GCallback)new_size}, {"motion-notify-event", (GCallback)motion},
        {"button-press-event", (GCallback)button}, {"button-release-event", (GCallback)button},
        {"scroll-event", (GCallback)wheel},
    };

    s->lib.gtk_widget_add_events(s->area, GDK_POINTER_MOTION_MASK | GDK_BUTTON_PRESS_MASK | GDK_BUTTON_RELEASE_MASK |
                                 GDK_SCROLL_MASK | GDK_KEY_PRESS_MASK | GDK_KEY_RELEASE_MASK);
    s->lib.gtk_widget_set_can_focus(s->area, TRUE);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        g_signal_connect(s->area, signals[i].signal, signals[i].to, s);
    }
    /* Keys by the window: it keeps F10 and others to itself where they go to the widget. */
    g_signal_connect(s->window, "key-press-event", (GCallback)key_event, s);
    g_signal_connect(s->window, "key-release-event", (GCallback)key_event, s);
    g_signal_connect(s->window, "delete-event", (GCallback)closed, s);
}

static bool start(Vm *vm, const DisplayConfig *config, GError **error)
{
    Gtk *s = vm_data(vm, &data_key, make, end);

    s->full = config->full_screen;
    if (!read_options(s, config->options, error) ||
        !library_load("libgtk-3.so.0", "libgtk-3-0", names, &s->lib, error)) {
        return false;
    }
    if (!s->lib.gtk_init_check(NULL, NULL)) {
        return error_set(error, "gtk initialization failed (is there a display?)");
    }
    s->window = s->lib.gtk_window_new(GTK_WINDOW_TOPLEVEL);
    s->menus = s->lib.gtk_menu_bar_new();
    s->area = s->lib.gtk_drawing_area_new();
    GtkWidget *box = s->lib.gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
    s->lib.gtk_container_add((GtkContainer *)s->window, box);
    s->lib.gtk_box_pack_start((GtkBox *)box, s->menus, FALSE, FALSE, 0);
    s->lib.gtk_box_pack_start((GtkBox *)box, s->area, TRUE, TRUE, 0);
    add_menus(s);
    connect_area(s);
    title(s);
    s->lib.gtk_widget_show_all(s->window);
    full_screen(s, s->full);
    s->lib.gtk_widget_grab_focus(s->area);
    look_at(s, 0);
    poll_events(s);
    return true;
}

static bool has_desktop(void)
{
    return getenv("DISPLAY") || getenv("WAYLAND_DISPLAY");
}

static const DisplayType gtk = {
    .name = "display-gtk", .parent = "display", .size = sizeof(Object), .display = "gtk",
    .desc = "A window with menus by GTK", .by_default = has_desktop, .start = start,
};
OBJECT_TYPE(gtk);
