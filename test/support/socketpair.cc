// For tests: a pair of connected descriptors that keep message boundaries, as a device that needs no root.
#include <napi.h>
#include <sys/socket.h>

#include <cerrno>

static Napi::Value Socketpair(const Napi::CallbackInfo& info) {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) {
    throw Napi::Error::New(info.Env(), "socketpair failed");
  }
  int size = 4 << 20;
  for (const int fd : fds) (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  auto pair = Napi::Array::New(info.Env(), 2);
  pair.Set(0u, fds[0]);
  pair.Set(1u, fds[1]);
  return pair;
}

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("socketpair", Napi::Function::New(env, Socketpair));
  return exports;
}
NODE_API_MODULE(test_support, Init)
