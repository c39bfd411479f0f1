// The kernels on what every processor of an architecture has: SSE2 on x86-64, NEON on ARM.
#define TM_ISA portable
#define TM_LANES 4
#include "kernels/all.h"

namespace tokenmask {
const CpuKernels kPortableKernels = portable::kernels("portable");
}
