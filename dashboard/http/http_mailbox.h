#pragma once

#include <mutex>
#include <vector>

#include "dashboard/http/file_descriptor.h"
#include "dashboard/http/http_workers.h"

namespace pikaproxy {

// What other threads tell the loop thread: responses, and to stop. Any thread.
class HttpMailbox {
 public:
  // Is open unless the process is out of descriptors.
  HttpMailbox();

  void put(HttpJobResult result);
  void request_stop();
  void wake_sources();

  // Readable when there is mail.
  int fd() const noexcept { return event_.get(); }

  struct Mail {
    std::vector<HttpJobResult> results;
    bool stop = false;  // Stays true.
    bool wake = false;
  };
  // Empties the box.
  Mail take();

 private:
  void ring() noexcept;

  const FileDescriptor event_;
  std::mutex mutex_;
  Mail mail_;  // Guarded by mutex_.
};

}  // namespace pikaproxy
