/* SPDX-License-Identifier: Apache-2.0 */
/* What back ends see of a character device. */
#ifndef CHARDEV_INTERNAL_H
#define CHARDEV_INTERNAL_H

#include "chardev/chardev.h"
#include "core/vm.h"
#include "qapi/qapi-types-chardev.h"
#include "util/error.h"

enum { CHAR_MAX_FRONTENDS = 4 };

struct ChardevType {
    ObjectType;
    ChardevBackendKind kind;
    unsigned max_frontends;     /* 0: 1 */
    /* Sets filename; opens. Control loop. */
    bool (*open)(Chardev *c, const ChardevBackend *options, GError **error);
    /* Takes what it can at once. Under c->lock, any thread. When short, it calls char_writable()
     * later. NULL: swallows all. */
    unsigned (*write)(Chardev *c, const uint8_t *buf, unsigned n);
    /* The front end can take input again. Control loop. */
    void (*resume_input)(Chardev *c);
    void (*close)(Chardev *c);
    unsigned (*take_fds)(Chardev *c, int *fds, unsigned max);
    int (*socket)(Chardev *c);
    /* A front end came or went, or opened itself. Control loop. */
    void (*frontends_changed)(Chardev *c);
    /* Takes its watches off the loop, or puts them on; c->loop's thread. NULL: it cannot move. */
    void (*watch)(Chardev *c, bool on);
};

struct Chardev {
    Object object;
    Loop *loop;
    char *filename;             /* as query-chardev shows it */
    char *pty_name;             /* chardev-add's answer */
    CharFrontend *fe[CHAR_MAX_FRONTENDS];
    unsigned n_fe, focus;       /* input goes to fe[focus] */
    bool open;                  /* the other side is there */
    GMutex lock;                /* write side */
    GByteArray *backlog;        /* accepted by char_write_all, not written yet */
    bool wants_writable;        /* a short write was answered: tell the front ends */
    int input_blocked;          /* atomic: can_read() was 0 */
    int log_fd;
};

/* For back ends, on the control loop: */
void char_set_open(Chardev *c, bool open);
/* Bytes the focused front end takes now; 0 remembers that resume_input() is owed. */
unsigned char_room(Chardev *c);
void char_input(Chardev *c, const uint8_t *buf, unsigned n);
void char_event(Chardev *c, CharEvent event);
/* There is room again: sends the backlog, then tells the front ends. */
void char_writable(Chardev *c);

/* Descriptors in the loop, shared by stdio, file, pipe, pty and socket. */
typedef struct CharFd {
    Chardev *chr;
    int in, out;                /* -1: none; may be equal */
    LoopFd *watch_in, *watch_out;
    void (*hangup)(Chardev *c);
} CharFd;
void char_fd_start(CharFd *f, Chardev *c, int in, int out, void (*hangup)(Chardev *));
void char_fd_watch(CharFd *f, bool on);
void char_fd_stop(CharFd *f, bool close_fds);
unsigned char_fd_write(CharFd *f, const uint8_t *buf, unsigned n);
void char_fd_resume(CharFd *f);

#endif
