// What the addon does to the process and asks of the host, as functions of its exports.
#pragma once

#include <napi.h>

namespace guise {

void add_host_functions(Napi::Env env, Napi::Object exports);

}  // namespace guise
