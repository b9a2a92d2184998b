// The large buffers of the data plane, kept from one run to the next: under AddressSanitizer, to map and to unmap them
// takes longer than all the rest of a run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdlib>

class LargeBuffers {
 public:
  static void* take(size_t size) {
    for (Buffer& buffer : kept_) {
      if (size < kLarge || buffer.used || (buffer.data && buffer.size != size)) continue;
      if (!buffer.data) buffer = {std::malloc(size), size, false};
      buffer.used = true;
      return buffer.data;
    }
    return std::malloc(size);
  }

  static void give_back(void* data) {
    for (Buffer& buffer : kept_) {
      if (data && buffer.data == data) return void(buffer.used = false);
    }
    std::free(data);
  }

 private:
  static constexpr size_t kLarge = 1 << 20;
  struct Buffer {
    void* data;
    size_t size;
    bool used;
  };
  static inline std::array<Buffer, 4> kept_;  // two workers have two each
};

void* operator new[](size_t size) { return LargeBuffers::take(size); }
void operator delete[](void* data) noexcept { LargeBuffers::give_back(data); }
void operator delete[](void* data, size_t) noexcept { LargeBuffers::give_back(data); }
