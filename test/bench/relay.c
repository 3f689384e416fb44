/*
 * The floor of the load run in C: the least that any program can do for a call. The same job as relay.ts: RTP payloads
 * to a WebSocket and back, no SIP, no jitter buffer, no pacing. One thread, epoll. Not a product: it trusts its peers.
 *
 *   relay CALLS ws://127.0.0.1:PORT/      prints {"ports":[...]} when all bots are connected; runs until stdin closes
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RTP_HEADER = 12, IN_BYTES = 8192, EVENTS = 256 };

struct call {
  int udp, ws, peer_known;
  struct sockaddr_in peer;
  uint16_t seq;
  uint32_t mask;
  size_t in_len;
  uint8_t in[IN_BYTES];
};

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int bot_socket(const char *host, int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, host, &to.sin_addr);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  char request[512];
  int n = snprintf(request, sizeof request,
                   "GET / HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                   host, port);
  if (write(fd, request, n) != n) die("handshake");
  /* Byte by byte, so that nothing of the first frame is taken with it. */
  char reply[2048];
  size_t len = 0;
  while (len < sizeof reply - 1 && (len < 4 || memcmp(reply + len - 4, "\r\n\r\n", 4)))
    if (read(fd, reply + len, 1) != 1) die("handshake reply"); else len++;
  if (memcmp(reply, "HTTP/1.1 101", 12)) die("not a WebSocket");
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

static int udp_socket(int *port) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || getsockname(fd, (struct sockaddr *)&at, &size)) die("bind");
  *port = ntohs(at.sin_port);
  return fd;
}

/* One masked frame (RFC 6455 section 5.2); opcode 2 = binary, 10 = pong. */
static void ws_send(struct call *c, int opcode, const uint8_t *payload, size_t len) {
  uint8_t frame[2048];
  size_t at = 2;
  if (len > sizeof frame - 8) return;
  frame[0] = 0x80 | opcode;
  if (len < 126) frame[1] = 0x80 | len;
  else frame[1] = 0x80 | 126, frame[2] = len >> 8, frame[3] = len, at = 4;
  c->mask = c->mask * 1664525u + 1013904223u;
  uint8_t key[4];
  memcpy(key, &c->mask, 4);
  memcpy(frame + at, key, 4), at += 4;
  for (size_t i = 0; i < len; i++) frame[at + i] = payload[i] ^ key[i & 3];
  if (write(c->ws, frame, at + len) < 0 && errno != EAGAIN) die("bot");
}

static void from_phone(struct call *c) {
  uint8_t packet[2048];
  for (;;) {
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    ssize_t n = recvfrom(c->udp, packet, sizeof packet, 0, (struct sockaddr *)&from, &size);
    if (n < 0) return;
    if (!c->peer_known) c->peer = from, c->peer_known = 1;
    if (n > RTP_HEADER) ws_send(c, 2, packet + RTP_HEADER, n - RTP_HEADER);
  }
}

static void to_phone(struct call *c, const uint8_t *payload, size_t len) {
  uint8_t packet[2048] = {0x80};
  if (!c->peer_known || len > sizeof packet - RTP_HEADER) return;
  uint32_t ts = htonl((uint32_t)++c->seq * 160);
  uint16_t seq = htons(c->seq);
  memcpy(packet + 2, &seq, 2), memcpy(packet + 4, &ts, 4), packet[11] = 1;
  memcpy(packet + RTP_HEADER, payload, len);
  sendto(c->udp, packet, RTP_HEADER + len, 0, (struct sockaddr *)&c->peer, sizeof c->peer);
}

static void from_bot(struct call *c) {
  for (;;) {
    ssize_t n = read(c->ws, c->in + c->in_len, IN_BYTES - c->in_len);
    if (n == 0) exit(0);
    if (n < 0) return;
    c->in_len += n;
    size_t at = 0;
    while (c->in_len - at >= 2) {
      size_t head = 2, len = c->in[at + 1] & 0x7f;
      if (len == 126) {
        if (c->in_len - at < 4) break;
        head = 4, len = (size_t)c->in[at + 2] << 8 | c->in[at + 3];
      }
      if (head + len > IN_BYTES) die("frame too long");
      if (c->in_len - at < head + len) break;
      int opcode = c->in[at] & 0x0f;
      if (opcode == 2) to_phone(c, c->in + at + head, len);
      if (opcode == 9) ws_send(c, 10, c->in + at + head, len);
      at += head + len;
    }
    memmove(c->in, c->in + at, c->in_len -= at);
  }
}

int main(int argc, char **argv) {
  char host[64];
  int port, calls = argc > 2 ? atoi(argv[1]) : 0;
  if (calls < 1 || sscanf(argv[2], "ws://%63[^:]:%d", host, &port) != 2) return 2;
  struct call *all = calloc(calls, sizeof *all);
  int ep = epoll_create1(0);
  printf("{\"ports\":[");
  for (int i = 0; i < calls; i++) {
    int local;
    all[i].udp = udp_socket(&local);
    all[i].ws = bot_socket(host, port);
    all[i].mask = i;
    printf("%s%d", i ? "," : "", local);
    /* The lowest bit of the tag tells the phone's socket from the bot's. */
    struct epoll_event udp = {EPOLLIN, {.u64 = (uint64_t)i << 1}}, ws = {EPOLLIN, {.u64 = (uint64_t)i << 1 | 1}};
    epoll_ctl(ep, EPOLL_CTL_ADD, all[i].udp, &udp);
    epoll_ctl(ep, EPOLL_CTL_ADD, all[i].ws, &ws);
  }
  printf("]}\n");
  fflush(stdout);
  struct epoll_event in = {EPOLLIN, {.u64 = UINT64_MAX}}, events[EVENTS];
  epoll_ctl(ep, EPOLL_CTL_ADD, 0, &in);
  for (;;) {
    int n = epoll_wait(ep, events, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      uint64_t tag = events[i].data.u64;
      char byte;
      if (tag == UINT64_MAX) {
        if (read(0, &byte, 1) <= 0) return 0;
      } else if (tag & 1) from_bot(&all[tag >> 1]);
      else from_phone(&all[tag >> 1]);
    }
  }
}
