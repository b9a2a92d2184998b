#include "process/output.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace guise {

int64_t write_now(int fd, std::span<const uint8_t> bytes, int milliseconds) {
  struct stat status {};
  if (::fstat(fd, &status) < 0) return -errno;
  if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode) || S_ISSOCK(status.st_mode)) {
    pollfd ready{fd, POLLOUT, 0};
    const int found = ::poll(&ready, 1, milliseconds);
    if (found < 0) return errno == EINTR ? -EAGAIN : -errno;
    if (found == 0) return -EAGAIN;
    // What is writable takes a page at least (fs/pipe.c, pipe_poll).
    bytes = bytes.first(std::min<size_t>(bytes.size(), PIPE_BUF));
  }
  const ssize_t written = S_ISSOCK(status.st_mode) ? ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                                                   : ::write(fd, bytes.data(), bytes.size());
  if (written >= 0) return written;
  return errno == EINTR ? -EAGAIN : -errno;
}

}  // namespace guise
