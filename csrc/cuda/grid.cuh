// How many blocks a launch has.
#pragma once

#include <cstdint>

#ifndef TM_MOST_BLOCKS  // a test makes it small, so that blocks take several rows
#define TM_MOST_BLOCKS 65535
#endif

namespace tokenmask {

// More rows than blocks are walked with a stride of the grid, so that any number of rows fits.
inline unsigned grid_of(int64_t blocks) { return unsigned(blocks < TM_MOST_BLOCKS ? blocks : TM_MOST_BLOCKS); }

}  // namespace tokenmask
