#define _GNU_SOURCE /* struct ucred */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int64_t qkd_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void qkd_agent_init(struct qkd_agent *agent, char *socket_path, uid_t uid)
{
    memset(agent, 0, sizeof(*agent));
    agent->socket_path = socket_path;
    agent->uid = uid;
    agent->fd = -1;
}

void qkd_agent_close(struct qkd_agent *agent)
{
    if (agent->fd >= 0)
        close(agent->fd);
    agent->fd = -1;
}

__attribute__((format(printf, 2, 3))) static int fail(struct qkd_agent *agent, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(agent->problem, sizeof(agent->problem), format, arguments);
    va_end(arguments);
    qkd_agent_close(agent);
    return 0;
}

/* An agent that lets us wait is left alone for a while, longer each time: the realm must not wait for it at every turn. */
static int rest(struct qkd_agent *agent)
{
    int next = agent->rest_ms == 0 ? QKD_FIRST_REST_MS : agent->rest_ms * 2;

    if (++agent->waits == 1)
        return fail(agent, "the agent at %s did not answer within %d ms", agent->socket_path, QKD_TIME_LIMIT_MS);
    agent->rest_ms = next > QKD_LONGEST_REST_MS ? QKD_LONGEST_REST_MS : next;
    agent->rest_until_ms = qkd_now_ms() + agent->rest_ms;
    return fail(agent, "the agent at %s did not answer within %d ms and is not asked again for %d ms",
                agent->socket_path, QKD_TIME_LIMIT_MS, agent->rest_ms);
}

/* Waits until the socket can be read or written. True in time, also for an error that the next call then reports. */
static int wait_for(struct qkd_agent *agent, short events, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd polled = {.fd = agent->fd, .events = events};
        int64_t left_ms = deadline_ms - qkd_now_ms();
        int ready;

        if (left_ms <= 0)
            return rest(agent);
        ready = poll(&polled, 1, (int)left_ms);
        if (ready > 0)
            return 1;
        if (ready < 0 && errno != EINTR)
            return fail(agent, "poll: %s", strerror(errno));
    }
}

/* The directory of the socket should keep others out; this holds where it does not. */
static int is_trusted(struct qkd_agent *agent)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(agent->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return fail(agent, "SO_PEERCRED: %s", strerror(errno));
    if (peer.uid != 0 && peer.uid != geteuid() && peer.uid != agent->uid)
        return fail(agent, "%s is served by user %u, who is not the agent", agent->socket_path, (unsigned)peer.uid);
    return 1;
}

static int open_connection(struct qkd_agent *agent)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(agent->socket_path) >= sizeof(address.sun_path))
        return fail(agent, "the path of the agent's socket is too long");
    strcpy(address.sun_path, agent->socket_path);
    agent->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (agent->fd < 0)
        return fail(agent, "socket: %s", strerror(errno));
    agent->owner = getpid();
    /* A unix socket connects at once or says EAGAIN: its queue is full, because nobody accepts. */
    if (connect(agent->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        if (errno == EAGAIN)
            return rest(agent);
        return fail(agent, "the agent at %s can't be reached: %s", agent->socket_path, strerror(errno));
    }
    return is_trusted(agent);
}

/* Whether the connection is one to ask over: ours, still open, and nothing left in it. */
static int is_fresh(const struct qkd_agent *agent)
{
    struct pollfd polled = {.fd = agent->fd, .events = POLLIN | POLLRDHUP};

    return agent->fd >= 0 && agent->owner == getpid() && poll(&polled, 1, 0) == 0;
}

static int send_all(struct qkd_agent *agent, const uint8_t *bytes, size_t size, int64_t deadline_ms)
{
    while (size > 0) {
        ssize_t sent = send(agent->fd, bytes, size, MSG_NOSIGNAL);

        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            if (!wait_for(agent, POLLOUT, deadline_ms))
                return 0;
        } else if (errno != EINTR) {
            return fail(agent, "the agent at %s can't be asked: %s", agent->socket_path, strerror(errno));
        }
    }
    return 1;
}

static int receive_all(struct qkd_agent *agent, uint8_t *bytes, size_t size, int64_t deadline_ms)
{
    while (size > 0) {
        ssize_t received;

        if (!wait_for(agent, POLLIN, deadline_ms))
            return 0;
        received = recv(agent->fd, bytes, size, 0);
        if (received > 0) {
            bytes += received;
            size -= (size_t)received;
        } else if (received == 0) {
            return fail(agent, "the agent at %s hung up", agent->socket_path);
        } else if (errno != EAGAIN && errno != EINTR) {
            return fail(agent, "the agent at %s: %s", agent->socket_path, strerror(errno));
        }
    }
    return 1;
}

static int receive_reply(struct qkd_agent *agent, const struct qkd_question *question, int64_t deadline_ms,
                         struct qkd_reply *reply)
{
    uint8_t bytes[QKD_REPLY_HEAD + QKD_MAX_BODY];
    const char *fault = NULL;
    int body, done = 0;

    if (!receive_all(agent, bytes, QKD_REPLY_HEAD, deadline_ms))
        return 0;
    body = qkd_body_size(bytes, agent->last_id);
    if (body < 0) {
        fault = "has a wrong head";
    } else if (receive_all(agent, bytes + QKD_REPLY_HEAD, (size_t)body, deadline_ms)) {
        fault = qkd_read_reply(bytes, QKD_REPLY_HEAD + (size_t)body, question, agent->last_id, reply);
        done = fault == NULL;
    }
    qkd_wipe(bytes, sizeof(bytes));
    if (fault != NULL)
        return fail(agent, "the reply of the agent at %s %s", agent->socket_path, fault);
    return done;
}

int qkd_agent_ask(struct qkd_agent *agent, const struct qkd_question *question, struct qkd_reply *reply)
{
    uint8_t request[QKD_REQUEST_HEAD + QKD_MAX_NAME];
    int64_t now_ms = qkd_now_ms(), deadline_ms = now_ms + QKD_TIME_LIMIT_MS;
    size_t size;

    if (now_ms < agent->rest_until_ms)
        return fail(agent, "the agent at %s did not answer before and is not asked for another %d ms",
                    agent->socket_path, (int)(agent->rest_until_ms - now_ms));
    size = qkd_write_request(question, ++agent->last_id, request);
    if (size == 0)
        return fail(agent, "the principal's name has no length that the agent takes");
    if (!is_fresh(agent)) {
        qkd_agent_close(agent);
        if (!open_connection(agent))
            return 0;
    }
    if (!send_all(agent, request, size, deadline_ms) || !receive_reply(agent, question, deadline_ms, reply))
        return 0;
    agent->waits = 0;
    agent->rest_ms = 0;
    return 1;
}
