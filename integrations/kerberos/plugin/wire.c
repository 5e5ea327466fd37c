#include "wire.h"

#include <string.h>

static const uint8_t magic[4] = {'Q', 'K', 'D', '1'};

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)(value >> 16));
    put16(at + 2, (uint16_t)value);
}

void qkd_wipe(void *memory, size_t size)
{
    explicit_bzero(memory, size);
}

size_t qkd_write_request(const struct qkd_question *question, uint32_t id, uint8_t out[QKD_REQUEST_HEAD + QKD_MAX_NAME])
{
    size_t length = strlen(question->principal);

    if (length == 0 || length > QKD_MAX_NAME)
        return 0;
    memcpy(out, magic, sizeof(magic));
    put32(out + 4, id);
    out[8] = (uint8_t)question->op;
    out[9] = 0;
    put16(out + 10, question->kvno);
    put16(out + 12, (uint16_t)length);
    memcpy(out + QKD_REQUEST_HEAD, question->principal, length);
    return QKD_REQUEST_HEAD + length;
}

int qkd_body_size(const uint8_t head[QKD_REPLY_HEAD], uint32_t id)
{
    uint16_t size = get16(head + 14);

    if (memcmp(head, magic, sizeof(magic)) != 0 || get32(head + 4) != id || size > QKD_MAX_BODY)
        return -1;
    return size;
}

/* Key bytes of an encryption type that is served: those whose random-to-key is the identity (RFC 3962, RFC 8009). */
static uint16_t key_bytes(int16_t enctype)
{
    switch (enctype) {
    case 17: /* aes128-cts-hmac-sha1-96 */
    case 19: /* aes128-cts-hmac-sha256-128 */
        return 16;
    case 18: /* aes256-cts-hmac-sha1-96 */
    case 20: /* aes256-cts-hmac-sha384-192 */
        return 32;
    default:
        return 0;
    }
}

static const char *read_keys(const uint8_t *at, const uint8_t *end, struct qkd_reply *reply)
{
    for (uint8_t i = 0; i < reply->count; i++) {
        struct qkd_key *key = &reply->keys[i];

        if (end - at < QKD_KEY_HEAD)
            return "is cut short";
        key->enctype = (int16_t)get16(at);
        key->size = get16(at + 2);
        at += QKD_KEY_HEAD;
        if (key->size == 0 || key->size != key_bytes(key->enctype))
            return "has a key of a wrong type or size";
        if (end - at < key->size)
            return "is cut short";
        for (uint8_t before = 0; before < i; before++) {
            if (reply->keys[before].enctype == key->enctype)
                return "has two keys of one type";
        }
        memcpy(key->bytes, at, key->size);
        at += key->size;
    }
    return at == end ? NULL : "has bytes to spare";
}

static const char *read_reply(const uint8_t *bytes, size_t size, const struct qkd_question *question, uint32_t id,
                              struct qkd_reply *reply)
{
    int body = size < QKD_REPLY_HEAD ? -1 : qkd_body_size(bytes, id);

    if (body < 0 || (size_t)body != size - QKD_REPLY_HEAD)
        return "has a wrong head";
    if (bytes[8] > QKD_REFUSED)
        return "has an unknown status";
    reply->status = (enum qkd_status)bytes[8];
    reply->count = bytes[9];
    reply->kvno = get16(bytes + 10);
    reply->valid_ms = get16(bytes + 12);
    if (reply->status != QKD_OK)
        return reply->count == 0 && reply->kvno == 0 && reply->valid_ms == 0 && body == 0 ? NULL : "gives and refuses";
    if (reply->count == 0 || reply->count > QKD_MAX_KEYS)
        return "has no key, or too many";
    if (reply->kvno == 0 || (question->op == QKD_VERSION && reply->kvno != question->kvno))
        return "is for another kvno";
    if (reply->valid_ms > QKD_MAX_VALID_MS || (question->op == QKD_TICKET && reply->valid_ms != 0))
        return "is valid for too long";
    return read_keys(bytes + QKD_REPLY_HEAD, bytes + size, reply);
}

const char *qkd_read_reply(const uint8_t *bytes, size_t size, const struct qkd_question *question, uint32_t id,
                           struct qkd_reply *reply)
{
    const char *fault;

    memset(reply, 0, sizeof(*reply));
    fault = read_reply(bytes, size, question, id, reply);
    if (fault != NULL)
        qkd_wipe(reply, sizeof(*reply));
    return fault;
}
