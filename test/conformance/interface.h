/**
 * What packetdrill asks of a library that is given by `--so_filename`: it exports `packetdrill_interface_init`, which
 * fills a table of functions in this order. Each has the signature of the system call of its name behind `userdata`.
 */
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct packetdrill_interface {
  void* userdata;
  void (*free)(void*);
  int (*socket)(void*, int, int, int);
  int (*bind)(void*, int, const struct sockaddr*, socklen_t);
  int (*listen)(void*, int, int);
  int (*accept)(void*, int, struct sockaddr*, socklen_t*);
  int (*connect)(void*, int, const struct sockaddr*, socklen_t);
  ssize_t (*read)(void*, int, void*, size_t);
  ssize_t (*readv)(void*, int, const struct iovec*, int);
  ssize_t (*recv)(void*, int, void*, size_t, int);
  ssize_t (*recvfrom)(void*, int, void*, size_t, int, struct sockaddr*, socklen_t*);
  ssize_t (*recvmsg)(void*, int, struct msghdr*, int);
  ssize_t (*write)(void*, int, const void*, size_t);
  ssize_t (*writev)(void*, int, const struct iovec*, int);
  ssize_t (*send)(void*, int, const void*, size_t, int);
  ssize_t (*sendto)(void*, int, const void*, size_t, int, const struct sockaddr*, socklen_t);
  ssize_t (*sendmsg)(void*, int, const struct msghdr*, int);
  int (*fcntl)(void*, int, int, ...);
  int (*ioctl)(void*, int, unsigned long, ...);
  int (*close)(void*, int);
  int (*shutdown)(void*, int, int);
  int (*getsockopt)(void*, int, int, int, void*, socklen_t*);
  int (*setsockopt)(void*, int, int, int, const void*, socklen_t);
  int (*poll)(void*, struct pollfd*, nfds_t, int);
  /** An IP packet for the stack. 0, or -1. */
  int (*netdev_send)(void*, const void*, size_t);
  /**
   * The next IP packet of the stack: at most `*size` bytes, which becomes what it has, and the microsecond at which it
   * left. 0, or -1: then it is asked again.
   */
  int (*netdev_receive)(void*, void*, size_t* size, long long* microseconds);
  int (*usleep)(void*, useconds_t);
  int (*gettimeofday)(void*, struct timeval*, struct timezone*);
  int (*epoll_create)(void*, int);
  int (*epoll_ctl)(void*, int, int, int, struct epoll_event*);
  int (*epoll_wait)(void*, int, struct epoll_event*, int, int);
  int (*pipe)(void*, int[2]);
  int (*splice)(void*, int, loff_t*, int, loff_t*, size_t, unsigned);
};
