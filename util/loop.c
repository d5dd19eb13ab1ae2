/* SPDX-License-Identifier: Apache-2.0 */
/* Event loops on top of GMainContext. */
#include <pthread.h>
#include <time.h>

#include "util/loop.h"
#include "util/rcu.h"

typedef struct Post {
    struct Post *next;
    void (*fn)(void *);
    void *data;
} Post;

/* Posted calls wait here; the source becomes ready while there are any. */
typedef struct PostSource {
    GSource source;
    Loop *loop;
} PostSource;

struct Loop {
    GMainContext *context;
    GThread *home;              /* atomic */
    bool quit;                  /* atomic */
    GSource *posts;
    GHashTable *data;           /* loop_data(): key -> LoopDatum */
    pthread_mutex_t lock;       /* of the list of posts, and of tuning */
    LoopTuning tuning;
    int64_t poll_max;           /* tuning.poll_max_ns; atomic */
    int64_t poll_ns;            /* the present busy wait */
    Post *first, **last;
};

static __thread Loop *current;

/* ---- waiting ---- */

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/*
 * Busy for the time that would have met the last events: it grows when the sleep that followed was
 * shorter than the limit, and shrinks when it was longer.
 */
static void adapt(Loop *loop, int64_t waited, int64_t max)
{
    enum { FIRST = 4000 };
    LoopTuning t = loop_tuning(loop);

    if (waited <= loop->poll_ns) {
        return;
    }
    if (waited > max) {
        loop->poll_ns = t.poll_shrink ? loop->poll_ns / t.poll_shrink : 0;
    } else {
        loop->poll_ns = loop->poll_ns ? loop->poll_ns * (t.poll_grow ? t.poll_grow : 2) : FIRST;
    }
    loop->poll_ns = MIN(loop->poll_ns, max);
}

static gint wait_for(Loop *loop, GPollFD *fds, guint n, gint timeout)
{
    int64_t max = loop ? __atomic_load_n(&loop->poll_max, __ATOMIC_RELAXED) : 0;

    if (!max || timeout == 0) {
        return g_poll(fds, n, timeout);
    }
    int64_t start = now_ns(), spin = MIN(loop->poll_ns, timeout < 0 ? INT64_MAX : timeout * 1000000ll);
    gint ready = 0;
    while (!ready && now_ns() - start < spin) {
        ready = g_poll(fds, n, 0);
    }
    if (!ready) {
        ready = g_poll(fds, n, timeout);
    }
    adapt(loop, now_ns() - start, max);
    return ready;
}

void loop_tune(Loop *loop, const LoopTuning *tuning)
{
    pthread_mutex_lock(&loop->lock);
    loop->tuning = *tuning;
    pthread_mutex_unlock(&loop->lock);
    __atomic_store_n(&loop->poll_max, tuning->poll_max_ns, __ATOMIC_RELAXED);
}

LoopTuning loop_tuning(Loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    LoopTuning t = loop->tuning;
    pthread_mutex_unlock(&loop->lock);
    return t;
}

/* A loop is a reader that holds nothing while it polls. */
static gint poll_offline(GPollFD *fds, guint n, gint timeout)
{
    bool online = rcu_self.depth == 1 && timeout != 0;

    if (online) {
        rcu_offline();
    }
    gint ready = wait_for(current, fds, n, timeout);
    if (online) {
        rcu_online();
    }
    return ready;
}

static Post *take_posts(Loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    Post *list = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    pthread_mutex_unlock(&loop->lock);
    return list;
}

static void run_posts(Loop *loop)
{
    Post *list = take_posts(loop);

    while (list) {
        Post *p = list;
        list = p->next;
        p->fn(p->data);
        g_free(p);
    }
}

