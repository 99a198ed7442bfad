#include "proxy/backend/reply_lift.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "common/reply_framer.h"
#include "common/resp3.h"

namespace pikaproxy {
namespace {

using Kind = ReplyShape::Kind;

// No command's reply is nested so deep; what is deeper stays as it is.
constexpr int kDepthMax = 64;

bool is_number(std::string_view text) {
  if (text == "inf" || text == "-inf" || text == "nan") return true;
  double value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() && end == text.data() + text.size() && std::isfinite(value);
}

// Walks a reply once, element by element.
class Lifter {
 public:
  Lifter(std::string_view reply, std::string& out) : rest_(reply), out_(out) {}

  void element(const ReplyShape* shape, int depth) {
    if (rest_.empty()) return;
    if (rest_[0] == '*' && depth < kDepthMax) {
      array(shape, depth);
      return;
    }
    ReplyCursor cursor(rest_);
    const std::string_view whole = cursor.next();
    rest_.remove_prefix(whole.size());
    if (whole == resp::kNull || whole == resp::kNullArray) {
      out_ += resp::null(RespVersion::k3);
    } else if (shape != nullptr && shape->kind == Kind::kDouble && whole[0] == '$' &&
               is_number(reply_text(whole))) {
      out_ += ',';
      out_ += reply_text(whole);
      out_ += "\r\n";
    } else {
      out_ += whole;
    }
  }

 private:
  void array(const ReplyShape* shape, int depth) {
    const int64_t length = enter();
    if (length < 0) {
      out_ += resp::null(RespVersion::k3);
      return;
    }
    const bool is_even = length % 2 == 0;
    if (shape == nullptr) {
      resp::append_array(out_, length);
      for (int64_t i = 0; i < length; ++i) element(nullptr, depth + 1);
    } else if (shape->kind == Kind::kMap && is_even) {
      map(*shape, length / 2, depth);
    } else if (shape->kind == Kind::kPairs && is_even && !begins_with_array()) {
      resp::append_array(out_, length / 2);
      for (int64_t i = 0; i < length / 2; ++i) {
        resp::append_array(out_, 2);
        element(nullptr, depth + 1);
        element(shape->inner, depth + 1);
      }
    } else if (shape->kind == Kind::kMapOfPairs) {
      map_of_pairs(*shape, length, depth);
    } else {
      resp::append_header(out_, shape->kind == Kind::kSet ? '~' : '*', length);
      for (int64_t i = 0; i < length; ++i) element(shape_of_element(*shape, i), depth + 1);
    }
  }

  void map(const ReplyShape& shape, int64_t pairs, int depth) {
    resp::append_map(out_, RespVersion::k3, pairs);
    for (int64_t i = 0; i < pairs; ++i) {
      ReplyCursor cursor(rest_);
      const std::string_view key = reply_text(cursor.next());
      const ReplyShape* value = shape.inner;
      for (const ReplyShape::Field& field : shape.fields) {
        if (field.key == key) value = field.shape;
      }
      element(nullptr, depth + 1);
      element(value, depth + 1);
    }
  }

  void map_of_pairs(const ReplyShape& shape, int64_t length, int depth) {
    resp::append_map(out_, RespVersion::k3, length);
    for (int64_t i = 0; i < length; ++i) {
      if (!rest_.starts_with("*2\r\n")) {
        // Not what it should be: still a map of as many entries.
        element(nullptr, depth + 1);
        out_ += resp::null(RespVersion::k3);
        continue;
      }
      enter();
      element(nullptr, depth + 1);
      element(shape.inner, depth + 1);
    }
  }

  static const ReplyShape* shape_of_element(const ReplyShape& shape, int64_t index) {
    switch (shape.kind) {
      case Kind::kArray:
      case Kind::kSet:
        return shape.inner;
      case Kind::kAlternating:
        return index % 2 == 1 ? shape.inner : nullptr;
      case Kind::kTuple:
        return static_cast<size_t>(index) < shape.tuple.size() ? shape.tuple[index] : nullptr;
      default:
        return nullptr;
    }
  }

  bool begins_with_array() const { return !rest_.empty() && rest_[0] == '*'; }

  int64_t enter() {
    ReplyCursor cursor(rest_);
    const int64_t length = cursor.enter();
    const size_t line_end = rest_.find('\n');
    rest_.remove_prefix(line_end == std::string_view::npos ? rest_.size() : line_end + 1);
    return length;
  }

  std::string_view rest_;
  std::string& out_;
};

}  // namespace

void lift_reply(std::string_view reply, const ReplyShape* shape, std::string& out) {
  out.reserve(out.size() + reply.size() + 16);
  Lifter(reply, out).element(shape, 0);
}

void lift_block(std::string_view reply, std::span<const ReplyShape* const> shapes,
                std::string& out) {
  const ReplyShape block{.kind = Kind::kTuple, .tuple = shapes};
  lift_reply(reply, &block, out);
}

}  // namespace pikaproxy
