/* SPDX-License-Identifier: Apache-2.0 */
/* System calls, processes, signals, self-modifying code, and two threads. */
#include "bench.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t getpid_(void)
{
    pid_t own = getpid();
    uint64_t same = 0;
    for (int i = 0; i < 300000; i++) {
        same += syscall(SYS_getpid) == own;
    }
    return same;
}

static uint64_t pipe_(void)
{
    int there[2], back[2];
    uint64_t sum = 0;
    if (pipe(there) || pipe(back)) {
        return 0;
    }
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(there[1]);
        while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1) {
        }
        _exit(0);
    }
    for (int i = 0; i < 8000; i++) {
        char byte = i;
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) {
            return 0;
        }
        sum += (uint8_t)byte;
    }
    close(there[0]), close(there[1]), close(back[0]), close(back[1]);
    waitpid(child, NULL, 0);
    return sum;
}

static uint64_t fork_(void)
{
    uint64_t good = 0;
    for (int i = 0; i < 300; i++) {
        pid_t child = fork();
        if (child == 0) {
            _exit(i & 63);
        }
        int status = 0;
        waitpid(child, &status, 0);
        good += WIFEXITED(status) && WEXITSTATUS(status) == (i & 63);
    }
    return good;
}

static uint64_t fork_exec(void)
{
    uint64_t good = 0;
    for (int i = 0; i < 150; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return good;
}

static volatile sig_atomic_t caught;
static void catch(int number) { caught += number == SIGUSR1; }

static uint64_t signals(void)
{
    struct sigaction action = { .sa_handler = catch };
    sigaction(SIGUSR1, &action, NULL);
    caught = 0;
    for (int i = 0; i < 20000; i++) {
        kill(getpid(), SIGUSR1);
    }
    return caught;
}

/* A function that returns a constant, rewritten before each call. */
static uint64_t self_modifying(void)
{
    uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t sum = 0;
    if (code == MAP_FAILED) {
        return 0;
    }
    for (uint32_t i = 0; i < 30000; i++) {
#if defined(__x86_64__)
        uint8_t bytes[6] = { 0xb8 };                        /* mov $i, %eax; ret */
        memcpy(bytes + 1, &i, 4);
        bytes[5] = 0xc3;
        memcpy(code, bytes, 6);
#elif defined(__riscv)
        uint32_t words[2] = { (i & 0x7ff) << 20 | 0x513, 0x8067 };      /* li a0, i; ret */
        memcpy(code, words, 8);
#endif
        __builtin___clear_cache((char *)code, (char *)code + 8);
        uint32_t value = ((uint32_t (*)(void))(uintptr_t)code)();
        sum += value & 0x7ff;
    }
    munmap(code, 4096);
    return sum;
}

const Bench bench_system[] = {
    { "getpid", "system", getpid_ },
    { "pipe-pingpong", "system", pipe_ },
    { "fork", "system", fork_ },
    { "fork-exec", "system", fork_exec },
    { "signals", "system", signals },
    { "self-modifying", "system", self_modifying },
    { 0 },
};

/* --- two threads --------------------------------------------------------------------------- */

static uint64_t both(void *(*body)(void *), void *shared)
{
    pthread_t other;
    pthread_create(&other, NULL, body, shared);
    body(shared);
    pthread_join(other, NULL);
    return 0;
}

static void *add_atomically(void *shared)
{
    for (int i = 0; i < 3000000; i++) {
        atomic_fetch_add((_Atomic uint64_t *)shared, 1);
    }
    return NULL;
}

static uint64_t atomics(void)
{
    _Atomic uint64_t counter = 0;
    both(add_atomically, &counter);
    return counter;
}

typedef struct Locked {
    pthread_mutex_t mutex;
    pthread_cond_t full, room;
    uint64_t value, queue[64], head, tail;
} Locked;

static void *add_locked(void *shared)
{
    Locked *l = shared;
    for (int i = 0; i < 1000000; i++) {
        pthread_mutex_lock(&l->mutex);
        l->value++;
        pthread_mutex_unlock(&l->mutex);
    }
    return NULL;
}

static uint64_t mutex(void)
{
    Locked l = { .mutex = PTHREAD_MUTEX_INITIALIZER };
    both(add_locked, &l);
    return l.value;
}

static void *produce(void *shared)
{
    Locked *l = shared;
    for (uint64_t i = 1; i <= 60000; i++) {
        pthread_mutex_lock(&l->mutex);
        while (l->tail - l->head == 64) {
            pthread_cond_wait(&l->room, &l->mutex);
        }
        l->queue[l->tail++ % 64] = i;
        pthread_cond_signal(&l->full);
        pthread_mutex_unlock(&l->mutex);
    }
    return NULL;
}

static uint64_t producer_consumer(void)
{
    Locked l = { .mutex = PTHREAD_MUTEX_INITIALIZER, .full = PTHREAD_COND_INITIALIZER,
                 .room = PTHREAD_COND_INITIALIZER };
    pthread_t other;
    pthread_create(&other, NULL, produce, &l);
    for (int i = 0; i < 60000; i++) {
        pthread_mutex_lock(&l.mutex);
        while (l.tail == l.head) {
            pthread_cond_wait(&l.full, &l.mutex);
        }
        l.value += l.queue[l.head++ % 64];
        pthread_cond_signal(&l.room);
        pthread_mutex_unlock(&l.mutex);
    }
    pthread_join(other, NULL);
    return l.value;
}

static void *count_apart(void *shared)
{
    uint64_t x = (uintptr_t)shared & 1;
    for (int i = 0; i < 40000000; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
    }
    atomic_fetch_add((_Atomic uint64_t *)shared, x >> 60 | 1);
    return NULL;
}

static uint64_t independent(void)
{
    _Atomic uint64_t sum = 0;
    both(count_apart, &sum);
    return sum;
}

const Bench bench_smp[] = {
    { "two-independent", "two-threads", independent },
    { "atomics", "two-threads", atomics },
    { "mutex", "two-threads", mutex },
    { "producer-consumer", "two-threads", producer_consumer },
    { 0 },
};
