/**
 * Puts guise's TCP under packetdrill: each call of a script becomes a frame to a Node program (stack_server.ts), which
 * runs the machine on a clock of its own. packetdrill loads this library by `--so_filename`; `--so_flags` is the path
 * of the program.
 *
 *     LD_PRELOAD=adapter packetdrill --so_filename=adapter --so_flags=stack_server.js script.pkt
 *
 * Preloaded, it also stands before what packetdrill asks the kernel itself: TCP_INFO for the Python of its scripts, and
 * what it does against noise of a real clock, of which there is none here.
 */
#define _GNU_SOURCE
#include "channel.h"
#include "interface.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

enum { MOST_DESCRIPTORS = 1024, MOST_BYTES = 1 << 20 };

static char is_ours[MOST_DESCRIPTORS];
static __thread char buffer[MOST_BYTES];

static int ask_plainly(enum operation operation, const int32_t values[4]) {
  return ask(operation, values, NULL, 0, NULL, 0).result;
}

/** A descriptor of this process, so that packetdrill can close it at the end. */
static int new_descriptor(void) {
  int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (fd < 0 || fd >= MOST_DESCRIPTORS) give_up("no descriptor is left");
  return fd;
}

static int keep_if(int result, int fd) {
  if (result < 0) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  is_ours[fd] = 1;
  return fd;
}

static int fail(int error) {
  errno = error;
  return -1;
}

static int do_socket(void* data, int domain, int type, int protocol) {
  int fd = new_descriptor();
  return keep_if(ask_plainly(SOCKET, VALUES(fd, domain, type, protocol)), fd);
}

static int do_bind(void* data, int fd, const struct sockaddr* address, socklen_t size) {
  return ask(BIND, VALUES(fd), address, size, NULL, 0).result;
}

static int do_listen(void* data, int fd, int backlog) { return ask_plainly(LISTEN, VALUES(fd, backlog)); }

static int do_accept(void* data, int fd, struct sockaddr* address, socklen_t* size) {
  struct sockaddr_storage from;
  int connection = new_descriptor();
  struct reply reply = ask(ACCEPT, VALUES(fd, connection), NULL, 0, &from, sizeof from);
  if (reply.result >= 0 && address != NULL) {
    memcpy(address, &from, reply.bytes < *size ? reply.bytes : *size);
    *size = reply.bytes;
  }
  return keep_if(reply.result, connection);
}

static int do_connect(void* data, int fd, const struct sockaddr* address, socklen_t size) {
  return ask(CONNECT, VALUES(fd), address, size, NULL, 0).result;
}

static size_t total(const struct iovec* parts, size_t count) {
  size_t size = 0;
  for (size_t i = 0; i < count; ++i) size += parts[i].iov_len;
  return size;
}

static ssize_t receive(int fd, const struct iovec* parts, size_t count, int flags, int* waiting) {
  size_t room = total(parts, count);
  for (size_t i = 0; i < count; ++i) {
    if (parts[i].iov_base == NULL && parts[i].iov_len > 0) return fail(EFAULT);
  }
  struct reply reply = ask(READ, VALUES(fd, (int32_t)room, flags), NULL, 0, buffer, sizeof buffer);
  const char* at = buffer;
  size_t left = reply.bytes;
  for (size_t i = 0; i < count && left > 0; ++i) {
    size_t part = left < parts[i].iov_len ? left : parts[i].iov_len;
    memcpy(parts[i].iov_base, at, part);
    at += part;
    left -= part;
  }
  if (waiting != NULL) *waiting = reply.waiting;
  return reply.result;
}

static ssize_t transmit(int fd, const struct iovec* parts, size_t count, int flags) {
  size_t size = 0;
  if (total(parts, count) > sizeof buffer) give_up("a script writes more than an adapter holds");
  for (size_t i = 0; i < count; ++i) {
    if (parts[i].iov_len == 0) continue;
    if (parts[i].iov_base == NULL) return fail(EFAULT);
    memcpy(buffer + size, parts[i].iov_base, parts[i].iov_len);
    size += parts[i].iov_len;
  }
  return ask(WRITE, VALUES(fd, flags), buffer, size, NULL, 0).result;
}

