/*
 * What the KDC module and the site's agent say to each other over the socket; key-wire.ts is the other half.
 *
 *   request  "QKD1"  id u32  op u8  0 u8  kvno u16  size u16  principal
 *   reply    "QKD1"  id u32  status u8  count u8  kvno u16  validMs u16  size u16  count * (enctype u16  size u16  key)
 *
 * All numbers are big-endian. `size` of a reply is that of all keys with their heads. A reply whose status is not
 * QKD_OK has zeros from `count` on.
 */
#ifndef QKD_WIRE_H
#define QKD_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define QKD_REQUEST_HEAD 14
#define QKD_REPLY_HEAD 16
#define QKD_KEY_HEAD 4
#define QKD_MAX_NAME 512
#define QKD_MAX_KEYS 4
#define QKD_MAX_KEY_BYTES 32
#define QKD_MAX_BODY (QKD_MAX_KEYS * (QKD_KEY_HEAD + QKD_MAX_KEY_BYTES))
#define QKD_MAX_VALID_MS 1000

/* None of the first two consumes anything: requests reach them before they are authenticated. */
enum qkd_op {
    QKD_CURRENT = 'C', /* what tickets are sealed under now */
    QKD_VERSION = 'V', /* the key of one kvno */
    QKD_TICKET = 'T',  /* a key for one ticket alone: asked for after the request was authenticated */
};

enum qkd_status {
    QKD_OK = 0,
    QKD_UNKNOWN_KVNO = 1, /* never announced, or its time is over */
    QKD_NO_KEY = 2,       /* the agent has no key to give now */
    QKD_REFUSED = 3,      /* the request is not one that the agent serves */
};

struct qkd_key {
    int16_t enctype;
    uint16_t size;
    uint8_t bytes[QKD_MAX_KEY_BYTES];
};

struct qkd_reply {
    enum qkd_status status;
    uint16_t kvno;
    uint16_t valid_ms;
    uint8_t count;
    struct qkd_key keys[QKD_MAX_KEYS];
};

/* What a request asks. */
struct qkd_question {
    enum qkd_op op;
    uint16_t kvno; /* for QKD_VERSION; otherwise 0 */
    const char *principal;
};

/* Writes a request and gives its size; 0 where the principal's name is empty or too long. */
size_t qkd_write_request(const struct qkd_question *question, uint32_t id, uint8_t out[QKD_REQUEST_HEAD + QKD_MAX_NAME]);

/*
 * How many bytes follow a reply's head; -1 where it is no head of a reply to request `id`. The only thing believed of a
 * head before the whole reply is there.
 */
int qkd_body_size(const uint8_t head[QKD_REPLY_HEAD], uint32_t id);

/*
 * Reads a reply of `size` bytes, head and body. Takes exactly what an agent may write and nothing else: NULL if it does,
 * otherwise what is wrong with it, in words for the log. `reply` then holds no key.
 */
const char *qkd_read_reply(const uint8_t *bytes, size_t size, const struct qkd_question *question, uint32_t id,
                           struct qkd_reply *reply);

/* Overwrites memory in a way that is not optimised away. */
void qkd_wipe(void *memory, size_t size);

#endif
