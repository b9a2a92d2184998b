// TCP connections of the kernel for tests and benchmarks: one JSON line on standard output tells what came. What is
// wrong is said on standard error, and ends it with 1.
#include <csignal>

#include "client.h"
#include "crowd.h"
#include "http.h"
#include "server.h"

namespace streams {
namespace {

constexpr const char* kHelp =
    R"(streams serve --bind IP:PORT    three services, each on the next port, until it is stopped
  a sink      judges a stream, and answers its end with the count of bytes that came as they were sent (64 bits, little-endian)
  a source    takes a count of bytes in the same form, sends them, and ends
  an echo     sends back what comes, until the end
streams send --to IP:PORT       a stream to a sink
streams receive --to IP:PORT    a stream from a source; ends it with a RST when the time is over
  --seconds S, --bytes N        until either
  --patience S                  give up when nothing moves for so long (default 60)
streams ping --to IP:PORT       round trips of a byte to an echo
  --count N, --patience S       (default 10000, 10)
streams churn --to IP:PORT      connections to an echo: open, a byte each way, close
  --seconds S, --count N        until either
  --parallel N                  at a time (default 16)
streams hold --to IP:PORT       the same, but keeps them until it is stopped; says "held" when it has them all
streams http --to IP:PORT       requests to an HTTP server on connections that are kept
  --seconds S, --parallel N     (default 1, 16)
serve, send, receive: --congestion NAME of the kernel's
)";

uint64_t number(const Flags& flags, const std::string& name, uint64_t otherwise) {
  return flags.count(name) ? std::stoull(flags.at(name)) : otherwise;
}

double real(const Flags& flags, const std::string& name, double otherwise) {
  return flags.count(name) ? std::stod(flags.at(name)) : otherwise;
}

int run_serve(const Flags& flags) {
  Server server(parse_address(get(flags, "bind", "")), get(flags, "congestion", ""));
  std::fprintf(stderr, "ready\n");
  server.run();
  return 0;
}

int run_transfer(const Flags& flags, Transfer (*transfer)(const TransferPlan&)) {
  TransferPlan plan;
  plan.to = parse_address(get(flags, "to", ""));
  plan.congestion = get(flags, "congestion", "");
  plan.bytes = number(flags, "bytes", plan.bytes);
  plan.seconds = real(flags, "seconds", plan.seconds);
  plan.patience = real(flags, "patience", plan.patience);
  const Transfer done = transfer(plan);
  std::printf("{\"bytes\":%llu,\"seconds\":%.6f,\"gbits\":%.6f}\n", static_cast<unsigned long long>(done.bytes),
              done.seconds, static_cast<double>(done.bytes) * 8e-9 / done.seconds);
  return 0;
}

int run_ping(const Flags& flags) {
  const std::vector<double> times =
      ping_stream(parse_address(get(flags, "to", "")), number(flags, "count", 10'000), real(flags, "patience", 10));
  if (times.empty()) fail("no round trip");
  const auto percentile = [&](double p) {
    return times[static_cast<size_t>(p * static_cast<double>(times.size() - 1))];
  };
  std::printf("{\"count\":%zu,\"p50\":%.2f,\"p99\":%.2f,\"p999\":%.2f}\n", times.size(), percentile(0.5),
              percentile(0.99), percentile(0.999));
  return 0;
}

int run_crowd(const Flags& flags, bool keep) {
  raise_descriptors();
  CrowdPlan plan;
  plan.to = parse_address(get(flags, "to", ""));
  plan.count = number(flags, "count", plan.count);
  plan.seconds = real(flags, "seconds", plan.seconds);
  plan.parallel = number(flags, "parallel", plan.parallel);
  plan.keep = keep;
  Crowd crowd(plan);
  const uint64_t begin = now_ns(), connections = crowd.run();
  std::printf("{\"connections\":%llu,\"seconds\":%.6f}\n", static_cast<unsigned long long>(connections),
              seconds_since(begin));
  if (!keep) return 0;
  std::fflush(stdout);
  std::fprintf(stderr, "held\n");
  while (!stopping) ::usleep(10'000);
  return 0;
}

int run_http(const Flags& flags) {
  HttpLoad load(parse_address(get(flags, "to", "")), number(flags, "parallel", 16));
  const uint64_t begin = now_ns(), answers = load.run(real(flags, "seconds", 1));
  std::printf("{\"requests\":%llu,\"seconds\":%.6f}\n", static_cast<unsigned long long>(answers), seconds_since(begin));
  return 0;
}

}  // namespace
}  // namespace streams

int main(int argc, char** argv) {
  using namespace streams;
  const std::string mode = argc > 1 ? argv[1] : "--help";
  std::signal(SIGTERM, [](int) { stopping = true; });
  std::signal(SIGINT, [](int) { stopping = true; });
  if (mode == "serve") return run_serve(traffic::parse(argc, argv));
  if (mode == "send") return run_transfer(traffic::parse(argc, argv), send_stream);
  if (mode == "receive") return run_transfer(traffic::parse(argc, argv), receive_stream);
  if (mode == "ping") return run_ping(traffic::parse(argc, argv));
  if (mode == "churn") return run_crowd(traffic::parse(argc, argv), false);
  if (mode == "hold") return run_crowd(traffic::parse(argc, argv), true);
  if (mode == "http") return run_http(traffic::parse(argc, argv));
  std::fputs(kHelp, stdout);
  return mode == "--help" ? 0 : 2;
}