static ssize_t do_recv(void* data, int fd, void* into, size_t size, int flags) {
  struct iovec part = {into, size};
  return receive(fd, &part, 1, flags, NULL);
}

static ssize_t do_read(void* data, int fd, void* into, size_t size) { return do_recv(data, fd, into, size, 0); }

static ssize_t do_readv(void* data, int fd, const struct iovec* parts, int count) {
  return receive(fd, parts, (size_t)count, 0, NULL);
}

static ssize_t do_recvfrom(void* data, int fd, void* into, size_t size, int flags, struct sockaddr* from,
                           socklen_t* from_size) {
  return do_recv(data, fd, into, size, flags);
}

static ssize_t do_recvmsg(void* data, int fd, struct msghdr* message, int flags) {
  enum { TCP_CM_INQ = 36 };
  int waiting = -1;
  ssize_t size = receive(fd, message->msg_iov, message->msg_iovlen, flags, &waiting);
  if (size < 0) return size;
  message->msg_flags = 0;
  struct cmsghdr* control = waiting < 0 ? NULL : CMSG_FIRSTHDR(message);
  message->msg_controllen = 0;
  if (control != NULL) {
    control->cmsg_level = IPPROTO_TCP;
    control->cmsg_type = TCP_CM_INQ;
    control->cmsg_len = CMSG_LEN(sizeof waiting);
    memcpy(CMSG_DATA(control), &waiting, sizeof waiting);
    message->msg_controllen = CMSG_SPACE(sizeof waiting);
  }
  return size;
}

static ssize_t do_send(void* data, int fd, const void* bytes, size_t size, int flags) {
  struct iovec part = {(void*)bytes, size};
  return transmit(fd, &part, 1, flags);
}

static ssize_t do_write(void* data, int fd, const void* bytes, size_t size) {
  return do_send(data, fd, bytes, size, 0);
}

static ssize_t do_writev(void* data, int fd, const struct iovec* parts, int count) {
  return transmit(fd, parts, (size_t)count, 0);
}

static ssize_t do_sendto(void* data, int fd, const void* bytes, size_t size, int flags, const struct sockaddr* to,
                         socklen_t to_size) {
  return do_send(data, fd, bytes, size, flags);
}

static ssize_t do_sendmsg(void* data, int fd, const struct msghdr* message, int flags) {
  return transmit(fd, message->msg_iov, message->msg_iovlen, flags);
}

static int do_fcntl(void* data, int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  int value = command == F_SETFL ? va_arg(arguments, int) : 0;
  va_end(arguments);
  return ask_plainly(FCNTL, VALUES(fd, command, value));
}

static int do_ioctl(void* data, int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  int* value = va_arg(arguments, int*);
  va_end(arguments);
  return ask(IOCTL, VALUES(fd, (int32_t)request), NULL, 0, value, sizeof *value).result;
}

static int do_close(void* data, int fd) {
  int result = ask_plainly(CLOSE, VALUES(fd));
  is_ours[fd] = 0;
  close(fd);
  return result;
}

static int do_shutdown(void* data, int fd, int how) { return ask_plainly(SHUTDOWN, VALUES(fd, how)); }

static int do_getsockopt(void* data, int fd, int level, int name, void* value, socklen_t* size) {
  struct reply reply = ask(GETSOCKOPT, VALUES(fd, level, name, (int32_t)*size), NULL, 0, value, *size);
  if (reply.result >= 0) *size = reply.bytes;
  return reply.result;
}

static int do_setsockopt(void* data, int fd, int level, int name, const void* value, socklen_t size) {
  return ask(SETSOCKOPT, VALUES(fd, level, name), value, size, NULL, 0).result;
}

static int do_poll(void* data, struct pollfd* fds, nfds_t count, int timeout) {
  size_t size = count * sizeof *fds;
  return ask(POLL, VALUES(timeout), fds, size, fds, size).result;
}

