// Load generator and sink for tests and benchmarks: one JSON line on standard output tells what came.
#include <csignal>

#include <cmath>
#include <map>
#include <poll.h>

#include "receiver.h"
#include "sender.h"

namespace traffic {
namespace {

constexpr const char* kHelp =
    R"(traffic peer --bind IP:PORT | --to IP:PORT   sends, receives and judges numbered datagrams
  --count N | --seconds S   datagrams or time to send (default: send nothing)
  --size N | --size A-B     bytes, or all sizes from A to B (default 1400)
  --rate N                  datagrams a second (default: flat out)
  --gso, --gro              UDP_SEGMENT when sending, UDP_GRO when receiving
  --no-verify               look at headers only
  --echo                    send back what comes
  --idle S                  end so many seconds after the last datagram (default 2)
traffic ping --to IP:PORT   round trips to a `peer --echo`
  --count N, --size N, --flows K (each checks that it gets its own answers)
)";

std::atomic<bool> stopping{false};

using Flags = std::map<std::string, std::string>;

Flags parse(int argc, char** argv) {
  Flags flags;
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    if (name.rfind("--", 0) != 0) fail("unknown argument " + name);
    const bool has_value = i + 1 < argc && std::string(argv[i + 1]).rfind("--", 0) != 0;
    flags[name.substr(2)] = has_value ? argv[++i] : "";
  }
  return flags;
}

std::string get(const Flags& flags, const std::string& name, const std::string& otherwise) {
  const auto found = flags.find(name);
  return found == flags.end() ? otherwise : found->second;
}

int run_peer(const Flags& flags) {
  SendPlan plan;
  const std::string size = get(flags, "size", "1400");
  plan.least = std::stoul(size);
  plan.most = size.find('-') == std::string::npos ? plan.least : std::stoul(size.substr(size.find('-') + 1));
  plan.rate = std::stoull(get(flags, "rate", "0"));
  plan.seconds = std::stod(get(flags, "seconds", "0"));
  const bool sends = flags.count("count") || flags.count("seconds");
  if (flags.count("count")) plan.count = std::stoull(flags.at("count"));
  plan.gso = flags.count("gso");
  plan.verify = !flags.count("no-verify");
  ReceivePlan receive;
  receive.gro = flags.count("gro");
  receive.verify = plan.verify;
  receive.echo = flags.count("echo");
  receive.idle = std::stod(get(flags, "idle", "2"));
  const SocketAddress address = parse_address(flags.count("to") ? flags.at("to") : get(flags, "bind", ""));
  const int fd = open_socket(address.storage.ss_family);
  std::atomic<bool> has_peer{false};
  if (flags.count("to")) {
    connect_socket(fd, address);
    has_peer = true;
  } else {
    bind_socket(fd, address);
    receive.stick = !receive.echo;
  }
  std::fprintf(stderr, "ready\n");
  std::atomic<bool> may_end{false};
  Sent sent;
  std::thread sender([&] {
    while (sends && !has_peer && !stopping) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (sends && !stopping) sent = send_all(fd, plan);
    while (!has_peer && !stopping) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    may_end = true;
  });
  const Received received = Receiver(fd, receive).run(stopping, may_end, has_peer);
  sender.join();
  const double seconds = received.seconds();
  std::printf(
      "{\"sent\":%llu,\"sentBytes\":%llu,\"sendSeconds\":%.6f,\"received\":%llu,\"receivedBytes\":%llu,"
      "\"receiveSeconds\":%.6f,\"gbits\":%.4f,\"highest\":%llu,\"corrupted\":%llu,\"reordered\":%llu,"
      "\"duplicated\":%llu,\"wrongPeer\":%llu}\n",
      static_cast<unsigned long long>(sent.datagrams), static_cast<unsigned long long>(sent.bytes), sent.seconds,
      static_cast<unsigned long long>(received.datagrams), static_cast<unsigned long long>(received.bytes), seconds,
      seconds > 0 ? static_cast<double>(received.bytes) * 8e-9 / seconds : 0.0,
      static_cast<unsigned long long>(received.highest), static_cast<unsigned long long>(received.corrupted),
      static_cast<unsigned long long>(received.reordered), static_cast<unsigned long long>(received.duplicated),
      static_cast<unsigned long long>(received.wrong_peer));
  return 0;
}

int run_ping(const Flags& flags) {
  const SocketAddress address = parse_address(get(flags, "to", ""));
  const auto count = std::stoull(get(flags, "count", "1000"));
  const auto size = std::max<size_t>(kHeader, std::stoul(get(flags, "size", "100")));
  const auto flows = std::stoul(get(flags, "flows", "1"));
  std::vector<int> sockets;
  for (size_t i = 0; i < flows; ++i) {
    sockets.push_back(open_socket(address.storage.ss_family));
    connect_socket(sockets.back(), address);
  }
  std::vector<double> times;
  std::vector<uint8_t> buffer(65536);
  uint64_t lost = 0, wrong = 0;
  uint64_t sequence = 0;
  for (uint64_t round = 0; round < count && !stopping; ++round) {
    // All flows at once, then all answers: with one flow that is a plain ping.
    const uint64_t first = sequence;
    for (size_t i = 0; i < flows; ++i, ++sequence) {
      write_datagram(buffer.data(), size, sequence, now_ns(), true);
      (void)!::send(sockets[i], buffer.data(), size, 0);
    }
    for (size_t i = 0; i < flows; ++i) {
      const uint64_t wanted = first + i;
      for (;;) {
        pollfd poll{sockets[i], POLLIN, 0};
        if (::poll(&poll, 1, 3000) <= 0) {
          ++lost;
          break;
        }
        const ssize_t got = ::recv(sockets[i], buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0) continue;
        const Checked checked = check_datagram(buffer.data(), static_cast<size_t>(got), true);
        if (checked.good && checked.sequence < first && checked.sequence % flows == i) continue;  // a late one
        if (!checked.good || checked.sequence != wanted) ++wrong;
        times.push_back(static_cast<double>(now_ns() - checked.sent_at) * 1e-3);
        break;
      }
    }
  }
  std::sort(times.begin(), times.end());
  const auto percentile = [&](double p) {
    return times.empty() ? 0.0 : times[std::min(times.size() - 1, static_cast<size_t>(p * static_cast<double>(times.size())))];
  };
  std::printf("{\"sent\":%llu,\"lost\":%llu,\"wrong\":%llu,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f}\n",
              static_cast<unsigned long long>(sequence), static_cast<unsigned long long>(lost),
              static_cast<unsigned long long>(wrong), percentile(0.5), percentile(0.99), percentile(0.999));
  return 0;
}

}  // namespace
}  // namespace traffic

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "--help";
  std::signal(SIGTERM, [](int) { traffic::stopping = true; });
  std::signal(SIGINT, [](int) { traffic::stopping = true; });
  if (mode == "peer") return traffic::run_peer(traffic::parse(argc, argv));
  if (mode == "ping") return traffic::run_ping(traffic::parse(argc, argv));
  std::fputs(traffic::kHelp, stdout);
  return mode == "--help" ? 0 : 2;
}
