// lwIP on a TUN: a sink, a source and an echo for the netstack race (see bench/streams).
//
//     lwip TUN ADDRESS
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lwip/init.h"
#include "lwip/ip4.h"
#include "lwip/netif.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"

enum { kFirstPort = 7001, kPeriod = 65521, kMost = 2 * kPeriod, kBatch = 64, kPieces = 64 };
enum service { kSink, kSource, kEcho, kServices };

static int tun;
static uint8_t pattern[kMost + kPeriod];

// A connection.
struct stream {
  enum service service;
  bool broken;
  uint64_t position, wanted;
  uint8_t request[8];
  size_t asked;
};

static void fail(const char* what) {
  perror(what);
  exit(1);
}

// The bytes of every stream of the race: see bench/streams/pattern.h.
static void make_pattern(void) {
  uint32_t state = 1;
  for (size_t i = 0; i < kPeriod; ++i) {
    state = state * 1664525 + 1013904223;
    pattern[i] = (uint8_t)(state >> 24);
  }
  for (size_t i = kPeriod; i < sizeof pattern; ++i) pattern[i] = pattern[i - kPeriod];
}

uint32_t sys_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static int open_tun(const char* name) {
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  struct ifreq request;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) fail("TUN");
  return fd;
}

static err_t output(struct netif* netif, struct pbuf* packet, const ip4_addr_t* to) {
  (void)netif;
  (void)to;
  struct iovec pieces[kPieces];
  int count = 0;
  for (struct pbuf* each = packet; each != NULL && count < kPieces; each = each->next)
    pieces[count++] = (struct iovec){each->payload, each->len};
  return writev(tun, pieces, count) < 0 ? ERR_BUF : ERR_OK;
}

static err_t set_up(struct netif* netif) {
  netif->output = output;
  netif->mtu = 1500;
  netif->flags |= NETIF_FLAG_LINK_UP;
  return ERR_OK;
}

// Ends a connection in order, or at once where that needs memory that is not there.
static err_t end(struct tcp_pcb* pcb, struct stream* stream) {
  tcp_arg(pcb, NULL);
  tcp_recv(pcb, NULL);
  tcp_sent(pcb, NULL);
  tcp_err(pcb, NULL);
  free(stream);
  if (tcp_close(pcb) == ERR_OK) return ERR_OK;
  tcp_abort(pcb);
  return ERR_ABRT;
}

// Sends the pattern from where it lies.
static err_t fill(struct tcp_pcb* pcb, struct stream* stream) {
  while (stream->position < stream->wanted) {
    uint64_t size = tcp_sndbuf(pcb);
    if (size > stream->wanted - stream->position) size = stream->wanted - stream->position;
    if (size > UINT16_MAX) size = UINT16_MAX;
    if (size == 0 || tcp_sndqueuelen(pcb) >= TCP_SND_QUEUELEN - 64) break;
    if (tcp_write(pcb, pattern + stream->position % kPeriod, (u16_t)size, 0) != ERR_OK) break;
    stream->position += size;
  }
  if (stream->position == stream->wanted) return end(pcb, stream);
  return tcp_output(pcb);
}

static err_t sent(void* arg, struct tcp_pcb* pcb, u16_t size) {
  (void)size;
  struct stream* stream = arg;
  return stream->service == kSource && stream->asked == sizeof stream->request ? fill(pcb, stream) : ERR_OK;
}

static void judge(struct stream* stream, const uint8_t* data, size_t size) {
  if (!stream->broken) stream->broken = memcmp(data, pattern + stream->position % kPeriod, size) != 0;
  if (!stream->broken) stream->position += size;
}

static void ask(struct stream* stream, const uint8_t* data, size_t size) {
  for (size_t i = 0; i < size && stream->asked < sizeof stream->request; ++i)
    stream->request[stream->asked++] = data[i];
  if (stream->asked == sizeof stream->request) memcpy(&stream->wanted, stream->request, sizeof stream->wanted);
}

static err_t received(void* arg, struct tcp_pcb* pcb, struct pbuf* data, err_t error) {
  struct stream* stream = arg;
  if (error != ERR_OK || data == NULL) {
    if (data != NULL) pbuf_free(data);
    if (stream->service == kSink) tcp_write(pcb, &stream->position, sizeof stream->position, TCP_WRITE_FLAG_COPY);
    return end(pcb, stream);
  }
  // What finds no room comes again.
  if (stream->service == kEcho && tcp_sndbuf(pcb) < data->tot_len) return ERR_MEM;
  for (const struct pbuf* each = data; each != NULL; each = each->next) {
    if (stream->service == kSink) judge(stream, each->payload, each->len);
    if (stream->service == kSource) ask(stream, each->payload, each->len);
    if (stream->service == kEcho) tcp_write(pcb, each->payload, each->len, TCP_WRITE_FLAG_COPY);
  }
  tcp_recved(pcb, data->tot_len);
  pbuf_free(data);
  if (stream->service == kSource && stream->asked == sizeof stream->request) return fill(pcb, stream);
  return tcp_output(pcb);
}

static void broken(void* arg, err_t error) {
  (void)error;
  free(arg);
}

static err_t accepted(void* arg, struct tcp_pcb* pcb, err_t error) {
  if (error != ERR_OK || pcb == NULL) return ERR_VAL;
  struct stream* stream = calloc(1, sizeof *stream);
  stream->service = (enum service)(uintptr_t)arg;
  tcp_nagle_disable(pcb);
  tcp_arg(pcb, stream);
  tcp_recv(pcb, received);
  tcp_sent(pcb, sent);
  tcp_err(pcb, broken);
  return ERR_OK;
}

static void listen_on(enum service service) {
  struct tcp_pcb* pcb = tcp_new();
  if (tcp_bind(pcb, IP_ANY_TYPE, (u16_t)(kFirstPort + service)) != ERR_OK) fail("bind");
  pcb = tcp_listen(pcb);
  tcp_arg(pcb, (void*)(uintptr_t)service);
  tcp_accept(pcb, accepted);
}

static void read_packets(struct netif* netif) {
  uint8_t buffer[2048];
  for (int i = 0; i < kBatch; ++i) {
    const ssize_t size = read(tun, buffer, sizeof buffer);
    if (size <= 0) return;
    struct pbuf* packet = pbuf_alloc(PBUF_RAW, (u16_t)size, PBUF_RAM);
    if (packet == NULL) return;
    memcpy(packet->payload, buffer, (size_t)size);
    if (netif->input(packet, netif) != ERR_OK) pbuf_free(packet);
  }
}

int main(int argc, char** argv) {
  ip4_addr_t address, mask, gateway;
  if (argc != 3 || !ip4addr_aton(argv[2], &address)) {
    fputs("usage: lwip TUN ADDRESS\n", stderr);
    return 2;
  }
  tun = open_tun(argv[1]);
  make_pattern();
  lwip_init();
  IP4_ADDR(&mask, 0, 0, 0, 0);
  IP4_ADDR(&gateway, 0, 0, 0, 0);
  struct netif netif;
  netif_add(&netif, &address, &mask, &gateway, NULL, set_up, ip4_input);
  netif_set_default(&netif);
  netif_set_up(&netif);
  for (int service = 0; service < kServices; ++service) listen_on((enum service)service);
  fputs("ready\n", stderr);
  for (;;) {
    struct pollfd ready = {tun, POLLIN, 0};
    const uint32_t pause = sys_timeouts_sleeptime();
    poll(&ready, 1, pause == SYS_TIMEOUTS_SLEEPTIME_INFINITE ? -1 : (int)pause);
    read_packets(&netif);
    sys_check_timeouts();
  }
}