static int do_netdev_send(void* data, const void* packet, size_t size) {
  return ask(PACKET_IN, VALUES(0), packet, size, NULL, 0).result;
}

static int do_netdev_receive(void* data, void* packet, size_t* size, long long* microseconds) {
  struct reply reply = ask(PACKET_OUT, VALUES(0), NULL, 0, packet, *size);
  *size = reply.bytes;
  *microseconds = reply.microseconds;
  return reply.result;
}

static int do_usleep(void* data, useconds_t microseconds) {
  int result = ask_plainly(SLEEP, VALUES((int32_t)microseconds));
  // The clock needs no time: a call that has just ended is to be seen to first, as it would be within a real sleep.
  let_blocking_call_end();
  return result;
}

static int do_gettimeofday(void* data, struct timeval* time, struct timezone* zone) {
  struct reply reply = ask(TIME, VALUES(0), NULL, 0, NULL, 0);
  time->tv_sec = reply.microseconds / 1000000;
  time->tv_usec = reply.microseconds % 1000000;
  return reply.result;
}

static int do_epoll_create(void* data, int size) { return fail(ENOSYS); }

static int do_epoll_ctl(void* data, int epoll, int operation, int fd, struct epoll_event* event) {
  return fail(ENOSYS);
}

static int do_epoll_wait(void* data, int epoll, struct epoll_event* events, int most, int timeout) {
  return fail(ENOSYS);
}

static int do_pipe(void* data, int ends[2]) { return fail(ENOSYS); }

static int do_splice(void* data, int from, loff_t* from_offset, int to, loff_t* to_offset, size_t size,
                     unsigned flags) {
  return fail(ENOSYS);
}

static void do_free(void* data) { end_server(); }

EXPORTED void packetdrill_interface_init(const char* flags, struct packetdrill_interface* interface) {
  if (flags == NULL) give_up("--so_flags names the stack's program");
  start_server(flags);
  *interface = (struct packetdrill_interface){
      .free = do_free,
      .socket = do_socket,
      .bind = do_bind,
      .listen = do_listen,
      .accept = do_accept,
      .connect = do_connect,
      .read = do_read,
      .readv = do_readv,
      .recv = do_recv,
      .recvfrom = do_recvfrom,
      .recvmsg = do_recvmsg,
      .write = do_write,
      .writev = do_writev,
      .send = do_send,
      .sendto = do_sendto,
      .sendmsg = do_sendmsg,
      .fcntl = do_fcntl,
      .ioctl = do_ioctl,
      .close = do_close,
      .shutdown = do_shutdown,
      .getsockopt = do_getsockopt,
      .setsockopt = do_setsockopt,
      .poll = do_poll,
      .netdev_send = do_netdev_send,
      .netdev_receive = do_netdev_receive,
      .usleep = do_usleep,
      .gettimeofday = do_gettimeofday,
      .epoll_create = do_epoll_create,
      .epoll_ctl = do_epoll_ctl,
      .epoll_wait = do_epoll_wait,
      .pipe = do_pipe,
      .splice = do_splice,
  };
}

// Preloaded:

/** The Python of scripts looks at TCP_INFO, which packetdrill asks the kernel for. */
EXPORTED int getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  if (fd >= 0 && fd < MOST_DESCRIPTORS && is_ours[fd]) return do_getsockopt(NULL, fd, level, name, value, size);
  return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

/** packetdrill spins through ten ticks before it starts. */
EXPORTED clock_t times(struct tms* used) {
  static clock_t ticks;
  if (used != NULL) memset(used, 0, sizeof *used);
  return ++ticks;
}

/** It takes a real-time priority, and pins its memory, to be on time. */
EXPORTED int sched_setscheduler(pid_t process, int policy, const struct sched_param* parameters) { return 0; }

EXPORTED int mlockall(int flags) { return 0; }

/** What a script runs is not to be changed. */
__attribute__((constructor)) static void stay_here(void) { unsetenv("LD_PRELOAD"); }
