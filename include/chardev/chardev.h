/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character devices: byte streams to the outside (-chardev) and the front ends that use them
 * (serial ports, consoles, monitors).
 *
 * A Chardev's home is the control loop, or the one it was moved to: input and events arrive there. char_write() may be called
 * from any thread and never blocks. A front end that belongs to a device is called under that
 * device's domain lock.
 */
#ifndef CHARDEV_CHARDEV_H
#define CHARDEV_CHARDEV_H

#include "core/device.h"
#include "util/loop.h"

typedef struct Chardev Chardev;
typedef struct ChardevType ChardevType;

typedef enum CharEvent {
    CHAR_EVENT_OPENED,          /* the other side is there */
    CHAR_EVENT_CLOSED,
    CHAR_EVENT_BREAK,           /* serial break, C-a b */
    CHAR_EVENT_WRITABLE,        /* after a short char_write(): room again */
    CHAR_EVENT_FOCUS_IN, CHAR_EVENT_FOCUS_OUT,      /* mux */
} CharEvent;

/* What uses a chardev; embedded in its owner. Fill the callbacks, then char_attach(). */
typedef struct CharFrontend {
    Chardev *chr;
    Device *dev;                /* its lock is held in callbacks; NULL: none */
    unsigned (*can_read)(void *opaque);             /* bytes it can take now */
    void (*read)(void *opaque, const uint8_t *buf, unsigned n);
    void (*event)(void *opaque, CharEvent event);
    void *opaque;
} CharFrontend;

/* Connects; an error if chr has a front end already and is no mux. chr NULL: a silent sink. */
bool char_attach(CharFrontend *fe, Chardev *chr, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void char_detach(CharFrontend *fe);
/* Takes up to n bytes; returns how many (short: CHAR_EVENT_WRITABLE follows; n when unconnected). */
unsigned char_write(CharFrontend *fe, const void *buf, unsigned n);
/* The same, but buffers without limit what is not accepted: monitors. */
void char_write_all(CharFrontend *fe, const void *buf, unsigned n);
/* can_read() grew: deliver pending input soon. Any thread. */
void char_accept_input(CharFrontend *fe);
/* Serial line breaks and parameters, where the back end has a real line. */
bool char_is_open(CharFrontend *fe);
/* A connected socket's descriptor, -1: none; for protocols of questions and answers with descriptors, whose
 * front end reads answers by itself before it returns to the loop. */
int char_socket(CharFrontend *fe);
/* Descriptors received with SCM_RIGHTS by a socket back end since the last call; caller closes. */
unsigned char_take_fds(CharFrontend *fe, int *fds, unsigned max);

/* ---- making them; control loop ---- */
typedef struct ChardevBackend ChardevBackend;
/* Makes and opens one under /chardevs/ID and as service "chardev". Errors name the id. */
Chardev *chardev_new(Vm *vm, const char *id, const ChardevBackend *options, GError **error);
bool chardev_delete(Vm *vm, const char *id, GError **error);
/* Puts another back end in the place of chardev ID; its users do not notice. On failure nothing has
 * changed. */
Chardev *chardev_change(Vm *vm, const char *id, const ChardevBackend *options, GError **error);
Chardev *chardev_find(Vm *vm, const char *id);
/* Makes another loop its home, of which the caller owns the thread; before a front end is attached or after
 * it was detached there. Control thread; false: this kind cannot. It returns home by itself when deleted. */
bool chardev_move(Chardev *c, Loop *loop);
Loop *chardev_loop(const Chardev *c);
/* -serial, -monitor and -chardev in QEMU's short forms ("stdio", "mon:stdio", "tcp:host:port,server",
 * "unix:path", "file:x", "pty", "null", "chardev:id", "none" gives NULL without an error). `id` names
 * the new one. *mux_monitor: "mon:" asked for a monitor on the same stream. */
Chardev *chardev_from_legacy(Vm *vm, const char *id, const char *text, bool *mux_monitor, GError **error);
/* -chardev BACKEND,id=ID,… with optional mux=on. */
Chardev *chardev_from_option(Vm *vm, const char *text, GError **error);
const char *chardev_id(const Chardev *c);
const char *chardev_filename(const Chardev *c);
const char *chardev_pty(const Chardev *c);              /* "/dev/pts/3" or NULL */
bool chardev_frontend_open(const Chardev *c);
/* Ring buffers: takes up to n bytes out; copies n bytes in. False if c is no ring buffer. */
bool chardev_ringbuf_read(Chardev *c, uint8_t *buf, unsigned *n);
bool chardev_ringbuf_write(Chardev *c, const uint8_t *buf, unsigned n);

#endif
