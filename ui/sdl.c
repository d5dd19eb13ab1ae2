/* SPDX-License-Identifier: Apache-2.0 */
/* -display sdl: a window by SDL 2. Ctrl-Alt-G takes and frees the pointer, Ctrl-Alt-F full screen,
 * Ctrl-Alt and a digit choose the console. */
#include <SDL2/SDL.h>
#include <stdlib.h>
#include <string.h>

#include "ui/console.h"
#include "ui/display.h"
#include "ui/input.h"
#include "ui/library.h"
#include "util/error.h"

#define FUNCTIONS(F)                                                                                \
    F(SDL_InitSubSystem) F(SDL_QuitSubSystem) F(SDL_GetError) F(SDL_CreateWindow)                   \
    F(SDL_DestroyWindow) F(SDL_SetWindowTitle) F(SDL_SetWindowSize) F(SDL_SetWindowFullscreen)      \
    F(SDL_GetWindowSize) F(SDL_CreateRenderer) F(SDL_DestroyRenderer) F(SDL_CreateTexture)          \
    F(SDL_DestroyTexture) F(SDL_UpdateTexture) F(SDL_RenderClear) F(SDL_RenderCopy)                 \
    F(SDL_RenderPresent) F(SDL_PollEvent) F(SDL_SetRelativeMouseMode) F(SDL_SetHint)                \
    F(SDL_StartTextInput)

enum { POLL_MS = 10 };

typedef struct Sdl {
    struct { FUNCTIONS(LIBRARY_MEMBER) } lib;
    Vm *vm;
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    ConsoleListener listener;
    unsigned timer;
    bool dirty, grabbed, full, no_close;
} Sdl;

static const char *const names[] = {FUNCTIONS(LIBRARY_NAME) NULL};

static Sdl *of(ConsoleListener *l)
{
    return (Sdl *)((char *)l - offsetof(Sdl, listener));
}

static const char *console_id(const Sdl *s)
{
    Console *c = s->listener.console;

    return c && console_device(c) ? console_device(c)->id : NULL;
}

/* ---- the picture ---- */

static void title(Sdl *s)
{
    g_autofree char *text = g_strdup_printf("Myna%s%s%s%s", s->vm->name ? " (" : "", s->vm->name ? s->vm->name : "",
                                            s->vm->name ? ")" : "",
                                            s->grabbed ? " - Press Ctrl-Alt-G to exit grab" : "");

    s->lib.SDL_SetWindowTitle(s->window, text);
}

static void resized(ConsoleListener *l, Surface *p)
{
    Sdl *s = of(l);

    if (s->texture) {
        s->lib.SDL_DestroyTexture(s->texture);
    }
    if (!s->full) {
        s->lib.SDL_SetWindowSize(s->window, p->width, p->height);
    }
    s->texture = s->lib.SDL_CreateTexture(s->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, p->width,
                                          p->height);
    if (s->texture) {
        s->lib.SDL_UpdateTexture(s->texture, NULL, p->pixels, p->stride);
    }
    s->dirty = true;
}

static void updated(ConsoleListener *l, unsigned x, unsigned y, unsigned width, unsigned height)
{
    Sdl *s = of(l);
    const Surface *p = console_surface(l->console);
    SDL_Rect r = {x, y, width, height};

    if (s->texture) {
        s->lib.SDL_UpdateTexture(s->texture, &r, surface_line(p, y) + x, p->stride);
    }
    s->dirty = true;
}

static void look_at(Sdl *s, unsigned n)
{
    Console *c = console_at(s->vm, n);

    if (c) {
        console_unlisten(&s->listener);
        console_listen(c, &s->listener);
    }
}

/* ---- input ---- */

static void grab(Sdl *s, bool on)
{
    s->grabbed = on;
    s->lib.SDL_SetRelativeMouseMode(on && !input_is_absolute(s->vm, console_id(s)) ? SDL_TRUE : SDL_FALSE);
    title(s);
}

/* Scan codes of SDL are USB usages of the keyboard page. */
static QKeyCode key_of(SDL_Scancode code)
{
    for (unsigned i = 1; i <= Q_KEY_CODE_F24; i++) {
        if (code && key_codes(i)->usage == code && i != Q_KEY_CODE_ASTERISK) {
            return i;
        }
    }
    return Q_KEY_CODE_UNMAPPED;
}

