#include "dashboard/http/http_mailbox.h"

#include <sys/eventfd.h>
#include <utility>

namespace pikaproxy {

HttpMailbox::HttpMailbox() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

void HttpMailbox::put(HttpJobResult result) {
  {
    const std::lock_guard lock(mutex_);
    mail_.results.push_back(std::move(result));
  }
  ring();
}

void HttpMailbox::request_stop() {
  {
    const std::lock_guard lock(mutex_);
    mail_.stop = true;
  }
  ring();
}

void HttpMailbox::wake_sources() {
  {
    const std::lock_guard lock(mutex_);
    if (mail_.wake) return;  // Is on its way already.
    mail_.wake = true;
  }
  ring();
}

HttpMailbox::Mail HttpMailbox::take() {
  // Cleared first: what is put after the swap below rings again.
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = ::read(event_.get(), &count, sizeof count);
  const std::lock_guard lock(mutex_);
  Mail mail;
  mail.results.swap(mail_.results);
  mail.stop = mail_.stop;
  mail.wake = std::exchange(mail_.wake, false);
  return mail;
}

void HttpMailbox::ring() noexcept {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t size = ::write(event_.get(), &one, sizeof one);
}

}  // namespace pikaproxy
