#include "proxy/slot_router.h"
