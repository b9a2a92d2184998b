#include "io/tun_device.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "wire/virtio_net.h"

namespace guise {
namespace {

int open_queue(std::string& name, int flags, UniqueFd& out, const char*& syscall) {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  syscall = "open";
  if (fd.get() < 0) return -errno;
  ifreq request{};
  request.ifr_flags = static_cast<short>(flags);
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  syscall = "TUNSETIFF";
  if (::ioctl(fd.get(), TUNSETIFF, &request) < 0) return -errno;
  name = request.ifr_name;
  out = std::move(fd);
  return 0;
}

// Asks for checksum and TCP segmentation offload. Without TSO a header of zeros still precedes each packet.
bool enable_segmentation(int fd) {
  int header_size = sizeof(VirtioNetHeader);
  if (::ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0) return false;
  return ::ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == 0;
}

struct Shape {
  size_t queues;
  bool multi_queue;
  bool virtio_header;
};

int open_queues(std::string name, const Shape& shape, TunDevice& out, const char*& syscall) {
  const auto [queues, multi_queue, virtio_header] = shape;
  int flags = IFF_TUN | IFF_NO_PI;
  if (virtio_header) flags |= IFF_VNET_HDR;
  if (multi_queue) flags |= IFF_MULTI_QUEUE;
  TunDevice device;
  device.virtio_header = virtio_header;
  device.segmentation = virtio_header;
  for (size_t i = 0; i < queues; ++i) {
    UniqueFd fd;
    const int error = open_queue(name, flags, fd, syscall);
    if (error) return error;
    if (virtio_header && !enable_segmentation(fd.get())) device.segmentation = false;
    device.queues.push_back(std::move(fd));
  }
  device.name = std::move(name);
  out = std::move(device);
  return 0;
}

}  // namespace

int open_tun(const std::string& name, size_t queues, bool offload, TunDevice& out, const char*& syscall) {
  if (name.size() >= IFNAMSIZ) {
    syscall = "TUNSETIFF";
    return -ENAMETOOLONG;
  }
  // EINVAL: a persistent interface that has one queue or many and is not asked for as such, or a kernel without
  // one of the flags.
  int error = -EINVAL;
  for (const bool virtio_header : {true, false}) {
    if (virtio_header && !offload) continue;
    for (const Shape& shape : {Shape{queues, queues > 1, virtio_header}, Shape{1, queues == 1, virtio_header}}) {
      if (error == -EINVAL) error = open_queues(name, shape, out, syscall);
    }
  }
  return error;
}

int mtu_of_tun(int fd) {
  ifreq request{};
  if (::ioctl(fd, TUNGETIFF, &request) < 0) return -errno;
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0 || ::ioctl(socket.get(), SIOCGIFMTU, &request) < 0) return -errno;
  return request.ifr_mtu;
}

}  // namespace guise
