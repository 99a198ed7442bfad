#pragma once

#include <functional>

namespace pikaproxy {

// How the allocator treats memory that comes and goes in large pieces. glibc only.

// At the start of the process: values of some MiB come from the heap, where their pages stay for
// the next one, instead of each from the kernel.
void set_up_heap() noexcept;

// Gives back what a burst left behind, if that is worth it. Now and then, always on one thread.
//   on_workers: has a function run on every thread that allocates, some time later.
void trim_heap(const std::function<void(void (*)())>& on_workers);

}  // namespace pikaproxy