/* Keys for the window itself. */
static bool hot_key(Sdl *s, const SDL_KeyboardEvent *e)
{
    bool held = e->keysym.mod & KMOD_CTRL && e->keysym.mod & KMOD_ALT;
    SDL_Scancode c = e->keysym.scancode;

    if (!held || e->type != SDL_KEYDOWN || e->repeat) {
        return false;
    }
    if (c == SDL_SCANCODE_G) {
        grab(s, !s->grabbed);
    } else if (c == SDL_SCANCODE_F) {
        s->full = !s->full;
        s->lib.SDL_SetWindowFullscreen(s->window, s->full ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
    } else if (c >= SDL_SCANCODE_1 && c <= SDL_SCANCODE_9) {
        look_at(s, c - SDL_SCANCODE_1);
    } else {
        return false;
    }
    return true;
}

static void text_key(Console *c, const SDL_KeyboardEvent *e)
{
    static const struct { SDL_Keycode key; uint32_t keysym; } keys[] = {
        {SDLK_RETURN, 0xff0d}, {SDLK_KP_ENTER, 0xff0d}, {SDLK_BACKSPACE, 0xff08}, {SDLK_TAB, 0xff09},
        {SDLK_ESCAPE, 0xff1b}, {SDLK_UP, 0xff52}, {SDLK_DOWN, 0xff54}, {SDLK_LEFT, 0xff51}, {SDLK_RIGHT, 0xff53},
        {SDLK_HOME, 0xff50}, {SDLK_END, 0xff57}, {SDLK_PAGEUP, 0xff55}, {SDLK_PAGEDOWN, 0xff56},
        {SDLK_DELETE, 0xffff}, {SDLK_INSERT, 0xff63},
    };
    SDL_Keycode key = e->keysym.sym;

    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (keys[i].key == key) {
            console_typed(c, keys[i].keysym, false);
        }
    }
    if (e->keysym.mod & KMOD_CTRL && key >= 'a' && key <= 'z') {
        console_typed(c, key, true);
    }
}

static void key_event(Sdl *s, const SDL_KeyboardEvent *e)
{
    Console *c = s->listener.console;
    QKeyCode key = key_of(e->keysym.scancode);

    if (hot_key(s, e) || !c) {
        return;
    }
    if (!console_is_text(c)) {
        if (key != Q_KEY_CODE_UNMAPPED) {
            input_key(s->vm, console_id(s), key, e->type == SDL_KEYDOWN);
            input_sync(s->vm);
        }
    } else if (e->type == SDL_KEYDOWN) {
        text_key(c, e);
    }
}

static void text_event(Sdl *s, const char *text)
{
    Console *c = s->listener.console;

    for (; c && console_is_text(c) && *text; text = g_utf8_next_char(text)) {
        gunichar u = g_utf8_get_char(text);
        console_typed(c, u < 0x100 ? u : 0x01000000 | u, false);
    }
}

static void motion(Sdl *s, const SDL_MouseMotionEvent *e)
{
    const char *id = console_id(s);
    int width, height;

    if (input_is_absolute(s->vm, id)) {
        s->lib.SDL_GetWindowSize(s->window, &width, &height);
        input_place(s->vm, id, INPUT_AXIS_X, CLAMP(e->x, 0, width), MAX(width, 1));
        input_place(s->vm, id, INPUT_AXIS_Y, CLAMP(e->y, 0, height), MAX(height, 1));
    } else if (s->grabbed) {
        input_move(s->vm, id, INPUT_AXIS_X, e->xrel);
        input_move(s->vm, id, INPUT_AXIS_Y, e->yrel);
    }
    input_sync(s->vm);
}

static void button(Sdl *s, const SDL_MouseButtonEvent *e)
{
    static const int buttons[] = {-1, INPUT_BUTTON_LEFT, INPUT_BUTTON_MIDDLE, INPUT_BUTTON_RIGHT, INPUT_BUTTON_SIDE,
                                  INPUT_BUTTON_EXTRA};
    bool down = e->type == SDL_MOUSEBUTTONDOWN;

    if (down && !s->grabbed && !input_is_absolute(s->vm, console_id(s))) {
        grab(s, true);
    } else if (e->button && e->button < G_N_ELEMENTS(buttons)) {
        input_button(s->vm, console_id(s), buttons[e->button], down);
        input_sync(s->vm);
    }
}

static void wheel(Sdl *s, int distance)
{
    InputButton b = distance > 0 ? INPUT_BUTTON_WHEEL_UP : INPUT_BUTTON_WHEEL_DOWN;

    for (int i = 0; i < ABS(distance) && i < 8; i++) {
        input_button(s->vm, console_id(s), b, true);
        input_sync(s->vm);
        input_button(s->vm, console_id(s), b, false);
        input_sync(s->vm);
    }
}

static void window_event(Sdl *s, const SDL_WindowEvent *e)
{
    Console *c = s->listener.console;

    if (e->event == SDL_WINDOWEVENT_EXPOSED) {
        s->dirty = true;
    } else if (e->event == SDL_WINDOWEVENT_RESIZED && c) {
        console_ui_info(c, &(UiInfo){.width = e->data1, .height = e->data2});
        s->dirty = true;
    }
}

