/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The code cache: one memory file mapped twice, writable and executable, never both.
 *
 * It is filled chunk by chunk; when it is full, the oldest chunk's units are killed and its memory is
 * used again once every vCPU has left generated code since (JitCpu.seen_purges). The chunk after
 * the current one is retired ahead of need, so nobody waits in practice.
 */
#include "accel/jit/internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/error.h"

enum { DEFAULT_SIZE = 64 << 20, DEFAULT_CHUNK = 1 << 20, STUBS = 16384 };

/* Executable view within reach of a call to our own functions, if there is room. */
static void *map_near_text(size_t size, int fd)
{
    uintptr_t text = (uintptr_t)&jit_cache_init & ~(uintptr_t)0x1fffff;
    for (uintptr_t d = 16 << 20; d < 1ull << 30; d += 32 << 20) {
        for (int sign = -1; sign <= 1; sign += 2) {
            void *want = (void *)(sign < 0 ? text - d - size : text + d);
            void *p = mmap(want, size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
            if (p != MAP_FAILED)
                return p;
        }
    }
    return mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
}

bool jit_cache_init(JitCache *c, size_t size, size_t chunk_size, GError **error)
{
    c->chunk_size = chunk_size ? chunk_size : DEFAULT_CHUNK;
    c->n_chunks = CLAMP((size ? size : DEFAULT_SIZE) / c->chunk_size, 3, JIT_MAX_CHUNKS);
    c->size = c->n_chunks * c->chunk_size;
    c->reserved = STUBS;
    int fd = memfd_create("myna-jit", MFD_CLOEXEC);
    bool ok = fd >= 0 && ftruncate(fd, c->size) == 0;
    if (ok) {
        c->rw = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        c->rx = map_near_text(c->size, fd);
        c->meta = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                       -1, 0);
        ok = c->rw != MAP_FAILED && c->rx != MAP_FAILED && c->meta != MAP_FAILED;
    }
    int e = errno;
    if (fd >= 0)
        close(fd);
    if (!ok) {
        return error_set(error, "cannot map %zu MiB of executable memory for translated code: %s",
                         c->size >> 20, g_strerror(e));
    }
    for (unsigned k = 0; k < c->n_chunks; k++) {
        JitChunk *ch = &c->chunks[k];
        ch->code = c->rw + k * c->chunk_size + (k ? 0 : STUBS);
        ch->code_end = c->rw + (k + 1) * c->chunk_size;
        ch->meta = c->meta + k * c->chunk_size + (k ? 0 : JIT_LEFT_LINK);
        ch->meta_end = c->meta + (k + 1) * c->chunk_size;
        ch->units = g_ptr_array_new();
    }
    return true;
}

void jit_cache_finish(JitCache *c)
{
    for (unsigned k = 0; k < c->n_chunks; k++)
        if (c->chunks[k].units)
            g_ptr_array_free(c->chunks[k].units, TRUE);
    if (c->rw && c->rw != MAP_FAILED)
        munmap(c->rw, c->size);
    if (c->rx && c->rx != MAP_FAILED)
        munmap(c->rx, c->size);
    if (c->meta && c->meta != MAP_FAILED)
        munmap(c->meta, c->size);
}

static void retire(Jit *j, JitChunk *c)
{
    if (!c->units->len || c->retired)
        return;
    for (unsigned k = 0; k < c->units->len; k++)
        jit_unit_kill(j, c->units->pdata[k], JIT_KILL_EVICT);
    c->retired = __atomic_add_fetch(&j->purges, 1, __ATOMIC_SEQ_CST);
    j->stat.evictions++;
}

static bool quiescent(Jit *j, uint64_t since)
{
    bool all = true;
    for (unsigned k = 0; k < j->cpus->len; k++) {
        JitCpu *jc = j->cpus->pdata[k];
        if (__atomic_load_n(&jc->seen_purges, __ATOMIC_SEQ_CST) < since) {
            all = false;
            cpu_request(jc->cpu, CPU_REQ_WORK);
        }
    }
    return all;
}

bool jit_wait_outside(Jit *j, uint64_t since)
{
    for (unsigned tries = 0; !quiescent(j, since); tries++) {
        if (tries == 100)
            return false;
        g_usleep(100);
    }
    return true;
}

/* Gives a retired chunk's memory back; false when a vCPU stays inside too long. */
static bool reclaim(Jit *j, JitChunk *c, unsigned index)
{
    retire(j, c);
    if (c->retired && !jit_wait_outside(j, c->retired))
        return false;
    c->retired = 0;
    g_ptr_array_set_size(c->units, 0);
    c->code = j->cache.rw + index * j->cache.chunk_size + (index ? 0 : STUBS);
    c->meta = j->cache.meta + index * j->cache.chunk_size + (index ? 0 : JIT_LEFT_LINK);
    return true;
}

static bool has_room(const JitChunk *c, size_t code, size_t meta)
{
    return (size_t)(c->code_end - c->code) >= code && (size_t)(c->meta_end - c->meta) >= meta;
}

JitChunk *jit_cache_room(Jit *j, size_t code, size_t meta)
{
    JitCache *c = &j->cache;
    JitChunk *ch = &c->chunks[c->current];
    if (has_room(ch, code, meta))
        return ch;
    if (code > c->chunk_size - STUBS || meta > c->chunk_size - STUBS)
        return NULL;
    unsigned next = (c->current + 1) % c->n_chunks;
    if (!reclaim(j, &c->chunks[next], next))
        return NULL;
    c->current = next;
    ch = &c->chunks[next];
    /* From now on the writable view serves patches only: it need not be mapped a second time. */
    madvise(c->rw, c->size, MADV_DONTNEED);
    retire(j, &c->chunks[(next + 1) % c->n_chunks]);
    return ch;
}
