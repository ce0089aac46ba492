// The one place that names hiredis's headers.
#pragma once

#include <hiredis/hiredis.h>