static void event(Sdl *s, const SDL_Event *e)
{
    switch (e->type) {
    case SDL_KEYDOWN: case SDL_KEYUP: key_event(s, &e->key); break;
    case SDL_TEXTINPUT: text_event(s, e->text.text); break;
    case SDL_MOUSEMOTION: motion(s, &e->motion); break;
    case SDL_MOUSEBUTTONDOWN: case SDL_MOUSEBUTTONUP: button(s, &e->button); break;
    case SDL_MOUSEWHEEL: wheel(s, e->wheel.y); break;
    case SDL_WINDOWEVENT: window_event(s, &e->window); break;
    case SDL_QUIT:
        if (!s->no_close) {
            vm_request_shutdown(s->vm, CAUSE_HOST_UI, 0);
        }
        break;
    default: break;
    }
}

static void poll_events(void *data)
{
    Sdl *s = data;
    SDL_Event e;

    s->timer = loop_after(s->vm->loop, POLL_MS, poll_events, s);
    while (s->lib.SDL_PollEvent(&e)) {
        event(s, &e);
    }
    if (s->dirty && s->texture) {
        s->lib.SDL_RenderClear(s->renderer);
        s->lib.SDL_RenderCopy(s->renderer, s->texture, NULL, NULL);
        s->lib.SDL_RenderPresent(s->renderer);
    }
    s->dirty = false;
}

/* ---- life ---- */

static const char data_key;

static void *make(Vm *vm)
{
    Sdl *s = g_new0(Sdl, 1);

    *s = (Sdl){.vm = vm, .listener = {.resized = resized, .updated = updated}};
    return s;
}

static void end(gpointer data)
{
    Sdl *s = data;

    console_unlisten(&s->listener);
    if (s->timer) {
        loop_cancel(s->vm->loop, s->timer);
    }
    if (s->texture) {
        s->lib.SDL_DestroyTexture(s->texture);
    }
    if (s->renderer) {
        s->lib.SDL_DestroyRenderer(s->renderer);
    }
    if (s->window) {
        s->lib.SDL_DestroyWindow(s->window);
        s->lib.SDL_QuitSubSystem(SDL_INIT_VIDEO);
    }
    g_free(s);
}

static bool read_options(Sdl *s, const Json *o, GError **error)
{
    static const char *const known[] = {"type", "window-close", "show-cursor", "grab-mod", "gl", NULL};

    for (size_t i = 0; o && i < json_length(o); i++) {
        if (!g_strv_contains(known, json_key_at(o, i))) {
            return error_set(error, "Parameter '%s' is unexpected", json_key_at(o, i));
        }
    }
    const char *gl = o ? json_get_text(o, "gl") : NULL, *mod = o ? json_get_text(o, "grab-mod") : NULL;
    s->no_close = o && !g_strcmp0(json_get_text(o, "window-close"), "off");
    if (gl && strcmp(gl, "off")) {
        return error_set(error, "gl=%s: there is no OpenGL", gl);
    }
    return !mod || !strcmp(mod, "lctrl-lalt") || error_set(error, "grab-mod=%s: only lctrl-lalt is known", mod);
}

static bool start(Vm *vm, const DisplayConfig *config, GError **error)
{
    Sdl *s = vm_data(vm, &data_key, make, end);

    if (!read_options(s, config->options, error) ||
        !library_load("libSDL2-2.0.so.0", "libsdl2-2.0-0", names, &s->lib, error)) {
        return false;
    }
    s->lib.SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    s->lib.SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    if (s->lib.SDL_InitSubSystem(SDL_INIT_VIDEO) < 0) {
        return error_set(error, "Could not initialize SDL(%s)", s->lib.SDL_GetError());
    }
    s->full = config->full_screen;
    s->window = s->lib.SDL_CreateWindow("Myna", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 640, 480,
                                        SDL_WINDOW_RESIZABLE | (s->full ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0));
    s->renderer = s->window ? s->lib.SDL_CreateRenderer(s->window, -1, 0) : NULL;
    if (!s->renderer) {
        return error_set(error, "SDL has no window for us (%s)", s->lib.SDL_GetError());
    }
    s->lib.SDL_StartTextInput();
    title(s);
    look_at(s, 0);
    poll_events(s);
    return true;
}

static bool has_desktop(void)
{
    return getenv("DISPLAY") || getenv("WAYLAND_DISPLAY");
}

static const DisplayType sdl = {
    .name = "display-sdl", .parent = "display", .size = sizeof(Object), .display = "sdl",
    .desc = "A window by SDL", .by_default = has_desktop, .start = start,
};
OBJECT_TYPE(sdl);
