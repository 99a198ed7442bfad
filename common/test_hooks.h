#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "common/build_options.h"

#ifdef PIKAPROXY_TEST_HOOKS
#include <functional>
#endif

namespace pikaproxy {

// Places at which a test can stop the process, to see that it goes on correctly after dying there.
// Only in builds with PIKAPROXY_TEST_HOOKS; otherwise a call costs nothing. "<step>.persisted": the
// step is on disk and nobody knows of it yet; ".pushed": proxies have been sent the table;
// ".acknowledged": all of them have it in force. docs/slot-migration.md describes the steps.
enum class StopPoint : uint8_t {
  kMigrationCreated,
  kCheckStarted,
  kCheckDone,
  kPreparingDecided,  // Nothing is on disk yet.
  kPreparingPersisted,
  kPreparingPushed,
  kPreparingAcknowledged,
  kRevertingPersisted,
  kRevertingPushed,
  kMigratingPersisted,
  kMigratingTold,  // The engine has the slots, the proxies do not know.
  kMigratingPushed,
  kMigratingClean,
  kFinishingPersisted,
  kFinishingPushed,
  kFinishingAcknowledged,
  kFinishingForgotten,  // The engine has let go of the slots.
  kDonePersisted,
  kCancelRequested,
  kCancellingPersisted,
  kCancellingPushed,
  kCancellingAcknowledged,
  kCancellingForgotten,
  kReturningPersisted,
  kReturningTold,
  kReturningPushed,
  kMigrationEnded,
  kHoldPersisted,
  kHoldPushed,
  kHoldSettled,  // The engine has let go of the slots.
  kReleaseTold,  // The engine has them again, at the new master.
  kReleasePersisted,
  kReleasePushed,
  kPromotionPausing,
  kPromotionLocking,
  kPromotionPromoting,
  kPromotionTold,  // The replica is a master.
  kPromotionSwitched,
};

struct StopPointName {
  StopPoint point;
  std::string_view name;
};

inline constexpr std::array kStopPoints = {
    StopPointName{StopPoint::kMigrationCreated, "migration.created"},
    StopPointName{StopPoint::kCheckStarted, "check.started"},
    StopPointName{StopPoint::kCheckDone, "check.done"},
    StopPointName{StopPoint::kPreparingDecided, "preparing.decided"},
    StopPointName{StopPoint::kPreparingPersisted, "preparing.persisted"},
    StopPointName{StopPoint::kPreparingPushed, "preparing.pushed"},
    StopPointName{StopPoint::kPreparingAcknowledged, "preparing.acknowledged"},
    StopPointName{StopPoint::kRevertingPersisted, "reverting.persisted"},
    StopPointName{StopPoint::kRevertingPushed, "reverting.pushed"},
    StopPointName{StopPoint::kMigratingPersisted, "migrating.persisted"},
    StopPointName{StopPoint::kMigratingTold, "migrating.told"},
    StopPointName{StopPoint::kMigratingPushed, "migrating.pushed"},
    StopPointName{StopPoint::kMigratingClean, "migrating.clean"},
    StopPointName{StopPoint::kFinishingPersisted, "finishing.persisted"},
    StopPointName{StopPoint::kFinishingPushed, "finishing.pushed"},
    StopPointName{StopPoint::kFinishingAcknowledged, "finishing.acknowledged"},
    StopPointName{StopPoint::kFinishingForgotten, "finishing.forgotten"},
    StopPointName{StopPoint::kDonePersisted, "done.persisted"},
    StopPointName{StopPoint::kCancelRequested, "cancel.requested"},
    StopPointName{StopPoint::kCancellingPersisted, "cancelling.persisted"},
    StopPointName{StopPoint::kCancellingPushed, "cancelling.pushed"},
    StopPointName{StopPoint::kCancellingAcknowledged, "cancelling.acknowledged"},
    StopPointName{StopPoint::kCancellingForgotten, "cancelling.forgotten"},
    StopPointName{StopPoint::kReturningPersisted, "returning.persisted"},
    StopPointName{StopPoint::kReturningTold, "returning.told"},
    StopPointName{StopPoint::kReturningPushed, "returning.pushed"},
    StopPointName{StopPoint::kMigrationEnded, "migration.ended"},
};
// Those that only promotions come to: of their own steps, and of the migrations that they hold.
inline constexpr std::array kPromotionStopPoints = {
    StopPointName{StopPoint::kHoldPersisted, "hold.persisted"},
    StopPointName{StopPoint::kHoldPushed, "hold.pushed"},
    StopPointName{StopPoint::kHoldSettled, "hold.settled"},
    StopPointName{StopPoint::kReleaseTold, "release.told"},
    StopPointName{StopPoint::kReleasePersisted, "release.persisted"},
    StopPointName{StopPoint::kReleasePushed, "release.pushed"},
    StopPointName{StopPoint::kPromotionPausing, "promotion.pausing"},
    StopPointName{StopPoint::kPromotionLocking, "promotion.locking"},
    StopPointName{StopPoint::kPromotionPromoting, "promotion.promoting"},
    StopPointName{StopPoint::kPromotionTold, "promotion.told"},
    StopPointName{StopPoint::kPromotionSwitched, "promotion.switched"},
};

#ifdef PIKAPROXY_TEST_HOOKS
// Stops the process (SIGSTOP) when the environment variable PIKAPROXY_STOP_AT names this point; the
// first time only. Any thread.
void reached(StopPoint point);
// Called at every point beside that, by the thread that reaches it; nullptr: nobody is. For tests
// in the same process, to be set while no other thread runs.
void on_stop_point(std::function<void(StopPoint)> observer);
#else
inline void reached(StopPoint) {}
#endif

}  // namespace pikaproxy
