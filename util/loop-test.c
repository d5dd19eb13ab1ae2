/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of event loops, read-copy-update, log items and trace points. */
#include <string.h>
#include <unistd.h>

#include "util/error.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/rcu.h"

enum { ROUNDS = 2000 };

typedef struct Worker {
    Loop *loop;
    GThread *thread;
    int expect;
    bool order_ok;
} Worker;

static void *run(void *data)
{
    loop_run(((Worker *)data)->loop);
    return NULL;
}

static void start(Worker *w)
{
    *w = (Worker){.loop = loop_new(), .order_ok = true};
    w->thread = g_thread_new("loop", run, w);
}

static void quit(void *data)
{
    loop_quit(((Worker *)data)->loop);
}

static void stop(Worker *w)
{
    loop_post(w->loop, quit, w);
    g_thread_join(w->thread);
    loop_free(w->loop);
}

typedef struct Numbered {
    Worker *w;
    int n;
} Numbered;

static void count(void *data)
{
    Numbered *p = data;

    p->w->order_ok &= p->n == p->w->expect++ && loop_is_home(p->w->loop) &&
                      loop_current() == p->w->loop;
    g_free(p);
}

static void posts_keep_order(void)
{
    Worker w;

    start(&w);
    for (int i = 0; i < ROUNDS; i++) {
        Numbered *p = g_new(Numbered, 1);
        *p = (Numbered){&w, i};
        loop_post(w.loop, count, p);
    }
    Numbered *last = g_new(Numbered, 1);
    *last = (Numbered){&w, ROUNDS};
    while (loop_is_home(w.loop)) {      /* until the thread has taken it */
        g_usleep(100);
    }
    loop_call(w.loop, count, last);
    g_assert_cmpint(w.expect, ==, ROUNDS + 1);
    g_assert_true(w.order_ok);
    stop(&w);
}

static void got(int fd, GIOCondition ready, void *data)
{
    char c;

    g_assert_cmpint(read(fd, &c, 1), ==, 1);
    (*(int *)data)++;
}

static void descriptors(void)
{
    Loop *loop = loop_new();
    int fds[2], n = 0;

    g_assert_cmpint(pipe(fds), ==, 0);
    LoopFd *w = loop_add_fd(loop, fds[0], G_IO_IN, got, &n);
    g_assert_cmpint(write(fds[1], "ab", 2), ==, 2);
    while (loop_step(loop, false)) {
    }
    g_assert_cmpint(n, ==, 2);
    loop_fd_set(w, 0);
    g_assert_cmpint(write(fds[1], "c", 1), ==, 1);
    g_assert_false(loop_step(loop, false));
    loop_fd_set(w, G_IO_IN);
    g_assert_true(loop_step(loop, true));
    g_assert_cmpint(n, ==, 3);
    loop_fd_free(w);
    loop_fd_free(NULL);
    loop_free(loop);
    close(fds[0]);
    close(fds[1]);
}

static void bump(void *data)
{
    (*(int *)data)++;
}

static void timeouts(void)
{
    Loop *loop = loop_new();
    int n = 0;
    unsigned id = loop_after(loop, 1, bump, &n);

    loop_cancel(loop, loop_after(loop, 1, bump, &n));
    loop_step(loop, true);
    g_assert_cmpint(n, ==, 1);
    loop_cancel(loop, id);
    loop_free(loop);
}

/* Readers check that what they see was not freed: freeing poisons. */
typedef struct Shared {
    int *value;
    bool end;
} Shared;

static void poison(void *data)
{
    *(int *)data = -1;
    g_free(data);
}

static void *reader(void *data)
{
    Shared *s = data;
    intptr_t bad = 0;

    while (!__atomic_load_n(&s->end, __ATOMIC_RELAXED)) {
        rcu_read_lock();
        for (int i = 0; i < 10; i++) {
            rcu_read_lock();
            bad += *rcu_get(&s->value) < 0;
            rcu_read_unlock();
        }
        rcu_quiescent();
        bad += *rcu_get(&s->value) < 0;
        rcu_read_unlock();
    }
    return (void *)bad;
}

static void rcu(void)
{
    Shared s = {.value = g_new0(int, 1)};
    GThread *threads[3];

    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("reader", reader, &s);
    }
    for (int i = 0; i < ROUNDS; i++) {
        int *old = s.value, *new = g_new(int, 1);
        *new = i;
        rcu_set(&s.value, new);
        rcu_free(old, poison);
        rcu_poll();
    }
    rcu_barrier();
    __atomic_store_n(&s.end, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_assert_null(g_thread_join(threads[i]));
    }
    g_free(s.value);
}

static void see(const TracePoint *point, const char *name, void *data)
{
    if (strcmp(name, "loop_test_hello") == 0) {
        *(int *)data = point->on ? 2 : 1;
    }
}

static void log_items(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strdup_printf("%s/myna-log-%d", g_get_tmp_dir(), (int)getpid());
    g_autofree char *text = NULL, *help = log_help();
    int seen = 0;

    g_assert_nonnull(strstr(help, "guest_errors"));
    g_assert_true(log_set_items("int,exec", &error));
    g_assert_true(log_on(LOG_INT) && log_on(LOG_EXEC) && !log_on(LOG_CPU));
    g_assert_false(log_set_items("guest_error", &error));
    g_assert_nonnull(strstr(error->message, "did you mean 'guest_errors'"));

    g_clear_error(&error);
    g_assert_false(log_set_items("strace", &error));
    g_assert_nonnull(strstr(error->message, "no user programs"));

    g_assert_true(log_set_file(path, NULL));
    trace(hello, "not %s", "shown");
    trace_foreach(see, &seen);
    g_assert_cmpint(seen, ==, 1);
    g_assert_cmpuint(trace_set("loop_test_h*", true), ==, 1);
    trace_foreach(see, &seen);
    g_assert_cmpint(seen, ==, 2);
    for (int i = 0; i < 2; i++) {
        trace(other, "off %d", i);
        log_write("line %d", i);
    }
    g_assert_true(log_set_file(NULL, NULL));
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, "line 0\nline 1\n"));
    unlink(path);
    g_assert_true(log_set_items("none", NULL));
}

static void log_ranges(void)
{
    static const char *const wrong[] = {"x", "1", "5..4", "1+0", "1+", "-5", "1-", "7-9", "1..2,", "1+2x",
                                        "0xffffffffffffffff+2"};

    g_assert_true(log_in_range(0) && log_in_range(UINT64_MAX));
    g_assert_true(log_set_ranges("0x1000+0x10,0x2000..0x2001,0x300f-16", NULL));
    static const struct { uint64_t at; bool in; } places[] = {
        {0xfff, false}, {0x1000, true}, {0x100f, true}, {0x1010, false}, {0x2000, true}, {0x2001, true},
        {0x2002, false}, {0x2fff, false}, {0x3000, true}, {0x300f, true}, {0x3010, false}};
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        g_assert_cmpint(log_in_range(places[i].at), ==, places[i].in);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(log_set_ranges(wrong[i], &error));
        g_assert_nonnull(strstr(error->message, "FIRST..LAST"));
    }
    g_assert_true(log_set_ranges("", NULL));
    g_assert_true(log_in_range(0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loop/posts", posts_keep_order);
    g_test_add_func("/loop/descriptors", descriptors);
    g_test_add_func("/loop/timeouts", timeouts);
    g_test_add_func("/rcu/readers", rcu);
    g_test_add_func("/log/items", log_items);
    g_test_add_func("/log/ranges", log_ranges);
    return g_test_run();
}
