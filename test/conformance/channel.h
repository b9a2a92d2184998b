/**
 * The way from adapter.c to the Node program: a call is a header and its bytes on the first of two sockets, in the
 * order of the calls. Its answer is a header and bytes, on the first socket for the thread that packetdrill starts
 * with, on the second for the one of calls that block.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

// channel.ts has the same list.
enum operation {
  SOCKET,
  BIND,
  LISTEN,
  ACCEPT,
  CONNECT,
  READ,
  WRITE,
  FCNTL,
  IOCTL,
  CLOSE,
  SHUTDOWN,
  GETSOCKOPT,
  SETSOCKOPT,
  POLL,
  PACKET_IN,
  PACKET_OUT,
  SLEEP,
  TIME
};

struct reply {
  uint32_t bytes;  // behind this
  int32_t result;
  int32_t error;
  int32_t waiting;       // READ with TCP_INQ: bytes that are still there, and one for the end; else -1
  int64_t microseconds;  // the clock; PACKET_OUT: when the packet left
};

/** Says why on standard error, and ends packetdrill. */
_Noreturn void give_up(const char* why);

/** Starts the Node program. The caller's thread is the first. */
void start_server(const char* program);

/** Ends it. */
void end_server(void);

/**
 * Asks the stack, and waits. What it answers goes to `into`, at most `room` bytes. Where the result is negative, errno
 * is what the stack says.
 */
struct reply ask(enum operation operation, const int32_t values[4], const void* bytes, size_t size, void* into,
                 size_t room);

#define VALUES(...) ((const int32_t[4]){__VA_ARGS__})

/** Waits until the thread of blocking calls waits for something. For that thread itself it does nothing. */
void let_blocking_call_end(void);
