#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.h"
#include "common/result.h"
#include "proxy/routing/router.h"
#include "proxy/routing/twemproxy_hash.h"

namespace pikaproxy {

// Places keys exactly where twemproxy 0.5 places them for the same servers, with none of them
// ejected, so that its users can switch without moving data.
//   Place.unit is the group's index too: keys on one server may be used together.
class KetamaRouter : public Router {
 public:
  // Errors: an unknown hash or distribution, a hash tag that is not two bytes, no group or more
  // than GroupIndex can count, two groups of one name, a weight of 0, weights that sum up to 2^32
  // or more, an OpenSSL without MD5 where it is needed.
  static Result<std::unique_ptr<KetamaRouter>> make(const KetamaConfig& config,
                                                    const std::vector<GroupConfig>& groups);

  // Allocates nothing itself; only with the hash "md5" OpenSSL does.
  Place place(std::string_view key) const noexcept override;

 private:
  enum class Distribution : uint8_t { kKetama, kModula, kRandom };

  // The range of a hash is cut into shares: owners[i] has what lies up to ends[i] and above
  // ends[i - 1]. Ascending, never empty.
  struct Shares {
    std::vector<uint32_t> ends;  // random: empty, the owners take turns by chance.
    std::vector<GroupIndex> owners;
  };

  // A group as twemproxy sees it.
  struct Server {
    std::string name;
    uint32_t weight;
    GroupIndex group;
  };

  KetamaRouter(HashFunction hash, Distribution distribution, std::string_view tag, Shares shares);

  static Shares ketama_shares(const std::vector<Server>& servers, uint32_t weight_total);
  static Shares modula_shares(const std::vector<Server>& servers);
  static Shares random_shares(const std::vector<Server>& servers);

  std::string_view hashed_part(std::string_view key) const noexcept;

  // Constant after construction.
  HashFunction hash_;
  Distribution distribution_;
  bool has_tag_;
  char tag_open_;
  char tag_close_;
  Shares shares_;
};

// The name that twemproxy hashes for a server: ketama_name, or without one "host:port", only
// "host" for port 11211 (as libmemcached did), and "path:" for a unix socket.
std::string ketama_name_of(const GroupConfig& group);

}  // namespace pikaproxy
