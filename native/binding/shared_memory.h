// Memory that JavaScript and C++ both see.
#pragma once

#include <napi.h>

#include <memory>
#include <utility>

namespace guise {

// An ArrayBuffer over memory that lives as long as `owner`.
template <typename T>
Napi::Value view_of(Napi::Env env, void* data, size_t size, std::shared_ptr<T> owner) {
  auto* keep = new std::shared_ptr<T>(std::move(owner));
  return Napi::ArrayBuffer::New(env, data, size, [keep](Napi::Env, void*) { delete keep; });
}

}  // namespace guise
