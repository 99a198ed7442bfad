#include "proxy/client/transaction.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kMulti = "*1\r\n$5\r\nMULTI\r\n";
constexpr std::string_view kExec = "*1\r\n$4\r\nEXEC\r\n";

}  // namespace

Transaction::Transaction(BlockPool& pool) : pool_(pool) {
  append(kMulti);
}

Transaction::~Transaction() {
  pool_.remove_bytes(bytes());
}

void Transaction::append(std::string_view bytes) {
  block_ += bytes;
  pool_.add_bytes(bytes.size());
}

void Transaction::queue(std::string_view raw, Arguments args, const std::vector<uint32_t>& keys) {
  for (const uint32_t position : keys) {
    const std::string_view key = args[position];
    keys_.push_back({block_.size() + static_cast<size_t>(key.data() - raw.data()), key.size()});
  }
  append(raw);
  ++size_;
}

void Transaction::add_step(const Command& command, Arguments args) {
  SubscriptionStep& step = steps_.emplace_back();
  step.before = size_;
  step.command = &command;
  step.args.assign(args.begin(), args.end());
  uint64_t cost = sizeof(SubscriptionStep);
  for (const std::string& arg : step.args) cost += sizeof(std::string) + arg.size();
  step_bytes_ += cost;
  pool_.add_bytes(cost);
}

std::string_view Transaction::finish() {
  append(kExec);
  return block_;
}

std::vector<std::string_view> Transaction::keys() const {
  std::vector<std::string_view> views;
  views.reserve(keys_.size());
  for (const Span& span : keys_) views.push_back(key(span));
  return views;
}

}  // namespace pikaproxy