static gboolean dispatch_posts(GSource *source, GSourceFunc fn, gpointer data)
{
    g_source_set_ready_time(source, -1);
    run_posts(((PostSource *)source)->loop);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs post_funcs = {.dispatch = dispatch_posts};

static void set_home(Loop *loop)
{
    __atomic_store_n(&loop->home, g_thread_self(), __ATOMIC_SEQ_CST);
}

Loop *loop_new(void)
{
    Loop *loop = g_new0(Loop, 1);

    loop->context = g_main_context_new();
    g_main_context_set_poll_func(loop->context, poll_offline);
    pthread_mutex_init(&loop->lock, NULL);
    loop->last = &loop->first;
    loop->posts = g_source_new(&post_funcs, sizeof(PostSource));
    ((PostSource *)loop->posts)->loop = loop;
    g_source_attach(loop->posts, loop->context);
    set_home(loop);
    return loop;
}

typedef struct LoopDatum {
    void *value;
    GDestroyNotify free;
} LoopDatum;

static void datum_free(gpointer p)
{
    LoopDatum *d = p;

    d->free(d->value);
    g_free(d);
}

void *loop_data(Loop *loop, const void *key, void *(*make)(Loop *), GDestroyNotify free)
{
    if (!loop->data) {
        loop->data = g_hash_table_new_full(NULL, NULL, NULL, datum_free);
    }
    LoopDatum *d = g_hash_table_lookup(loop->data, key);
    if (!d) {
        d = g_new(LoopDatum, 1);
        *d = (LoopDatum){make(loop), free};
        g_hash_table_insert(loop->data, (gpointer)key, d);
    }
    return d->value;
}

void loop_free(Loop *loop)
{
    if (!loop) {
        return;
    }
    g_clear_pointer(&loop->data, g_hash_table_unref);
    /* What was posted is owed to the poster; it may own memory. */
    while (loop->first) {
        run_posts(loop);
    }
    g_source_destroy(loop->posts);
    g_source_unref(loop->posts);
    g_main_context_unref(loop->context);
    pthread_mutex_destroy(&loop->lock);
    g_free(loop);
}

GMainContext *loop_context(Loop *loop)
{
    return loop->context;
}

bool loop_step(Loop *loop, bool may_block)
{
    Loop *outer = current;

    set_home(loop);
    current = loop;
    rcu_read_lock();
    g_main_context_push_thread_default(loop->context);
    bool worked = g_main_context_iteration(loop->context, may_block);
    g_main_context_pop_thread_default(loop->context);
    rcu_read_unlock();
    current = outer;
    if (rcu_self.depth == 0) {
        rcu_poll();
    }
    return worked;
}

void loop_run(Loop *loop)
{
    while (!__atomic_exchange_n(&loop->quit, false, __ATOMIC_SEQ_CST)) {
        loop_step(loop, true);
    }
}

void loop_quit(Loop *loop)
{
    __atomic_store_n(&loop->quit, true, __ATOMIC_SEQ_CST);
    g_main_context_wakeup(loop->context);
}

bool loop_is_home(const Loop *loop)
{
    return __atomic_load_n(&loop->home, __ATOMIC_SEQ_CST) == g_thread_self();
}

Loop *loop_current(void)
{
    return current;
}

void loop_post(Loop *loop, void (*fn)(void *data), void *data)
{
    Post *p = g_new(Post, 1);

    *p = (Post){.fn = fn, .data = data};
    pthread_mutex_lock(&loop->lock);
    bool first = !loop->first;
    *loop->last = p;
    loop->last = &p->next;
    if (first) {
        /* Under the lock, so that the loop cannot die between the two. */
        g_source_set_ready_time(loop->posts, 0);
    }
    pthread_mutex_unlock(&loop->lock);
}

void loop_run_posts(Loop *loop)
{
    run_posts(loop);
}

typedef struct Call {
    void (*fn)(void *);
    void *data;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
} Call;

static void run_call(void *data)
{
    Call *call = data;

    call->fn(call->data);
    pthread_mutex_lock(&call->lock);
    call->done = true;
    pthread_cond_signal(&call->cond);
    pthread_mutex_unlock(&call->lock);
}

void loop_call(Loop *loop, void (*fn)(void *data), void *data)
{
    if (loop_is_home(loop)) {
        fn(data);
        return;
    }
    Call call = {.fn = fn, .data = data};
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.cond, NULL);
    loop_post(loop, run_call, &call);
    pthread_mutex_lock(&call.lock);
    while (!call.done) {
        pthread_cond_wait(&call.cond, &call.lock);
    }
    pthread_mutex_unlock(&call.lock);
    pthread_cond_destroy(&call.cond);
    pthread_mutex_destroy(&call.lock);
}

/* ---- descriptors ---- */

struct LoopFd {
    GSource source;
    gpointer tag;
    int fd;
    void (*fn)(int fd, GIOCondition ready, void *data);
    void *data;
};

static gboolean dispatch_fd(GSource *source, GSourceFunc fn, gpointer data)
{
    LoopFd *w = (LoopFd *)source;
    GIOCondition ready = g_source_query_unix_fd(source, w->tag);

    if (ready) {
        w->fn(w->fd, ready, w->data);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs fd_funcs = {.dispatch = dispatch_fd};

LoopFd *loop_add_fd(Loop *loop, int fd, GIOCondition events,
                    void (*fn)(int fd, GIOCondition ready, void *data), void *data)
{
    LoopFd *w = (LoopFd *)g_source_new(&fd_funcs, sizeof(LoopFd));

    w->fd = fd;
    w->fn = fn;
    w->data = data;
    w->tag = g_source_add_unix_fd(&w->source, fd, events);
    g_source_attach(&w->source, loop->context);
    return w;
}

void loop_fd_set(LoopFd *w, GIOCondition events)
{
    g_source_modify_unix_fd(&w->source, w->tag, events);
}

void loop_fd_free(LoopFd *w)
{
    if (w) {
        g_source_destroy(&w->source);
        g_source_unref(&w->source);
    }
}

/* ---- host time ---- */

typedef struct After {
    void (*fn)(void *);
    void *data;
} After;

static gboolean dispatch_after(gpointer data)
{
    After *a = data;

    a->fn(a->data);
    return G_SOURCE_REMOVE;
}

unsigned loop_after(Loop *loop, unsigned ms, void (*fn)(void *data), void *data)
{
    After *a = g_new(After, 1);
    GSource *source = g_timeout_source_new(ms);

    *a = (After){fn, data};
    g_source_set_callback(source, dispatch_after, a, g_free);
    unsigned id = g_source_attach(source, loop->context);
    g_source_unref(source);
    return id;
}

void loop_cancel(Loop *loop, unsigned id)
{
    GSource *source = id ? g_main_context_find_source_by_id(loop->context, id) : NULL;

    if (source) {
        g_source_destroy(source);
    }
}
