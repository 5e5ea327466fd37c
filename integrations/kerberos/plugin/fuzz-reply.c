/*
 * Feeds replies that are wrong in every way, and some that are right, to the reader: `fuzz-reply [runs [seed]]`. Each lies
 * in memory of exactly its size, so that AddressSanitizer sees every byte read beyond. What the reader takes must be
 * byte for byte what an agent would write for it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

#define LONGEST (QKD_REPLY_HEAD + QKD_MAX_BODY + 8)

static uint64_t state;

/* SplitMix64: the same numbers for the same seed everywhere. */
static uint64_t draw(void)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static unsigned below(unsigned limit)
{
    return (unsigned)(draw() % limit);
}

static void put(uint8_t **at, uint32_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        *(*at)++ = (uint8_t)(value >> (8 * i));
}

/* The reply in its one form. */
static size_t encode(const struct qkd_reply *reply, uint32_t id, uint8_t *out)
{
    uint8_t *at = out + QKD_REPLY_HEAD;
    size_t size;

    for (int i = 0; i < reply->count; i++) {
        put(&at, (uint16_t)reply->keys[i].enctype, 2);
        put(&at, reply->keys[i].size, 2);
        memcpy(at, reply->keys[i].bytes, reply->keys[i].size);
        at += reply->keys[i].size;
    }
    size = (size_t)(at - out);
    at = out;
    put(&at, 0x514b4431, 4);
    put(&at, id, 4);
    put(&at, reply->status, 1);
    put(&at, reply->count, 1);
    put(&at, reply->kvno, 2);
    put(&at, reply->valid_ms, 2);
    put(&at, (uint32_t)(size - QKD_REPLY_HEAD), 2);
    return size;
}

static void choose(const struct qkd_question *question, struct qkd_reply *reply)
{
    static const int16_t enctypes[] = {20, 18, 19, 17};

    memset(reply, 0, sizeof(*reply));
    if (below(4) == 0) {
        reply->status = (enum qkd_status)(1 + below(QKD_REFUSED));
        return;
    }
    reply->kvno = question->op == QKD_VERSION ? question->kvno : (uint16_t)(1 + below(65535));
    reply->valid_ms = question->op == QKD_TICKET ? 0 : (uint16_t)below(QKD_MAX_VALID_MS + 1);
    reply->count = (uint8_t)(1 + below(QKD_MAX_KEYS));
    for (int i = 0; i < reply->count; i++) {
        reply->keys[i].enctype = enctypes[i];
        reply->keys[i].size = i < 2 ? 32 : 16;
        for (int byte = 0; byte < reply->keys[i].size; byte++)
            reply->keys[i].bytes[byte] = (uint8_t)draw();
    }
}

static size_t damage(uint8_t *bytes, size_t size)
{
    for (unsigned times = below(4); times > 0 && size > 0; times--) {
        size_t at = draw() % size;

        switch (below(4)) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << below(8));
            break;
        case 1:
            bytes[at] = (uint8_t)draw();
            break;
        case 2:
            size = at;
            break;
        default:
            if (size < LONGEST)
                bytes[size++] = (uint8_t)draw();
        }
    }
    return size;
}

static int try_one(unsigned long *taken)
{
    static const enum qkd_op ops[] = {QKD_CURRENT, QKD_VERSION, QKD_TICKET};
    struct qkd_question question = {.op = ops[below(3)], .principal = "krbtgt/B.EXAMPLE@A.EXAMPLE"};
    uint8_t bytes[LONGEST], again[LONGEST], *exact;
    uint32_t id = (uint32_t)draw();
    struct qkd_reply reply;
    const char *fault;
    size_t size;

    if (question.op == QKD_VERSION)
        question.kvno = (uint16_t)(1 + below(65535));
    choose(&question, &reply);
    size = encode(&reply, id, bytes);
    if (below(8) != 0)
        size = damage(bytes, size);
    exact = malloc(size == 0 ? 1 : size);
    if (exact == NULL)
        abort();
    memcpy(exact, bytes, size);
    fault = qkd_read_reply(exact, size, &question, id, &reply);
    free(exact);
    if (fault != NULL)
        return 1;
    *taken += 1;
    return encode(&reply, id, again) == size && memcmp(again, bytes, size) == 0;
}

int main(int argc, char **argv)
{
    unsigned long runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    unsigned long taken = 0;

    state = seed;
    for (unsigned long run = 0; run < runs; run++) {
        if (!try_one(&taken)) {
            fprintf(stderr, "seed %" PRIu64 ", run %lu: took a reply that no agent writes\n", seed, run);
            return 1;
        }
    }
    printf("%lu replies, %lu taken\n", runs, taken);
    return 0;
}
