#pragma once
#include "dashboard/mover/mover.h"
namespace pikaproxy {
class CopyMover : public Mover {
 public:
  CopyMover(MoveLinks& links, std::function<bool(const std::string& key)> is_wanted);
  void move(uint32_t, const std::vector<std::string>&, std::vector<KeyResult>&) override {}
};
inline CopyMover::CopyMover(MoveLinks&, std::function<bool(const std::string& key)>) {}
}  // namespace pikaproxy
