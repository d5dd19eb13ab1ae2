/* SPDX-License-Identifier: Apache-2.0 */
/* -display curses: text screens on the terminal. Alt (or Escape) and a digit choose the console. */
#define NCURSES_WIDECHAR 1
#define NCURSES_NOMACROS 1
#include <curses.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "ui/console.h"
#include "ui/display.h"
#include "ui/input.h"
#include "ui/library.h"
#include "ui/text.h"
#include "util/error.h"

#define FUNCTIONS(F)                                                                                \
    F(initscr) F(endwin) F(raw) F(noecho) F(nonl) F(keypad) F(nodelay) F(start_color) F(init_pair)  \
    F(wget_wch) F(wmove) F(waddnwstr) F(wattr_set) F(wrefresh) F(werase) F(getmaxx) F(getmaxy)      \
    F(curs_set) F(has_colors)

enum { DRAW_MS = 40, COLUMNS_MAX = 256, ROWS_MAX = 128, ESCAPE = 27 };

typedef struct Curses {
    struct { FUNCTIONS(LIBRARY_MEMBER) } lib;
    Vm *vm;
    WINDOW *window;
    ConsoleListener listener;
    LoopFd *input;
    unsigned timer;
    bool escaped;               /* the last key was Escape */
    uint16_t cells[COLUMNS_MAX * ROWS_MAX];
} Curses;

static const char *const names[] = {FUNCTIONS(LIBRARY_NAME) NULL};

/* ---- drawing ---- */

/* Pairs 1 to 64: foreground and background, red and blue as VGA has them. */
static void make_colours(Curses *s)
{
    static const short colours[8] = {COLOR_BLACK, COLOR_BLUE, COLOR_GREEN, COLOR_CYAN, COLOR_RED,
                                     COLOR_MAGENTA, COLOR_YELLOW, COLOR_WHITE};

    s->lib.start_color();
    for (short i = 0; i < 64; i++) {
        s->lib.init_pair(i + 1, colours[i & 7], colours[i >> 3]);
    }
}

static void put_line(Curses *s, unsigned y, const uint16_t *cells, unsigned n)
{
    for (unsigned x = 0; x < n; x++) {
        uint8_t c = cells[x], a = cells[x] >> 8;
        wchar_t w = c ? terminal_unicode(c) : ' ';
        s->lib.wattr_set(s->window, a & 8 ? A_BOLD : A_NORMAL, 1 + (a & 7) + (a >> 4 & 7) * 8, NULL);
        s->lib.wmove(s->window, y, x);
        s->lib.waddnwstr(s->window, &w, 1);
    }
}

static void put_words(Curses *s, const char *text)
{
    unsigned n = strlen(text), width = s->lib.getmaxx(s->window), height = s->lib.getmaxy(s->window);
    uint16_t line[COLUMNS_MAX];

    for (unsigned i = 0; i < n && i < COLUMNS_MAX; i++) {
        line[i] = 0x0700 | (uint8_t)text[i];
    }
    s->lib.werase(s->window);
    if (n < width) {
        put_line(s, height / 2, line, n);
    }
}

static void draw(void *data)
{
    Curses *s = data;
    Console *c = s->listener.console;
    unsigned columns = MIN(s->lib.getmaxx(s->window), COLUMNS_MAX);
    unsigned rows = MIN(s->lib.getmaxy(s->window), ROWS_MAX);

    s->timer = loop_after(s->vm->loop, DRAW_MS, draw, s);
    if (!c) {
        put_words(s, "no console");
    } else if (console_text(c, s->cells, &columns, &rows)) {
        for (unsigned y = 0; y < rows; y++) {
            put_line(s, y, s->cells + y * columns, columns);
        }
    } else {
        const Surface *p = console_surface(c);
        g_autofree char *words = g_strdup_printf("%u x %u Graphic mode", p->width, p->height);
        put_words(s, words);
    }
    s->lib.wrefresh(s->window);
}

/* ---- consoles ---- */

static void look_at(Curses *s, unsigned n)
{
    Console *c = console_at(s->vm, n);

    if (c) {
        console_unlisten(&s->listener);
        console_listen(c, &s->listener);
        s->lib.werase(s->window);
    }
}

/* ---- keys ---- */

