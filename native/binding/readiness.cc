#include "binding/readiness.h"

#include <uv.h>

#include <utility>

namespace guise {

struct Readiness::Watch {
  Watch(Napi::Env env, const Napi::Function& callback)
      : readable(Napi::Persistent(callback)),
        context(env, "guise:readable"),
        self(Napi::Persistent(Napi::Object::New(env))) {}

  uv_poll_t handle{};
  Napi::FunctionReference readable;
  Napi::AsyncContext context;
  Napi::ObjectReference self;
  napi_async_cleanup_hook_handle hook = nullptr;
  Readiness* owner = nullptr;
  bool running = true;

  [[nodiscard]] uv_handle_t* base() { return reinterpret_cast<uv_handle_t*>(&handle); }
  static Watch& of(uv_handle_t* handle) { return *static_cast<Watch*>(handle->data); }

  void call() {
    const Napi::Env env = readable.Env();
    const Napi::HandleScope scope(env);
    try {
      readable.MakeCallback(self.Value(), std::initializer_list<napi_value>{}, context);
    } catch (const Napi::Error& error) {
      napi_fatal_exception(env, error.Value());
    }
  }

  [[nodiscard]] int poll() {
    return uv_poll_start(&handle, UV_READABLE, [](uv_poll_t* polled, int status, int) {
      Watch& watch = of(reinterpret_cast<uv_handle_t*>(polled));
      watch.call();
      // libuv stops at an error of the descriptor: who reads it is told, as often as it is there.
      if (status < 0 && watch.running) (void)watch.poll();
    });
  }

  void close() {
    running = false;
    uv_close(base(), [](uv_handle_t* closed) {
      Watch* watch = &of(closed);
      if (watch->hook) napi_remove_async_cleanup_hook(watch->hook);
      delete watch;
    });
  }
};

int Readiness::start(Napi::Env env, int fd, const Napi::Function& readable) {
  if (watch_) return UV_EALREADY;
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return UV_EINVAL;
  auto watch = std::make_unique<Watch>(env, readable);
  if (const int error = uv_poll_init(loop, &watch->handle, fd)) return error;
  // From here on the event loop knows it.
  watch_ = watch.release();
  watch_->handle.data = watch_;
  watch_->owner = this;
  // A thread of JavaScript ends when its event loop is empty.
  napi_add_async_cleanup_hook(
      env,
      [](napi_async_cleanup_hook_handle, void* data) {
        auto* ended = static_cast<Watch*>(data);
        if (ended->owner) ended->owner->stop();
      },
      watch_, &watch_->hook);
  reference(referenced_);
  const int error = watch_->poll();
  if (error) stop();
  return error;
}

void Readiness::reference(bool on) {
  referenced_ = on;
  if (!watch_) return;
  on ? uv_ref(watch_->base()) : uv_unref(watch_->base());
}

void Readiness::stop() {
  if (!watch_) return;
  Watch* watch = std::exchange(watch_, nullptr);
  watch->owner = nullptr;
  watch->close();
}

}  // namespace guise