/* What curses and terminals call keys; keysym for text consoles. */
static const struct { int key; QKeyCode code; uint32_t keysym; } special[] = {
    {KEY_UP, Q_KEY_CODE_UP, 0xff52}, {KEY_DOWN, Q_KEY_CODE_DOWN, 0xff54}, {KEY_LEFT, Q_KEY_CODE_LEFT, 0xff51},
    {KEY_RIGHT, Q_KEY_CODE_RIGHT, 0xff53}, {KEY_HOME, Q_KEY_CODE_HOME, 0xff50}, {KEY_END, Q_KEY_CODE_END, 0xff57},
    {KEY_PPAGE, Q_KEY_CODE_PGUP, 0xff55}, {KEY_NPAGE, Q_KEY_CODE_PGDN, 0xff56}, {KEY_IC, Q_KEY_CODE_INSERT, 0xff63},
    {KEY_DC, Q_KEY_CODE_DELETE, 0xffff}, {KEY_BACKSPACE, Q_KEY_CODE_BACKSPACE, 0xff08},
    {KEY_ENTER, Q_KEY_CODE_RET, 0xff0d}, {KEY_BTAB, Q_KEY_CODE_TAB, 0xff09},
    {KEY_F(1), Q_KEY_CODE_F1}, {KEY_F(2), Q_KEY_CODE_F2}, {KEY_F(3), Q_KEY_CODE_F3}, {KEY_F(4), Q_KEY_CODE_F4},
    {KEY_F(5), Q_KEY_CODE_F5}, {KEY_F(6), Q_KEY_CODE_F6}, {KEY_F(7), Q_KEY_CODE_F7}, {KEY_F(8), Q_KEY_CODE_F8},
    {KEY_F(9), Q_KEY_CODE_F9}, {KEY_F(10), Q_KEY_CODE_F10}, {KEY_F(11), Q_KEY_CODE_F11},
    {KEY_F(12), Q_KEY_CODE_F12},
};
/* A US keyboard: plain and with Shift, in the order of `codes`. */
static const char plain[] = "`1234567890-=qwertyuiop[]\\asdfghjkl;'zxcvbnm,./ \t\r\033\177";
static const char shifted[] = "~!@#$%^&*()_+QWERTYUIOP{}|ASDFGHJKL:\"ZXCVBNM<>?";
static const uint8_t codes[] = {
    Q_KEY_CODE_GRAVE_ACCENT, Q_KEY_CODE_1, Q_KEY_CODE_2, Q_KEY_CODE_3, Q_KEY_CODE_4, Q_KEY_CODE_5, Q_KEY_CODE_6,
    Q_KEY_CODE_7, Q_KEY_CODE_8, Q_KEY_CODE_9, Q_KEY_CODE_0, Q_KEY_CODE_MINUS, Q_KEY_CODE_EQUAL, Q_KEY_CODE_Q,
    Q_KEY_CODE_W, Q_KEY_CODE_E, Q_KEY_CODE_R, Q_KEY_CODE_T, Q_KEY_CODE_Y, Q_KEY_CODE_U, Q_KEY_CODE_I,
    Q_KEY_CODE_O, Q_KEY_CODE_P, Q_KEY_CODE_BRACKET_LEFT, Q_KEY_CODE_BRACKET_RIGHT, Q_KEY_CODE_BACKSLASH,
    Q_KEY_CODE_A, Q_KEY_CODE_S, Q_KEY_CODE_D, Q_KEY_CODE_F, Q_KEY_CODE_G, Q_KEY_CODE_H, Q_KEY_CODE_J,
    Q_KEY_CODE_K, Q_KEY_CODE_L, Q_KEY_CODE_SEMICOLON, Q_KEY_CODE_APOSTROPHE, Q_KEY_CODE_Z, Q_KEY_CODE_X,
    Q_KEY_CODE_C, Q_KEY_CODE_V, Q_KEY_CODE_B, Q_KEY_CODE_N, Q_KEY_CODE_M, Q_KEY_CODE_COMMA, Q_KEY_CODE_DOT,
    Q_KEY_CODE_SLASH, Q_KEY_CODE_SPC, Q_KEY_CODE_TAB, Q_KEY_CODE_RET, Q_KEY_CODE_ESC, Q_KEY_CODE_BACKSPACE,
};

static void press(Curses *s, QKeyCode key, QKeyCode with)
{
    QKeyCode keys[2] = {with, key};
    bool one = with == Q_KEY_CODE_UNMAPPED;

    input_type(s->vm, keys + one, 2 - one, 10);
}

static void press_character(Curses *s, uint32_t c, bool alt)
{
    const char *at = c && c < 0x80 ? strchr(plain, c) : NULL;
    QKeyCode with = alt ? Q_KEY_CODE_ALT : Q_KEY_CODE_UNMAPPED;

    if (at) {
        press(s, codes[at - plain], with);
    } else if (c && c < 0x80 && (at = strchr(shifted, c))) {
        press(s, codes[at - shifted], Q_KEY_CODE_SHIFT);
    } else if (c && c < ' ' && (at = strchr(plain, c | 0x60))) {
        press(s, codes[at - plain], Q_KEY_CODE_CTRL);
    }
}

static void key(Curses *s, wint_t c, bool is_special)
{
    Console *console = s->listener.console;
    bool alt = s->escaped;

    s->escaped = false;
    if (!is_special && c == ESCAPE && !alt) {
        s->escaped = true;
        return;
    }
    if (alt && !is_special && c >= '1' && c <= '9') {
        look_at(s, c - '1');
        return;
    }
    if (!console) {
        return;
    }
    for (unsigned i = 0; is_special && i < G_N_ELEMENTS(special); i++) {
        if (special[i].key == (int)c && console_is_text(console)) {
            console_typed(console, special[i].keysym, false);
        } else if (special[i].key == (int)c) {
            press(s, special[i].code, Q_KEY_CODE_UNMAPPED);
        }
    }
    if (is_special) {
        return;
    }
    if (!console_is_text(console)) {
        press_character(s, c, alt && c != ESCAPE);
    } else if (c < ' ' || c == 0x7f) {
        bool named = c == '\t' || c == '\r' || c == ESCAPE;
        console_typed(console, c == 0x7f ? 0xff08 : named ? 0xff00 | c : c | 0x60, !named && c != 0x7f);
    } else {
        console_typed(console, c < 0x100 ? c : 0x01000000 | c, false);
    }
}

static void readable(int fd, GIOCondition ready, void *data)
{
    Curses *s = data;
    wint_t c;
    int kind;

    while ((kind = s->lib.wget_wch(s->window, &c)) != ERR) {
        key(s, c, kind == KEY_CODE_YES);
    }
    if (ready & G_IO_HUP) {
        g_clear_pointer(&s->input, loop_fd_free);
        vm_request_shutdown(s->vm, CAUSE_HOST_UI, 0);
    } else if (s->escaped) {            /* nothing follows: it was the key itself */
        s->escaped = false;
        if (s->listener.console && console_is_text(s->listener.console)) {
            console_typed(s->listener.console, 0xff1b, false);
        } else {
            press(s, Q_KEY_CODE_ESC, Q_KEY_CODE_UNMAPPED);
        }
    }
}

/* ---- life ---- */

static const char data_key;

static void *make(Vm *vm)
{
    Curses *s = g_new0(Curses, 1);

    s->vm = vm;
    return s;
}

static void end(gpointer data)
{
    Curses *s = data;

    if (s->window) {
        console_unlisten(&s->listener);
        loop_fd_free(s->input);
        loop_cancel(s->vm->loop, s->timer);
        s->lib.endwin();
    }
    g_free(s);
}

static bool start(Vm *vm, const DisplayConfig *config, GError **error)
{
    Curses *s = vm_data(vm, &data_key, make, end);
    const char *charset = config->options ? json_get_text(config->options, "charset") : NULL;

    if (charset && g_ascii_strcasecmp(charset, "CP437")) {
        return error_set(error, "charset=%s: only CP437 is known", charset);
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        return error_set(error, "standard input and output are no terminal");
    }
    if (!getenv("TERM")) {
        return error_set(error, "TERM does not say what terminal this is");
    }
    if (!library_load("libncursesw.so.6", "libncursesw6", names, &s->lib, error)) {
        return false;
    }
    setlocale(LC_CTYPE, "");
    s->window = s->lib.initscr();
    if (!s->window) {
        return error_set(error, "the terminal cannot be used");
    }
    s->lib.raw();
    s->lib.noecho();
    s->lib.nonl();
    s->lib.keypad(s->window, TRUE);
    s->lib.nodelay(s->window, TRUE);
    s->lib.curs_set(0);
    make_colours(s);
    s->input = loop_add_fd(vm->loop, STDIN_FILENO, G_IO_IN | G_IO_HUP, readable, s);
    look_at(s, 0);
    draw(s);
    return true;
}

static const DisplayType curses = {
    .name = "display-curses", .parent = "display", .size = sizeof(Object), .display = "curses",
    .desc = "Text screens on the terminal", .start = start,
};
OBJECT_TYPE(curses);
